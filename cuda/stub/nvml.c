// NVML of the stub's devices: what it says follows from what the stub driver has done.
#define _GNU_SOURCE
#include "../include/nvml_api.h"
#include "world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define NVML(name, ...) \
  EXPORT nvmlReturn_t name(__VA_ARGS__); \
  nvmlReturn_t name(__VA_ARGS__)
#define ALIAS(other, name) EXPORT extern __typeof(name) other __attribute__((alias(#name)));
#define CORES_PER_MULTIPROCESSOR 64

static struct world *W;
static int inits;
static unsigned visible[DEVICES_MAX], visible_count;

static bool is_visible(const char *uuid, unsigned index)
{
  const char *list = getenv("NVIDIA_VISIBLE_DEVICES");
  char copy[1024], *rest = NULL;
  if (list == NULL) return true;
  snprintf(copy, sizeof copy, "%s", list);
  for (char *word = strtok_r(copy, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest))
    if (strcmp(word, "all") == 0 || strcmp(word, uuid) == 0 || (word[0] >= '0' && word[0] <= '9' && (unsigned)atoi(word) == index)) return true;
  return false;
}

NVML(nvmlInit_v2, void)
{
  static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&starting);
  W = world_open();
  if (W != NULL && inits++ == 0) {
    visible_count = 0;
    for (unsigned n = 0; n < W->devices_end; n++)
      if (is_visible(W->devices[n].uuid, n)) visible[visible_count++] = n;
  }
  pthread_mutex_unlock(&starting);
  return W == NULL ? NVML_ERROR_UNKNOWN : NVML_SUCCESS;
}
ALIAS(nvmlInit, nvmlInit_v2)

NVML(nvmlInitWithFlags, unsigned int flags)
{
  (void)flags;
  return nvmlInit_v2();
}

NVML(nvmlShutdown, void)
{
  if (inits == 0) return NVML_ERROR_UNINITIALIZED;
  inits--;
  return NVML_SUCCESS;
}

// Looks at the devices as they are now; in virtual time NVML takes none.
static void begin(void)
{
  world_lock(W);
  if (!W->is_virtual) simulate(W, real_ns());
  world_sweep(W);
}

static struct device *known(nvmlDevice_t handle)
{
  struct device *d = (struct device *)handle;
  return inits > 0 && d >= W->devices && d < W->devices + W->devices_end ? d : NULL;
}

static nvmlReturn_t put(char *out, unsigned int length, const char *text)
{
  if (strlen(text) >= length) return NVML_ERROR_INSUFFICIENT_SIZE;
  strcpy(out, text);
  return NVML_SUCCESS;
}

EXPORT const char *nvmlErrorString(nvmlReturn_t result);
const char *nvmlErrorString(nvmlReturn_t result)
{
  switch (result) {
  case NVML_SUCCESS: return "Success";
  case NVML_ERROR_UNINITIALIZED: return "Uninitialized";
  case NVML_ERROR_INVALID_ARGUMENT: return "Invalid Argument";
  case NVML_ERROR_NOT_SUPPORTED: return "Not Supported";
  case NVML_ERROR_NOT_FOUND: return "Not Found";
  case NVML_ERROR_INSUFFICIENT_SIZE: return "Insufficient Size";
  case NVML_ERROR_TIMEOUT: return "Timeout";
  default: return "Unknown Error";
  }
}

NVML(nvmlSystemGetDriverVersion, char *version, unsigned int length) { return put(version, length, "575.51.03"); }
NVML(nvmlSystemGetNVMLVersion, char *version, unsigned int length) { return put(version, length, "12.575.51.03"); }

NVML(nvmlSystemGetCudaDriverVersion_v2, int *version)
{
  *version = 12090;
  return NVML_SUCCESS;
}
ALIAS(nvmlSystemGetCudaDriverVersion, nvmlSystemGetCudaDriverVersion_v2)

NVML(nvmlDeviceGetCount_v2, unsigned int *count)
{
  if (inits == 0) return NVML_ERROR_UNINITIALIZED;
  *count = visible_count;
  return NVML_SUCCESS;
}
ALIAS(nvmlDeviceGetCount, nvmlDeviceGetCount_v2)

NVML(nvmlDeviceGetHandleByIndex_v2, unsigned int index, nvmlDevice_t *device)
{
  if (inits == 0) return NVML_ERROR_UNINITIALIZED;
  if (index >= visible_count) return NVML_ERROR_INVALID_ARGUMENT;
  *device = (nvmlDevice_t)&W->devices[visible[index]];
  return NVML_SUCCESS;
}
ALIAS(nvmlDeviceGetHandleByIndex, nvmlDeviceGetHandleByIndex_v2)

NVML(nvmlDeviceGetHandleByUUID, const char *uuid, nvmlDevice_t *device)
{
  if (inits == 0) return NVML_ERROR_UNINITIALIZED;
  for (unsigned n = 0; n < visible_count; n++)
    if (strcmp(W->devices[visible[n]].uuid, uuid) == 0) return *device = (nvmlDevice_t)&W->devices[visible[n]], NVML_SUCCESS;
  return NVML_ERROR_NOT_FOUND;
}

NVML(nvmlDeviceGetHandleByPciBusId_v2, const char *id, nvmlDevice_t *device)
{
  if (inits == 0) return NVML_ERROR_UNINITIALIZED;
  for (unsigned n = 0; n < visible_count; n++) {
    const char *pci = W->devices[visible[n]].pci; // the id may have a longer domain
    size_t length = strlen(id), own = strlen(pci);
    if (length >= own && strcasecmp(id + length - own, pci) == 0) return *device = (nvmlDevice_t)&W->devices[visible[n]], NVML_SUCCESS;
  }
  return NVML_ERROR_NOT_FOUND;
}

NVML(nvmlDeviceGetIndex, nvmlDevice_t device, unsigned int *index)
{
  struct device *d = known(device);
  for (unsigned n = 0; d != NULL && n < visible_count; n++)
    if (&W->devices[visible[n]] == d) return *index = n, NVML_SUCCESS;
  return NVML_ERROR_INVALID_ARGUMENT;
}

NVML(nvmlDeviceGetMinorNumber, nvmlDevice_t device, unsigned int *minor)
{
  struct device *d = known(device);
  if (d == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  *minor = (unsigned)(d - W->devices);
  return NVML_SUCCESS;
}

NVML(nvmlDeviceGetUUID, nvmlDevice_t device, char *uuid, unsigned int length)
{
  struct device *d = known(device);
  return d == NULL ? NVML_ERROR_INVALID_ARGUMENT : put(uuid, length, d->uuid);
}

NVML(nvmlDeviceGetName, nvmlDevice_t device, char *name, unsigned int length)
{
  struct device *d = known(device);
  return d == NULL ? NVML_ERROR_INVALID_ARGUMENT : put(name, length, d->model);
}

NVML(nvmlDeviceGetCudaComputeCapability, nvmlDevice_t device, int *major, int *minor)
{
  if (known(device) == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  *major = 8;
  *minor = 0;
  return NVML_SUCCESS;
}

NVML(nvmlDeviceGetNumGpuCores, nvmlDevice_t device, unsigned int *cores)
{
  struct device *d = known(device);
  if (d == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  *cores = d->multiprocessors * CORES_PER_MULTIPROCESSOR;
  return NVML_SUCCESS;
}

static void fill_pci(const struct device *d, nvmlPciInfo_t *pci)
{
  memset(pci, 0, sizeof *pci);
  sscanf(d->pci, "%x:%x:%x", &pci->domain, &pci->bus, &pci->device);
  snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", pci->domain & 0xffff, pci->bus & 0xff, pci->device & 0xff);
  snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", pci->domain, pci->bus, pci->device);
}

NVML(nvmlDeviceGetPciInfo_v3, nvmlDevice_t device, nvmlPciInfo_t *pci)
{
  struct device *d = known(device);
  if (d == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  fill_pci(d, pci);
  return NVML_SUCCESS;
}
ALIAS(nvmlDeviceGetPciInfo_v2, nvmlDeviceGetPciInfo_v3)
ALIAS(nvmlDeviceGetPciInfo, nvmlDeviceGetPciInfo_v3)

NVML(nvmlDeviceGetMigMode, nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{
  if (known(device) == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  *current = *pending = 0;
  return NVML_SUCCESS;
}

NVML(nvmlDeviceGetNumaNodeId, nvmlDevice_t device, unsigned int *node)
{
  struct device *d = known(device);
  if (d == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  *node = (unsigned)d->numa;
  return NVML_SUCCESS;
}

// NVML_TOPOLOGY_NODE 40 within a NUMA node and NVML_TOPOLOGY_SYSTEM 50 between two, unless the file of devices has `levels`.
NVML(nvmlDeviceGetTopologyCommonAncestor, nvmlDevice_t one, nvmlDevice_t other, int *level)
{
  struct device *a = known(one), *b = known(other);
  if (a == NULL || b == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  *level = a == b ? 0 : a->levels[b - W->devices] != 0 ? a->levels[b - W->devices] : a->numa == b->numa ? 40 : 50;
  return NVML_SUCCESS;
}

// The device at the other end of a link; NULL: there is no such link.
static struct device *linked(const struct device *d, unsigned int link)
{
  for (unsigned n = 0; n < W->devices_end; n++) {
    if (link < d->nvlinks[n]) return &W->devices[n];
    link -= d->nvlinks[n];
  }
  return NULL;
}

NVML(nvmlDeviceGetNvLinkState, nvmlDevice_t device, unsigned int link, unsigned int *active)
{
  struct device *d = known(device);
  if (d == NULL || link >= 18) return NVML_ERROR_INVALID_ARGUMENT;
  *active = linked(d, link) != NULL;
  return linked(d, 0) == NULL ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

NVML(nvmlDeviceGetNvLinkRemotePciInfo_v2, nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *pci)
{
  struct device *d = known(device);
  if (d == NULL || linked(d, link) == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  fill_pci(linked(d, link), pci);
  return NVML_SUCCESS;
}

NVML(nvmlDeviceGetNvLinkRemoteDeviceType, nvmlDevice_t device, unsigned int link, unsigned int *type)
{
  struct device *d = known(device);
  if (d == NULL || linked(d, link) == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  *type = 0; // a GPU
  return NVML_SUCCESS;
}

NVML(nvmlDeviceGetMemoryInfo_v2, nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
  struct device *d = known(device);
  if (d == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  begin();
  memory->total = d->memory;
  memory->reserved = 0;
  memory->used = world_used(W, (unsigned)(d - W->devices));
  memory->free = memory->total - memory->used;
  world_unlock(W);
  return NVML_SUCCESS;
}

NVML(nvmlDeviceGetMemoryInfo, nvmlDevice_t device, nvmlMemory_t *memory)
{
  nvmlMemory_v2_t second;
  nvmlReturn_t r = nvmlDeviceGetMemoryInfo_v2(device, &second);
  if (r == NVML_SUCCESS) *memory = (nvmlMemory_t){.total = second.total, .free = second.free, .used = second.used};
  return r;
}

NVML(nvmlDeviceGetComputeRunningProcesses_v3, nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos)
{
  struct device *d = known(device);
  if (d == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  unsigned found = 0, room = infos == NULL ? 0 : *count;
  begin();
  for (unsigned n = 0; n < PROCESSES_MAX; n++) {
    const struct process *p = &W->processes[n];
    uint64_t used = p->memory[d - W->devices];
    if (p->pid == 0 || used == 0) continue;
    if (found < room) infos[found] = (nvmlProcessInfo_t){.pid = p->pid, .usedGpuMemory = used, .gpuInstanceId = UINT32_MAX, .computeInstanceId = UINT32_MAX};
    found++;
  }
  world_unlock(W);
  *count = found;
  return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
ALIAS(nvmlDeviceGetComputeRunningProcesses_v2, nvmlDeviceGetComputeRunningProcesses_v3)

NVML(nvmlDeviceGetComputeRunningProcesses, nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_v1_t *infos)
{
  nvmlProcessInfo_t full[PROCESSES_MAX];
  unsigned room = infos == NULL ? 0 : *count, found = room > PROCESSES_MAX ? PROCESSES_MAX : room;
  nvmlReturn_t r = nvmlDeviceGetComputeRunningProcesses_v3(device, &found, full);
  for (unsigned n = 0; n < found && n < room; n++) infos[n] = (nvmlProcessInfo_v1_t){.pid = full[n].pid, .usedGpuMemory = full[n].usedGpuMemory};
  *count = found;
  return r;
}

NVML(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos)
{
  (void)infos;
  *count = 0;
  return known(device) == NULL ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS;
}

NVML(nvmlDeviceGetProcessUtilization, nvmlDevice_t device, nvmlProcessUtilizationSample_t *samples, unsigned int *count, unsigned long long since_us)
{
  struct device *d = known(device);
  if (d == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  unsigned found = 0, room = samples == NULL ? 0 : *count;
  begin();
  uint64_t first = d->samples_end > SAMPLES_MAX ? d->samples_end - SAMPLES_MAX : 0;
  for (uint64_t n = first; n < d->samples_end; n++) {
    const struct sample *s = &d->samples[n % SAMPLES_MAX];
    if (s->at_ns / 1000 <= since_us) continue;
    if (found < room) samples[found] = (nvmlProcessUtilizationSample_t){.pid = s->pid, .timeStamp = s->at_ns / 1000, .smUtil = s->percent};
    found++;
  }
  world_unlock(W);
  *count = found;
  return found == 0 ? NVML_ERROR_NOT_FOUND : found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

NVML(nvmlDeviceGetUtilizationRates, nvmlDevice_t device, nvmlUtilization_t *utilization)
{
  struct device *d = known(device);
  if (d == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  begin();
  *utilization = (nvmlUtilization_t){.gpu = d->utilization};
  world_unlock(W);
  return NVML_SUCCESS;
}

// Errors of devices: each line `UUID XID` that is appended to the file STUB_GPU_EVENTS is one event, for each set that the device is in.
struct nvmlEventSet_st {
  uint32_t devices;
  long read;
};

NVML(nvmlDeviceGetSupportedEventTypes, nvmlDevice_t device, unsigned long long *types)
{
  *types = NVML_EVENT_XID_CRITICAL;
  return known(device) == NULL ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS;
}

NVML(nvmlEventSetCreate, nvmlEventSet_t *set)
{
  *set = calloc(1, sizeof **set);
  return NVML_SUCCESS;
}

NVML(nvmlEventSetFree, nvmlEventSet_t set)
{
  free(set);
  return NVML_SUCCESS;
}

NVML(nvmlDeviceRegisterEvents, nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{
  struct device *d = known(device);
  (void)types;
  if (d == NULL) return NVML_ERROR_INVALID_ARGUMENT;
  set->devices |= 1u << (d - W->devices);
  return NVML_SUCCESS;
}

static bool next_event(nvmlEventSet_t set, nvmlEventData_t *data)
{
  const char *path = getenv("STUB_GPU_EVENTS");
  FILE *file = path == NULL ? NULL : fopen(path, "re");
  char line[128], uuid[64];
  unsigned long long xid;
  bool found = false;
  if (file == NULL) return false;
  fseek(file, set->read, SEEK_SET);
  while (!found && fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL) {
    set->read = ftell(file);
    for (unsigned n = 0; n < W->devices_end && sscanf(line, "%63s %llu", uuid, &xid) == 2; n++) {
      if (!(set->devices & (1u << n)) || strcmp(W->devices[n].uuid, uuid) != 0) continue;
      *data = (nvmlEventData_t){.device = (nvmlDevice_t)&W->devices[n], .eventType = NVML_EVENT_XID_CRITICAL, .eventData = xid};
      found = true;
    }
  }
  fclose(file);
  return found;
}

NVML(nvmlEventSetWait_v2, nvmlEventSet_t set, nvmlEventData_t *data, unsigned int timeout_ms)
{
  uint64_t deadline = real_ns() + timeout_ms * 1000000ull;
  for (;;) {
    if (next_event(set, data)) return NVML_SUCCESS;
    if (real_ns() >= deadline) return NVML_ERROR_TIMEOUT;
    usleep(5000);
  }
}
ALIAS(nvmlEventSetWait, nvmlEventSetWait_v2)
