// The driver's start, contexts and modules (memory that no call asks for by size), and what the program is told of the device's memory.
#include "interposer.h"

#define MODULE_GUESS (4 * MIB) // reserved while one is loaded; what it took is known afterwards
#define PROCESSES_ASKED 256

EXPORT CUresult cuInit(unsigned int flags)
{
  NEED(cuInit, CUDA_ERROR_NO_DEVICE);
  CUresult r = real_cuInit()(flags);
  if (r == CUDA_SUCCESS && !own->attached && !attach_process()) return CUDA_ERROR_OPERATING_SYSTEM;
  return r;
}

// Something that takes memory of its own accord: `guess` is reserved as implicit before it, what it really took counts after it.
struct implicit {
  int device;
  uint64_t guess;
  nvmlProcessInfo_t before[PROCESSES_ASKED];
  unsigned before_count;
};

static bool begin_implicit(struct implicit *i, int device, uint64_t guess)
{
  i->device = device;
  i->guess = guess;
  i->before_count = 0;
  if (device < 0) return true;
  __atomic_add_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  bool known = own->slot->host_pid != 0;
  if (!known) i->before_count = PROCESSES_ASKED;
  if (!known && !nvml_processes((unsigned)device, i->before, &i->before_count)) i->before_count = 0;
  uint64_t *counter = &own->slot->devices[device].implicit;
  if (reserve((unsigned)device, guess, counter)) return true;
  trim_pools((unsigned)device);
  reconcile((unsigned)device, true);
  if (reserve((unsigned)device, guess, counter)) return true;
  __atomic_add_fetch(&region->devices[device].refused, 1, __ATOMIC_RELAXED);
  __atomic_sub_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  return false;
}

// False: it took more than there is, and must be undone.
static bool end_implicit(struct implicit *i, bool succeeded)
{
  if (i->device < 0) return true;
  unsigned device = (unsigned)i->device;
  uint64_t *counter = &own->slot->devices[device].implicit, limit = region->devices[device].memory_limit;
  if (succeeded) find_host_pid(i->before, i->before_count, device);
  if (own->slot->host_pid == 0 || !succeeded) give_back(i->guess, counter);
  if (succeeded) reconcile(device, true);
  __atomic_sub_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  if (!succeeded || limit == 0) return true;
  region_lock();
  bool fits = region_used(device) <= limit;
  if (!fits) reap(), fits = region_used(device) <= limit;
  region_unlock();
  return fits;
}

static uint64_t context_guess(int device)
{
  return device < 0 ? 0 : region->devices[device].context_bytes;
}

static void learn_context(int device, uint64_t before)
{
  if (device < 0 || own->slot->host_pid == 0) return;
  uint64_t after = own->slot->devices[device].implicit, took = after > before ? after - before : 0;
  if (took > 0) region->devices[device].context_bytes = took;
}

static bool begin_context(struct implicit *i, CUdevice ordinal, uint64_t *before)
{
  int device = device_of(ordinal);
  *before = device < 0 ? 0 : own->slot->devices[device].implicit;
  return begin_implicit(i, device, context_guess(device));
}

// False: the context must go again.
static bool end_context(struct implicit *i, CUresult r, uint64_t before)
{
  bool fits = end_implicit(i, r == CUDA_SUCCESS);
  if (r == CUDA_SUCCESS) learn_context(i->device, before);
  return fits;
}

#define CREATE(name, parameters, arguments) \
  EXPORT CUresult name parameters \
  { \
    NEED(name, CUDA_ERROR_NOT_SUPPORTED); \
    struct implicit i; \
    uint64_t before; \
    if (!begin_context(&i, device, &before)) return CUDA_ERROR_OUT_OF_MEMORY; \
    CUresult r = real_##name() arguments; \
    if (end_context(&i, r, before)) return r; \
    real_cuCtxDestroy_v2()(*context); \
    reconcile((unsigned)i.device, true); \
    return CUDA_ERROR_OUT_OF_MEMORY; \
  }

CREATE(cuCtxCreate, (CUcontext *context, unsigned int flags, CUdevice device), (context, flags, device))
CREATE(cuCtxCreate_v2, (CUcontext *context, unsigned int flags, CUdevice device), (context, flags, device))
CREATE(cuCtxCreate_v3, (CUcontext *context, void *affinity, int count, unsigned int flags, CUdevice device), (context, affinity, count, flags, device))
CREATE(cuCtxCreate_v4, (CUcontext *context, void *params, unsigned int flags, CUdevice device), (context, params, flags, device))

static CUresult ended(CUresult r, int device)
{
  if (r == CUDA_SUCCESS && device >= 0) reconcile((unsigned)device, true);
  return r;
}

static CUresult destroy_context(CUcontext context, CUresult (*destroy)(CUcontext))
{
  if (!own->attached) return destroy(context);
  pace_forget_context(context);
  CUresult r = destroy(context);
  for (int n = 0; n < own->devices; n++) ended(r, own->index_of[n]);
  return r;
}

EXPORT CUresult cuCtxDestroy(CUcontext context)
{
  NEED(cuCtxDestroy, CUDA_ERROR_NOT_INITIALIZED);
  return destroy_context(context, real_cuCtxDestroy());
}

EXPORT CUresult cuCtxDestroy_v2(CUcontext context)
{
  NEED(cuCtxDestroy_v2, CUDA_ERROR_NOT_INITIALIZED);
  return destroy_context(context, real_cuCtxDestroy_v2());
}

EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice ordinal)
{
  NEED(cuDevicePrimaryCtxRetain, CUDA_ERROR_NOT_INITIALIZED);
  unsigned flags = 0;
  int active = 0, device = device_of(ordinal);
  if (device >= 0) call_cuDevicePrimaryCtxGetState()(ordinal, &flags, &active);
  if (device < 0 || active) return real_cuDevicePrimaryCtxRetain()(context, ordinal);
  struct implicit i;
  uint64_t before;
  if (!begin_context(&i, ordinal, &before)) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult r = real_cuDevicePrimaryCtxRetain()(context, ordinal);
  if (r == CUDA_SUCCESS) own->primary[device] = *context;
  if (end_context(&i, r, before)) return r;
  real_cuDevicePrimaryCtxRelease_v2()(ordinal);
  reconcile((unsigned)device, true);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

static CUresult end_primary(CUdevice ordinal, CUresult (*end)(CUdevice))
{
  int device = device_of(ordinal);
  if (device >= 0 && own->primary[device] != NULL) pace_forget_context(own->primary[device]);
  return ended(end(ordinal), device);
}

EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
  NEED(cuDevicePrimaryCtxRelease, CUDA_ERROR_NOT_INITIALIZED);
  return end_primary(device, real_cuDevicePrimaryCtxRelease());
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
  NEED(cuDevicePrimaryCtxRelease_v2, CUDA_ERROR_NOT_INITIALIZED);
  return end_primary(device, real_cuDevicePrimaryCtxRelease_v2());
}

EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
  NEED(cuDevicePrimaryCtxReset, CUDA_ERROR_NOT_INITIALIZED);
  return end_primary(device, real_cuDevicePrimaryCtxReset());
}

EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
  NEED(cuDevicePrimaryCtxReset_v2, CUDA_ERROR_NOT_INITIALIZED);
  return end_primary(device, real_cuDevicePrimaryCtxReset_v2());
}

#define LOAD(name, parameters, arguments, result, unload) \
  EXPORT CUresult name parameters \
  { \
    NEED(name, CUDA_ERROR_NOT_SUPPORTED); \
    struct implicit i; \
    int device = current_device(); \
    if (!begin_implicit(&i, device, MODULE_GUESS)) return CUDA_ERROR_OUT_OF_MEMORY; \
    CUresult r = real_##name() arguments; \
    if (end_implicit(&i, r == CUDA_SUCCESS)) return r; \
    real_##unload()(*result); \
    reconcile((unsigned)device, true); \
    return CUDA_ERROR_OUT_OF_MEMORY; \
  }

LOAD(cuModuleLoad, (CUmodule *module, const char *path), (module, path), module, cuModuleUnload)
LOAD(cuModuleLoadData, (CUmodule *module, const void *image), (module, image), module, cuModuleUnload)
LOAD(cuModuleLoadFatBinary, (CUmodule *module, const void *image), (module, image), module, cuModuleUnload)
LOAD(cuModuleLoadDataEx, (CUmodule *module, const void *image, unsigned int count, int *options, void **values), (module, image, count, options, values), module, cuModuleUnload)
LOAD(cuLibraryLoadData, (CUlibrary *library, const void *code, int *jit, void **jitValues, unsigned int jitCount, int *options, void **values, unsigned int count),
     (library, code, jit, jitValues, jitCount, options, values, count), library, cuLibraryUnload)
LOAD(cuLibraryLoadFromFile, (CUlibrary *library, const char *path, int *jit, void **jitValues, unsigned int jitCount, int *options, void **values, unsigned int count),
     (library, path, jit, jitValues, jitCount, options, values, count), library, cuLibraryUnload)

EXPORT CUresult cuModuleUnload(CUmodule module)
{
  NEED(cuModuleUnload, CUDA_ERROR_NOT_INITIALIZED);
  if (own->attached) pace_forget_all(); // its functions' handles may be used again
  return ended(real_cuModuleUnload()(module), current_device());
}

EXPORT CUresult cuLibraryUnload(CUlibrary library)
{
  NEED(cuLibraryUnload, CUDA_ERROR_NOT_INITIALIZED);
  if (own->attached) pace_forget_all();
  return ended(real_cuLibraryUnload()(library), current_device());
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice ordinal)
{
  NEED(cuDeviceTotalMem_v2, CUDA_ERROR_NOT_INITIALIZED);
  CUresult r = real_cuDeviceTotalMem_v2()(bytes, ordinal);
  int device = r == CUDA_SUCCESS ? device_of(ordinal) : -1;
  if (device < 0) return r;
  read_limits();
  uint64_t limit = region->devices[device].memory_limit;
  if (limit != 0 && limit < *bytes) *bytes = limit;
  return r;
}

EXPORT CUresult cuDeviceTotalMem(unsigned int *bytes, CUdevice ordinal)
{
  NEED(cuDeviceTotalMem, CUDA_ERROR_NOT_INITIALIZED);
  CUresult r = real_cuDeviceTotalMem()(bytes, ordinal);
  int device = r == CUDA_SUCCESS ? device_of(ordinal) : -1;
  uint64_t limit = device < 0 ? 0 : region->devices[device].memory_limit;
  if (limit != 0 && limit < *bytes) *bytes = (unsigned int)limit;
  return r;
}

EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
  NEED(cuMemGetInfo_v2, CUDA_ERROR_NOT_INITIALIZED);
  CUresult r = real_cuMemGetInfo_v2()(free_bytes, total);
  int device = r == CUDA_SUCCESS ? current_device() : -1;
  if (device < 0) return r;
  read_limits();
  reconcile((unsigned)device, true);
  region_lock();
  reap();
  uint64_t limit = region->devices[device].memory_limit, used = region_used((unsigned)device), left = used < limit ? limit - used : 0;
  region_unlock();
  if (limit == 0 || limit >= *total) return r;
  *total = limit;
  if (left < *free_bytes) *free_bytes = left;
  return r;
}

EXPORT CUresult cuMemGetInfo(unsigned int *free_bytes, unsigned int *total)
{
  NEED(cuMemGetInfo, CUDA_ERROR_NOT_INITIALIZED);
  size_t left = 0, all = 0;
  CUresult r = cuMemGetInfo_v2(&left, &all);
  *free_bytes = left > UINT32_MAX ? UINT32_MAX : (unsigned int)left;
  *total = all > UINT32_MAX ? UINT32_MAX : (unsigned int)all;
  return r;
}
