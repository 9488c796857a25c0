#define _GNU_SOURCE
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct world *W;
struct process *P;
CUmemoryPool device_pools[DEVICES_MAX];
struct CUmemPoolHandle_st graph_pools[DEVICES_MAX];

static struct CUctx_st primaries[DEVICES_MAX];
static int visible[DEVICES_MAX], visible_count;
static uint32_t initialized_pid; // a child that was forked has no driver: https://docs.nvidia.com/cuda, cuInit
static __thread CUcontext stack[16];
static __thread unsigned depth;

CUresult enter(uint64_t cost_ns)
{
  if (W == NULL || initialized_pid != (uint32_t)getpid()) return CUDA_ERROR_NOT_INITIALIZED;
  world_enter(W, cost_ns);
  return CUDA_SUCCESS;
}

CUresult leave(CUresult result)
{
  world_leave(W);
  return result;
}

CUcontext current_context(void)
{
  CUcontext c = depth == 0 ? NULL : stack[depth - 1];
  return c != NULL && c->is_alive ? c : NULL;
}

int visible_device(int ordinal)
{
  return ordinal >= 0 && ordinal < visible_count ? visible[ordinal] : -1;
}

static bool lists(const char *list, const char *uuid, unsigned index)
{
  char copy[1024], *rest = NULL;
  snprintf(copy, sizeof copy, "%s", list);
  for (char *word = strtok_r(copy, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest))
    if (strcmp(word, "all") == 0 || strcmp(word, uuid) == 0 || (word[0] >= '0' && word[0] <= '9' && (unsigned)atoi(word) == index)) return true;
  return false;
}

// NVIDIA_VISIBLE_DEVICES is what the container runtime would have shown; CUDA_VISIBLE_DEVICES counts in what is left.
static void choose_devices(void)
{
  const char *container = getenv("NVIDIA_VISIBLE_DEVICES"), *cuda = getenv("CUDA_VISIBLE_DEVICES");
  unsigned shown = 0;
  visible_count = 0;
  for (unsigned n = 0; n < W->devices_end; n++) {
    if (container != NULL && !lists(container, W->devices[n].uuid, n)) continue;
    if (cuda == NULL || lists(cuda, W->devices[n].uuid, shown)) visible[visible_count++] = (int)n;
    shown++;
  }
}

static void make_pools(void)
{
  for (int n = 0; n < DEVICES_MAX; n++) {
    graph_pools[n] = (struct CUmemPoolHandle_st){.device = n, .is_default = true, .threshold = UINT64_MAX};
    if (device_pools[n] == NULL) device_pools[n] = calloc(1, sizeof *device_pools[n]);
    *device_pools[n] = (struct CUmemPoolHandle_st){.device = n, .is_default = true};
  }
}

// So that tests can have processes begin at the same virtual time: each STUB_GPU_TOGETHER of them wait for one another.
static void wait_for_others(void)
{
  const char *text = getenv("STUB_GPU_TOGETHER");
  uint32_t together = text == NULL ? 1 : (uint32_t)strtoul(text, NULL, 10);
  if (together < 2 || together > 16) return;
  uint32_t *count = &W->inits[together], mine = __atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST), last = (mine + together - 1) / together * together;
  while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < last) syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = 200000}, NULL);
}

CU(cuInit, unsigned int flags)
{
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  struct world *w = world_open();
  if (w == NULL) return CUDA_ERROR_NO_DEVICE;
  world_enter(w, 1000);
  struct process *p = world_process(w);
  bool first = p != NULL && initialized_pid != (uint32_t)getpid();
  CUresult result = p == NULL ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
  if (first) {
    W = w;
    P = p;
    choose_devices();
    make_pools();
    if (visible_count == 0) result = CUDA_ERROR_NO_DEVICE;
    else initialized_pid = (uint32_t)getpid();
  }
  world_leave(w);
  if (first && result == CUDA_SUCCESS) wait_for_others();
  return result;
}

CU(cuDriverGetVersion, int *version)
{
  *version = 12090;
  return CUDA_SUCCESS;
}

CU(cuDeviceGetCount, int *count)
{
  if (enter(100) != CUDA_SUCCESS) return CUDA_ERROR_NOT_INITIALIZED;
  *count = visible_count;
  return leave(CUDA_SUCCESS);
}

CU(cuDeviceGet, CUdevice *device, int ordinal)
{
  if (enter(100) != CUDA_SUCCESS) return CUDA_ERROR_NOT_INITIALIZED;
  *device = ordinal;
  return leave(visible_device(ordinal) < 0 ? CUDA_ERROR_INVALID_DEVICE : CUDA_SUCCESS);
}

static CUresult with_device(CUdevice ordinal, struct device **device)
{
  if (enter(100) != CUDA_SUCCESS) return CUDA_ERROR_NOT_INITIALIZED;
  int index = visible_device(ordinal);
  if (index < 0) return leave(CUDA_ERROR_INVALID_DEVICE);
  *device = &W->devices[index];
  return CUDA_SUCCESS;
}

CU(cuDeviceGetName, char *name, int length, CUdevice device)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  snprintf(name, (size_t)length, "%s", d->model);
  return leave(CUDA_SUCCESS);
}

CU(cuDeviceGetUuid_v2, CUuuid *uuid, CUdevice device)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  const char *text = d->uuid + 4;
  for (int n = 0; n < 16; n++, text += 2) {
    if (*text == '-') text++;
    unsigned byte = 0;
    sscanf(text, "%2x", &byte);
    uuid->bytes[n] = (unsigned char)byte;
  }
  return leave(CUDA_SUCCESS);
}
ALIAS(cuDeviceGetUuid, cuDeviceGetUuid_v2)

CU(cuDeviceTotalMem_v2, size_t *bytes, CUdevice device)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  *bytes = d->memory;
  return leave(CUDA_SUCCESS);
}

CU(cuDeviceTotalMem, unsigned int *bytes, CUdevice device)
{
  size_t all = 0;
  CUresult r = cuDeviceTotalMem_v2(&all, device);
  *bytes = all > UINT32_MAX ? UINT32_MAX : (unsigned int)all;
  return r;
}

static int attribute_of(const struct device *d, unsigned index, int attribute)
{
  switch (attribute) {
  case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: return 1024;
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: return 1024;
  case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: return 64;
  case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: return 2147483647;
  case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
  case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: return 65535;
  case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: return 49152;
  case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
  case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: return 1410000;
  case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return (int)d->multiprocessors;
  case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: return 2048;
  case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: return (int)(0x10 + index);
  case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return 8;
  case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
  case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
  case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
  case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
  case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
  case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
  case CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH:
  case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
  case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: return 1;
  default: return 0;
  }
}

CU(cuDeviceGetAttribute, int *value, int attribute, CUdevice device)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  *value = attribute_of(d, (unsigned)(d - W->devices), attribute);
  return leave(CUDA_SUCCESS);
}

CU(cuDeviceComputeCapability, int *major, int *minor, CUdevice device)
{
  *minor = 0;
  return cuDeviceGetAttribute(major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
}

CU(cuDeviceGetPCIBusId, char *id, int length, CUdevice device)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  snprintf(id, (size_t)length, "%s", d->pci);
  return leave(CUDA_SUCCESS);
}

CU(cuDeviceGetByPCIBusId, CUdevice *device, const char *id)
{
  if (enter(100) != CUDA_SUCCESS) return CUDA_ERROR_NOT_INITIALIZED;
  for (int n = 0; n < visible_count; n++) {
    if (strcmp(W->devices[visible[n]].pci, id) != 0) continue;
    *device = n;
    return leave(CUDA_SUCCESS);
  }
  return leave(CUDA_ERROR_INVALID_DEVICE);
}

static CUresult start_context(CUcontext context, int device)
{
  if (!take_memory(device, W->devices[device].context_bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  context->device = device;
  context->is_alive = true;
  return CUDA_SUCCESS;
}

static void end_context(CUcontext context)
{
  wait_device(context->device);
  give_memory(context->device, W->devices[context->device].context_bytes);
  context->is_alive = false;
}

static CUresult push(CUcontext context)
{
  if (depth == sizeof stack / sizeof stack[0]) return CUDA_ERROR_INVALID_VALUE;
  stack[depth++] = context;
  return CUDA_SUCCESS;
}

CU(cuCtxCreate_v2, CUcontext *context, unsigned int flags, CUdevice device)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  CUcontext made = calloc(1, sizeof *made);
  made->flags = flags;
  r = start_context(made, (int)(d - W->devices));
  if (r == CUDA_SUCCESS) r = push(*context = made);
  else free(made);
  return leave(r);
}
ALIAS(cuCtxCreate, cuCtxCreate_v2)

CU(cuCtxCreate_v3, CUcontext *context, void *affinity, int count, unsigned int flags, CUdevice device)
{
  (void)affinity, (void)count;
  return cuCtxCreate_v2(context, flags, device);
}

CU(cuCtxCreate_v4, CUcontext *context, void *params, unsigned int flags, CUdevice device)
{
  (void)params;
  return cuCtxCreate_v2(context, flags, device);
}

CU(cuCtxDestroy_v2, CUcontext context)
{
  if (enter(1000) != CUDA_SUCCESS) return CUDA_ERROR_NOT_INITIALIZED;
  if (context == NULL || !context->is_alive || context->is_primary) return leave(CUDA_ERROR_INVALID_CONTEXT);
  end_context(context);
  if (depth > 0 && stack[depth - 1] == context) depth--;
  return leave(CUDA_SUCCESS); // the handle is kept, so that a late use is an error and not a crash
}
ALIAS(cuCtxDestroy, cuCtxDestroy_v2)

CU(cuDevicePrimaryCtxRetain, CUcontext *context, CUdevice device)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  CUcontext primary = &primaries[d - W->devices];
  primary->is_primary = true;
  if (!primary->is_alive) {
    primary->primary_count = 0;
    r = start_context(primary, (int)(d - W->devices));
  }
  if (r == CUDA_SUCCESS) primary->primary_count++;
  *context = primary;
  return leave(r);
}

CU(cuDevicePrimaryCtxRelease_v2, CUdevice device)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  CUcontext primary = &primaries[d - W->devices];
  if (!primary->is_alive) return leave(CUDA_ERROR_INVALID_CONTEXT);
  if (--primary->primary_count == 0) end_context(primary);
  return leave(CUDA_SUCCESS);
}
ALIAS(cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2)

CU(cuDevicePrimaryCtxReset_v2, CUdevice device)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  CUcontext primary = &primaries[d - W->devices];
  if (primary->is_alive) end_context(primary);
  return leave(CUDA_SUCCESS);
}
ALIAS(cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2)

CU(cuDevicePrimaryCtxGetState, CUdevice device, unsigned int *flags, int *active)
{
  struct device *d;
  CUresult r = with_device(device, &d);
  if (r != CUDA_SUCCESS) return r;
  *flags = 0;
  *active = primaries[d - W->devices].is_alive;
  return leave(CUDA_SUCCESS);
}

CU(cuDevicePrimaryCtxSetFlags_v2, CUdevice device, unsigned int flags)
{
  (void)device, (void)flags;
  return CUDA_SUCCESS;
}
ALIAS(cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2)

CU(cuCtxPushCurrent_v2, CUcontext context)
{
  return context == NULL || !context->is_alive ? CUDA_ERROR_INVALID_CONTEXT : push(context);
}
ALIAS(cuCtxPushCurrent, cuCtxPushCurrent_v2)

CU(cuCtxPopCurrent_v2, CUcontext *context)
{
  if (depth == 0) return CUDA_ERROR_INVALID_CONTEXT;
  depth--;
  if (context != NULL) *context = stack[depth];
  return CUDA_SUCCESS;
}
ALIAS(cuCtxPopCurrent, cuCtxPopCurrent_v2)

CU(cuCtxSetCurrent, CUcontext context)
{
  if (context == NULL) {
    if (depth > 0) depth--;
    return CUDA_SUCCESS;
  }
  if (!context->is_alive) return CUDA_ERROR_INVALID_CONTEXT;
  if (depth > 0) depth--;
  return push(context);
}

CU(cuCtxGetCurrent, CUcontext *context)
{
  *context = depth == 0 ? NULL : stack[depth - 1];
  return W == NULL ? CUDA_ERROR_NOT_INITIALIZED : CUDA_SUCCESS;
}

CU(cuCtxGetDevice, CUdevice *device)
{
  CUcontext c = current_context();
  if (c == NULL) return CUDA_ERROR_INVALID_CONTEXT;
  for (int n = 0; n < visible_count; n++)
    if (visible[n] == c->device) *device = n;
  return CUDA_SUCCESS;
}

CU(cuCtxGetFlags, unsigned int *flags)
{
  CUcontext c = current_context();
  if (c == NULL) return CUDA_ERROR_INVALID_CONTEXT;
  *flags = c->flags;
  return CUDA_SUCCESS;
}

CU(cuCtxGetApiVersion, CUcontext context, unsigned int *version)
{
  (void)context;
  *version = 12090;
  return CUDA_SUCCESS;
}

CU(cuCtxGetStreamPriorityRange, int *least, int *greatest)
{
  if (least != NULL) *least = 0;
  if (greatest != NULL) *greatest = -5;
  return CUDA_SUCCESS;
}

CU(cuCtxGetLimit, size_t *value, int limit)
{
  (void)limit;
  *value = 0;
  return CUDA_SUCCESS;
}

CU(cuCtxSetLimit, int limit, size_t value)
{
  (void)limit, (void)value;
  return CUDA_SUCCESS;
}

CU(cuCtxSynchronize, void)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  CUcontext c = current_context();
  if (c == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  if (is_unsafe_during_capture()) return leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  wait_device(c->device);
  trim_pools(c->device, true);
  return leave(CUDA_SUCCESS);
}
