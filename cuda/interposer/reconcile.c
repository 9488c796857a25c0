// What no call asked for: contexts, modules, heaps. NVML says what this process has of a device in all; what calls have not taken is `implicit`.
#define _GNU_SOURCE
#include "interposer.h"

#include <string.h>

#define PROCESSES_ASKED 256
#define SAMPLES_ASKED 512
#define RECONCILE_NS (1000 * NS_PER_MS)
#define MEASURE_NS (500 * NS_PER_MS)
#define ENOUGH_NS (500 * NS_PER_MS) // of charges, for a correction
#define PERIOD_MAX_US 1000000ull
#define TRUSTED 0.08           // NVML counts whole percents: less than this off is no error of ours

static nvmlDevice_t nvml_device(unsigned device)
{
  char uuid[41];
  nvmlDevice_t handle;
  if (hooks[HOOK_nvmlInit_v2].real == NULL && !find_real(HOOK_nvmlInit_v2)) return NULL;
  if (hooks[HOOK_nvmlInit_v2].real == NULL || (!own->has_nvml && real_nvmlInit_v2()() != NVML_SUCCESS)) return NULL;
  own->has_nvml = true;
  format_uuid(region->devices[device].uuid, uuid);
  if (find_call(CALL_nvmlDeviceGetHandleByUUID) == NULL || call_nvmlDeviceGetHandleByUUID()(uuid, &handle) != NVML_SUCCESS) return NULL;
  return handle;
}

bool nvml_processes(unsigned device, nvmlProcessInfo_t *infos, unsigned *count)
{
  nvmlDevice_t handle = nvml_device(device);
  if (handle == NULL) return false;
  if (hooks[HOOK_nvmlDeviceGetComputeRunningProcesses_v3].real != NULL) return real_nvmlDeviceGetComputeRunningProcesses_v3()(handle, count, infos) == NVML_SUCCESS;
  if (hooks[HOOK_nvmlDeviceGetComputeRunningProcesses_v2].real != NULL) return real_nvmlDeviceGetComputeRunningProcesses_v2()(handle, count, infos) == NVML_SUCCESS;
  return false;
}

static bool lists(const nvmlProcessInfo_t *infos, unsigned count, uint32_t pid)
{
  for (unsigned n = 0; n < count; n++)
    if (infos[n].pid == pid) return true;
  return false;
}

// NVML knows processes by their pids on the host. Ours is the one that is new since before the context was made; our own pid if it is among them.
void find_host_pid(const nvmlProcessInfo_t *before, unsigned before_count, unsigned device)
{
  nvmlProcessInfo_t after[PROCESSES_ASKED];
  unsigned count = PROCESSES_ASKED, fresh = 0;
  uint32_t candidate = 0;
  if (own->slot->host_pid != 0 || !nvml_processes(device, after, &count)) return;
  for (unsigned n = 0; n < count; n++) {
    if (lists(before, before_count, after[n].pid)) continue;
    fresh++;
    candidate = after[n].pid;
    if (after[n].pid == own->pid) {
      own->slot->host_pid = own->pid;
      return;
    }
  }
  if (fresh == 1) own->slot->host_pid = candidate;
}

static uint64_t tracked(unsigned device)
{
  const struct gpu_process_device *d = &own->slot->devices[device];
  return __atomic_load_n(&d->allocated, __ATOMIC_ACQUIRE) + __atomic_load_n(&d->pooled, __ATOMIC_ACQUIRE);
}

// While calls are under way NVML may not have what they reserved yet: then `implicit` only grows.
void reconcile(unsigned device, bool always)
{
  nvmlProcessInfo_t infos[PROCESSES_ASKED];
  unsigned count = PROCESSES_ASKED;
  uint64_t now = clock_ns();
  if (own->slot->host_pid == 0 || (!always && now - own->reconciled_ns[device] < RECONCILE_NS)) return;
  own->reconciled_ns[device] = now;
  refresh_pools(device);
  uint64_t before = tracked(device);
  uint32_t under_way = __atomic_load_n(&own->in_flight, __ATOMIC_SEQ_CST);
  if (!nvml_processes(device, infos, &count)) return;
  uint64_t *implicit = &own->slot->devices[device].implicit;
  for (unsigned n = 0; n < count; n++) {
    if (infos[n].pid != own->slot->host_pid) continue;
    // What another thread has taken meanwhile NVML may have seen, and `before` has not.
    uint64_t after = tracked(device), known = after > before ? after : before;
    uint64_t found = infos[n].usedGpuMemory > known ? infos[n].usedGpuMemory - known : 0;
    bool still = under_way <= 1 && __atomic_load_n(&own->in_flight, __ATOMIC_SEQ_CST) <= 1 && after == before;
    if (still || found > *implicit) __atomic_store_n(implicit, found, __ATOMIC_RELEASE);
    return;
  }
  if (under_way <= 1) __atomic_store_n(implicit, 0, __ATOMIC_RELEASE); // the last context is gone
}

bool is_ours(uint32_t host_pid)
{
  for (uint32_t n = 0; n < region->processes_end && n < GPU_PROCESSES_MAX; n++)
    if (region->processes[n].pid != 0 && region->processes[n].host_pid == host_pid) return true;
  return false;
}

// NVML's samples of the device since `since_us`, as nanoseconds of it that the container had; false: there are none. A sample speaks of the time
// since the one before it; when nothing ran there is none, so the least time between two is how often NVML takes one.
static bool ask_use(unsigned device, uint64_t *since_us, uint64_t *busy)
{
  static nvmlProcessUtilizationSample_t samples[SAMPLES_ASKED];
  static uint64_t period_us = PERIOD_MAX_US;
  unsigned count = SAMPLES_ASKED;
  uint64_t last = *since_us, seen = *since_us, sum = 0;
  nvmlDevice_t handle = nvml_device(device);
  if (handle == NULL || find_call(CALL_nvmlDeviceGetProcessUtilization) == NULL) return false;
  if (call_nvmlDeviceGetProcessUtilization()(handle, samples, &count, *since_us) != NVML_SUCCESS) return false;
  for (unsigned n = 0; n < count && n < SAMPLES_ASKED; n++) {
    if (seen != 0 && samples[n].timeStamp > seen && samples[n].timeStamp - seen < period_us) period_us = samples[n].timeStamp - seen;
    seen = samples[n].timeStamp;
    if (seen > last) last = seen;
    if (is_ours(samples[n].pid)) sum += samples[n].smUtil;
  }
  *busy = period_us * 10 * sum;
  bool counts = *since_us != 0;
  *since_us = last;
  return counts;
}

// NVML's word on how long the container had the device, against what was charged: corrects what events can't see, such as kernels side by side.
// Work is charged before it runs, so both are summed until that no longer matters.
void measure_use(unsigned device, uint64_t now)
{
  static struct { uint64_t charged_before, since_us, charged, busy; } sums[GPU_DEVICES_MAX], *s;
  static uint32_t lock;
  struct gpu_device *d = &region->devices[device];
  uint64_t before = d->measured_ns, busy = 0;
  if ((now - before < MEASURE_NS && before <= now) || own->slot->host_pid == 0) return;
  if (!__atomic_compare_exchange_n(&d->measured_ns, &before, now, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) return;
  spin_lock(&lock);
  s = &sums[device];
  bool counts = ask_use(device, &s->since_us, &busy);
  if (counts) {
    s->charged += d->charged_ns - s->charged_before;
    s->busy += busy;
    d->measured_busy_ns += busy;
  }
  s->charged_before = d->charged_ns;
  if (s->charged >= ENOUGH_NS && s->charged >= 20 * own->longest_ns) {
    double ratio = (double)s->busy / (double)s->charged;
    if (ratio < 1 - TRUSTED || ratio > 1 + TRUSTED) {
      ratio = ratio < 0.5 ? 0.5 : ratio > 2 ? 2 : ratio;
      double correction = (double)d->correction * (1 + (ratio - 1) / 2);
      d->correction = (uint64_t)(correction < 16384 ? 16384 : correction > 262144 ? 262144 : correction);
    }
    s->charged = s->busy = own->longest_ns = 0;
  }
  spin_unlock(&lock);
}
