// The container's shared region and this process's place in it. Counters of a process are its own; only their sum is checked, under the lock. A
// process that dies with the lock loses it, and what it had is taken out of the sum when somebody needs the room.
#define _GNU_SOURCE
#include "interposer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LIMITS_IN_CONTAINER "/run/centaurus-gpu/limits"
#define PATIENCE 2000          // tries, before the holder of a lock is looked at

static struct own empty;
struct own *own = &empty;      // until there are limits, nothing of it is ever set
struct gpu_usage *region;
struct gpu_demand *demand;

uint64_t clock_ns(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void sleep_for(uint64_t ns)
{
  struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull)};
  nanosleep(&t, NULL);
}

void spin_lock(uint32_t *lock)
{
  while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0) syscall(SYS_sched_yield);
}

void spin_unlock(uint32_t *lock)
{
  __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

// Field 22 of the process's stat; 0: there is none, or it is a zombie.
uint64_t process_start(uint32_t pid)
{
  char path[32], text[1024];
  snprintf(path, sizeof path, "/proc/%u/stat", pid);
  int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  long length = syscall(SYS_read, file, text, sizeof text - 1);
  syscall(SYS_close, file);
  if (length <= 0) return 0;
  text[length] = 0;
  char *field = strrchr(text, ')');
  if (field == NULL || field[1] == 0 || field[2] == 'Z' || field[2] == 'X') return 0;
  for (int n = 2; n < 22 && field != NULL; n++) field = strchr(field + 1, ' ');
  return field == NULL ? 0 : strtoull(field, NULL, 10);
}

bool process_is_dead(uint32_t pid, uint64_t start)
{
  if (syscall(SYS_kill, pid, 0) != 0 && errno == ESRCH) return true;
  uint64_t found = process_start(pid);
  if (found != 0) return start != 0 && found != start;
  return syscall(SYS_faccessat, AT_FDCWD, "/proc/self/stat", R_OK) == 0; // without /proc nobody is known to be dead
}

const char *limits_path(void)
{
  if (syscall(SYS_faccessat, AT_FDCWD, LIMITS_IN_CONTAINER, R_OK) == 0) return LIMITS_IN_CONTAINER; // not what the program says
  const char *path = getenv("CENTAURUS_GPU_LIMITS");
  return path != NULL && syscall(SYS_faccessat, AT_FDCWD, path, R_OK) == 0 ? path : NULL;
}

static void *map_file(const char *name, size_t size)
{
  char path[512];
  const char *limits = limits_path(), *slash = limits == NULL ? NULL : strrchr(limits, '/');
  snprintf(path, sizeof path, "%.*s/own/%s", slash == NULL ? 0 : (int)(slash - limits), limits, name);
  int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
  void *mapped = MAP_FAILED;
  if (file >= 0) {
    if (lseek(file, 0, SEEK_END) >= (off_t)size || syscall(SYS_ftruncate, file, size) == 0) mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    syscall(SYS_close, file);
  }
  if (mapped != MAP_FAILED) return mapped;
  fprintf(stderr, "centaurus-gpu: cannot use %s, without which the limits of this container's GPUs can't be kept: %s\n", path, strerror(errno));
  return NULL;
}

// A page that a child gets empty: it has no driver yet, whatever its parent had.
static struct own *make_own(void)
{
  struct own *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return NULL;
  madvise(page, 4096, 18); // MADV_WIPEONFORK, Linux 4.14
  return page;
}

static bool map_region(void)
{
  if (region != NULL) return true;
  struct gpu_usage *usage = map_file("usage", sizeof *usage);
  struct gpu_demand *page = usage == NULL ? NULL : map_file("demand", sizeof *page);
  struct own *mine = page == NULL ? NULL : make_own();
  if (mine == NULL) return false;
  uint64_t none = 0;
  __atomic_compare_exchange_n(&usage->magic, &none, GPU_USAGE_MAGIC, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
  if (usage->magic != GPU_USAGE_MAGIC || (usage->version != 0 && usage->version != GPU_LAYOUT_VERSION)) {
    fprintf(stderr, "centaurus-gpu: the file own/usage of this container is of another version\n");
    return false;
  }
  usage->version = page->version = GPU_LAYOUT_VERSION;
  page->magic = GPU_DEMAND_MAGIC;
  demand = page;
  own = mine;
  __atomic_store_n(&region, usage, __ATOMIC_RELEASE);
  return true;
}

bool attach_region(void)
{
  static uint32_t lock;
  if (region == NULL && limits_path() == NULL) return true;
  spin_lock(&lock);
  bool good = map_region();
  spin_unlock(&lock);
  if (good && region != NULL) own->limits = true;
  if (own->limits) own->pid = (uint32_t)syscall(SYS_getpid);
  return good;
}

void region_lock(void)
{
  uint64_t me = (uint64_t)own->pid << 32 | 1, holder = 0;
  for (unsigned tries = 1; !__atomic_compare_exchange_n(&region->lock, &holder, me, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED); tries++) {
    syscall(SYS_sched_yield);
    if (tries % PATIENCE == 0 && holder >> 32 != own->pid && process_is_dead((uint32_t)(holder >> 32), 0))
      __atomic_compare_exchange_n(&region->lock, &holder, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    holder = 0;
  }
}

void region_unlock(void)
{
  __atomic_store_n(&region->lock, 0, __ATOMIC_RELEASE);
}

void reap(void)
{
  for (uint32_t n = 0; n < region->processes_end && n < GPU_PROCESSES_MAX; n++) {
    struct gpu_process *p = &region->processes[n];
    if (p->pid != 0 && p != own->slot && process_is_dead(p->pid, p->start_ticks)) memset(p, 0, sizeof *p);
  }
}

static struct gpu_process *claim_slot(void)
{
  region_lock();
  struct gpu_process *slot = NULL;
  for (int round = 0; round < 2 && slot == NULL; round++) {
    if (round == 1) reap();
    for (uint32_t n = 0; n < GPU_PROCESSES_MAX && slot == NULL; n++)
      if (region->processes[n].pid == 0 || region->processes[n].pid == own->pid) slot = &region->processes[n]; // ours: of before an exec
  }
  if (slot != NULL) {
    memset(slot, 0, sizeof *slot);
    slot->start_ticks = process_start(own->pid);
    slot->pid = own->pid;
    uint32_t end = (uint32_t)(slot - region->processes) + 1;
    if (end > region->processes_end) region->processes_end = end;
  }
  region_unlock();
  if (slot == NULL) fprintf(stderr, "centaurus-gpu: more than %d processes of this container use GPUs\n", GPU_PROCESSES_MAX);
  return slot;
}

static int8_t find_device(const CUuuid *uuid)
{
  static const uint8_t none[16];
  for (int n = 0; n < GPU_DEVICES_MAX; n++) {
    struct gpu_device *d = &region->devices[n];
    if (memcmp(d->uuid, uuid, 16) == 0) return (int8_t)n;
    if (memcmp(d->uuid, none, 16) != 0) continue;
    memcpy(d->uuid, uuid, 16);
    memcpy(demand->devices[n].uuid, uuid, 16);
    d->share = d->burst = SHARE_ALL;
    d->correction = 65536;
    return (int8_t)n;
  }
  return -1;
}

static void list_devices(void)
{
  int count = 0;
  call_cuDeviceGetCount()(&count);
  own->devices = count > GPU_DEVICES_MAX ? GPU_DEVICES_MAX : count;
  region_lock();
  for (int n = 0; n < own->devices; n++) {
    CUdevice device;
    CUuuid uuid;
    bool known = call_cuDeviceGet()(&device, n) == CUDA_SUCCESS && call_cuDeviceGetUuid()(&uuid, device) == CUDA_SUCCESS;
    own->index_of[n] = known ? find_device(&uuid) : -1;
  }
  region_unlock();
}

bool attach_process(void)
{
  if (!attach_region()) return false;
  if (region == NULL) return true;
  static uint32_t lock;
  spin_lock(&lock);
  bool good = own->attached;
  if (!good) {
    own->limits = true;
    own->pid = (uint32_t)syscall(SYS_getpid);
    own->slot = claim_slot();
    table_clear(); // what a parent had
    pace_clear();
    if (own->slot != NULL) {
      list_devices();
      read_limits();
      __atomic_store_n(&own->attached, true, __ATOMIC_RELEASE);
      good = true;
    }
  }
  spin_unlock(&lock);
  return good;
}

int device_of(CUdevice ordinal)
{
  return own->attached && ordinal >= 0 && ordinal < own->devices ? own->index_of[ordinal] : -1;
}

int current_device(void)
{
  CUdevice ordinal;
  if (!own->attached || call_cuCtxGetDevice()(&ordinal) != CUDA_SUCCESS) return -1;
  return device_of(ordinal);
}

uint64_t region_used(unsigned device)
{
  uint64_t used = 0;
  for (uint32_t n = 0; n < region->processes_end && n < GPU_PROCESSES_MAX; n++) {
    const struct gpu_process *p = &region->processes[n];
    if (p->pid != 0) used += p->devices[device].allocated + p->devices[device].pooled + p->devices[device].implicit;
  }
  return used;
}

bool reserve(unsigned device, uint64_t bytes, uint64_t *counter)
{
  struct gpu_device *d = &region->devices[device];
  read_limits();
  region_lock();
  bool fits = d->memory_limit == 0;
  for (int round = 0; round < 2 && !fits; round++) {
    if (round == 1) reap();
    uint64_t used = region_used(device);
    fits = bytes <= d->memory_limit && used <= d->memory_limit - bytes;
  }
  if (fits) __atomic_add_fetch(counter, bytes, __ATOMIC_RELAXED);
  region_unlock();
  return fits;
}

void give_back(uint64_t bytes, uint64_t *counter)
{
  __atomic_sub_fetch(counter, bytes, __ATOMIC_RELEASE);
}
