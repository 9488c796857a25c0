// The file `limits`: a line a device. It may be replaced at any time, and is looked at ten times a second while the program calls.
#define _GNU_SOURCE
#include "interposer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHECK_NS (100 * NS_PER_MS)
#define TEXT_MAX 8192

void format_uuid(const uint8_t u[16], char text[41])
{
  snprintf(text, 41, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11],
           u[12], u[13], u[14], u[15]);
}

static uint32_t percent(const char *text)
{
  unsigned long value = strtoul(text, NULL, 10);
  return value > 100 ? 100 : (uint32_t)value;
}

// Words that are not known are of a later version, and no reason to stop.
static void apply_line(struct gpu_device *d, char *words)
{
  char *rest = NULL;
  uint64_t memory = 0;
  uint32_t compute = 0, burst = UINT32_MAX, priority = 0;
  for (char *word = strtok_r(words, " \t\r", &rest); word != NULL; word = strtok_r(NULL, " \t\r", &rest)) {
    if (strncmp(word, "memoryMiB=", 10) == 0) memory = strtoull(word + 10, NULL, 10) * MIB;
    if (strncmp(word, "compute=", 8) == 0) compute = percent(word + 8);
    if (strncmp(word, "burst=", 6) == 0) burst = percent(word + 6);
    if (strncmp(word, "priority=", 9) == 0) priority = (uint32_t)strtoul(word + 9, NULL, 10);
  }
  if (burst == UINT32_MAX) burst = compute == 0 ? 100 : compute;
  d->memory_limit = memory;
  d->compute = compute;
  d->burst = burst < compute ? compute : burst;
  d->priority = priority;
}

static void apply(char *text)
{
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    char *words = strpbrk(line, " \t");
    if (words != NULL) *words++ = 0;
    for (int n = 0; n < GPU_DEVICES_MAX; n++) {
      char uuid[41];
      format_uuid(region->devices[n].uuid, uuid);
      char none[1] = "";
      if (strcasecmp(uuid, line) == 0) apply_line(&region->devices[n], words == NULL ? none : words);
    }
  }
}

static bool load(const char *path)
{
  static char text[TEXT_MAX];
  int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  long length = syscall(SYS_read, file, text, sizeof text - 1);
  syscall(SYS_close, file);
  if (length <= 0) return false;
  text[length] = 0;
  apply(text);
  return true;
}

// Is any device's time limited, or may it be, because others use the device too?
static void note_paced(void)
{
  bool paced = false;
  for (int n = 0; n < own->devices; n++) {
    char path[512], uuid[41];
    const char *limits = limits_path(), *slash = limits == NULL ? NULL : strrchr(limits, '/');
    if (own->index_of[n] < 0) continue;
    const struct gpu_device *d = &region->devices[own->index_of[n]];
    format_uuid(d->uuid, uuid);
    snprintf(path, sizeof path, "%.*s/devices/%s", slash == NULL ? 0 : (int)(slash - limits), limits, uuid);
    if (d->compute > 0 || d->burst < 100 || syscall(SYS_faccessat, AT_FDCWD, path, R_OK) == 0) paced = true;
  }
  __atomic_store_n(&own->paced, paced, __ATOMIC_RELAXED);
}

void read_limits(void)
{
  uint64_t now = clock_ns(), checked = __atomic_load_n(&region->limits_checked_ns, __ATOMIC_RELAXED);
  if (own->attached && now - checked < CHECK_NS && own->limits_stamp == region->limits_stamp) return;
  if (__atomic_exchange_n(&own->limits_lock, 1, __ATOMIC_ACQUIRE) != 0) return; // another thread does it
  __atomic_store_n(&region->limits_checked_ns, now, __ATOMIC_RELAXED);
  const char *path = limits_path();
  struct stat info;
  if (path != NULL && syscall(SYS_newfstatat, AT_FDCWD, path, &info, 0) == 0) {
    uint64_t stamp = (uint64_t)info.st_ino * 1000003 + (uint64_t)info.st_mtim.tv_sec * 1000000000ull + (uint64_t)info.st_mtim.tv_nsec + (uint64_t)info.st_size;
    if ((stamp != region->limits_stamp || own->limits_stamp != stamp) && load(path)) {
      region->limits_stamp = own->limits_stamp = stamp;
      note_paced();
    }
  }
  spin_unlock(&own->limits_lock);
}
