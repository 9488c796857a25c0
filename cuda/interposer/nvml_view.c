// NVML as the container sees it: its own memory and its own processes.
#include "interposer.h"

#include <string.h>

EXPORT nvmlReturn_t nvmlInit_v2(void)
{
  NEED(nvmlInit_v2, NVML_ERROR_NOT_FOUND);
  nvmlReturn_t r = real_nvmlInit_v2()();
  if (r == NVML_SUCCESS) attach_region(); // of a program that only looks, nothing is refused
  return r;
}

EXPORT nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
  NEED(nvmlInitWithFlags, NVML_ERROR_NOT_FOUND);
  nvmlReturn_t r = real_nvmlInitWithFlags()(flags);
  if (r == NVML_SUCCESS) attach_region();
  return r;
}

// The device's place in the region; -1: this container has no limits, or nothing of it was used yet.
static int known(nvmlDevice_t device)
{
  char uuid[96], other[41];
  if (region == NULL || find_call(CALL_nvmlDeviceGetUUID) == NULL || call_nvmlDeviceGetUUID()(device, uuid, sizeof uuid) != NVML_SUCCESS) return -1;
  for (int n = 0; n < GPU_DEVICES_MAX; n++) {
    format_uuid(region->devices[n].uuid, other);
    if (strcmp(uuid, other) == 0) return n;
  }
  return -1;
}

static uint64_t limit_of(nvmlDevice_t device, uint64_t *used)
{
  int n = known(device);
  if (n < 0) return 0;
  read_limits();
  region_lock();
  reap();
  *used = region_used((unsigned)n);
  region_unlock();
  return region->devices[n].memory_limit;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
  NEED(nvmlDeviceGetMemoryInfo, NVML_ERROR_NOT_FOUND);
  nvmlReturn_t r = real_nvmlDeviceGetMemoryInfo()(device, memory);
  uint64_t used = 0, limit = r == NVML_SUCCESS ? limit_of(device, &used) : 0;
  if (limit == 0 || limit >= memory->total) return r;
  *memory = (nvmlMemory_t){.total = limit, .used = used, .free = used < limit ? limit - used : 0};
  return r;
}

EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
  NEED(nvmlDeviceGetMemoryInfo_v2, NVML_ERROR_NOT_FOUND);
  nvmlReturn_t r = real_nvmlDeviceGetMemoryInfo_v2()(device, memory);
  uint64_t used = 0, limit = r == NVML_SUCCESS ? limit_of(device, &used) : 0;
  if (limit == 0 || limit >= memory->total) return r;
  *memory = (nvmlMemory_v2_t){.version = memory->version, .total = limit, .used = used, .free = used < limit ? limit - used : 0};
  return r;
}

// Keeps the entries whose pid, at their start, is one of the container's.
static void filter(nvmlDevice_t device, nvmlReturn_t r, unsigned *count, void *infos, size_t size)
{
  char *entry = infos;
  unsigned kept = 0;
  if (r != NVML_SUCCESS || infos == NULL || known(device) < 0) return;
  for (unsigned n = 0; n < *count; n++) {
    unsigned pid;
    memcpy(&pid, entry + n * size, sizeof pid);
    if (is_ours(pid)) memmove(entry + kept++ * size, entry + n * size, size);
  }
  *count = kept;
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_v1_t *infos)
{
  NEED(nvmlDeviceGetComputeRunningProcesses, NVML_ERROR_NOT_FOUND);
  nvmlReturn_t r = real_nvmlDeviceGetComputeRunningProcesses()(device, count, infos);
  filter(device, r, count, infos, sizeof *infos);
  return r;
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos)
{
  NEED(nvmlDeviceGetComputeRunningProcesses_v2, NVML_ERROR_NOT_FOUND);
  nvmlReturn_t r = real_nvmlDeviceGetComputeRunningProcesses_v2()(device, count, infos);
  filter(device, r, count, infos, sizeof *infos);
  return r;
}

EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos)
{
  NEED(nvmlDeviceGetComputeRunningProcesses_v3, NVML_ERROR_NOT_FOUND);
  nvmlReturn_t r = real_nvmlDeviceGetComputeRunningProcesses_v3()(device, count, infos);
  filter(device, r, count, infos, sizeof *infos);
  return r;
}
