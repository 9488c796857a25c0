// Memory has real pages behind it, so that copies work; kernels do not read or write it.
#define _GNU_SOURCE
#include "driver.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BUCKETS 4096
static struct allocation *buckets[BUCKETS];

static uint64_t round_up(uint64_t n, uint64_t unit)
{
  return (n + unit - 1) / unit * unit;
}

static struct allocation **bucket_of(CUdeviceptr address)
{
  return &buckets[(address >> 12) * 0x9e3779b97f4a7c15ull >> 52];
}

struct allocation *remember(CUdeviceptr address, size_t bytes, size_t charged, CUdevice device)
{
  struct allocation *a = calloc(1, sizeof *a), **bucket = bucket_of(address);
  *a = (struct allocation){.next = *bucket, .address = address, .bytes = bytes, .charged = charged, .device = device};
  return *bucket = a;
}

struct allocation *find_allocation(CUdeviceptr address)
{
  struct allocation *a = *bucket_of(address);
  while (a != NULL && a->address != address) a = a->next;
  return a;
}

void forget(CUdeviceptr address)
{
  struct allocation **at = bucket_of(address);
  while ((*at)->address != address) at = &(*at)->next;
  struct allocation *a = *at;
  *at = a->next;
  if (a->bytes > 0) munmap((void *)a->address, a->bytes);
  free(a);
}

// 0: there is none.
CUdeviceptr back_memory(size_t bytes)
{
  void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return pages == MAP_FAILED ? 0 : (CUdeviceptr)pages;
}

bool take_memory(CUdevice device, size_t bytes)
{
  if (bytes > INT64_MAX) return false;
  if (world_take(W, P, (unsigned)device, (int64_t)bytes)) return true;
  trim_pools(device, false);
  return world_take(W, P, (unsigned)device, (int64_t)bytes);
}

void give_memory(CUdevice device, size_t bytes)
{
  world_take(W, P, (unsigned)device, -(int64_t)bytes);
}

// Begins a call that makes memory in the current context.
static CUresult begin(CUdevice *device)
{
  CUresult r = enter(2000);
  if (r != CUDA_SUCCESS) return r;
  CUcontext c = current_context();
  if (c == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  if (is_unsafe_during_capture()) return leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  *device = c->device;
  return CUDA_SUCCESS;
}

static CUresult allocate(CUdeviceptr *address, size_t bytes)
{
  CUdevice device;
  CUresult r = begin(&device);
  if (r != CUDA_SUCCESS) return r;
  if (bytes == 0) return leave(CUDA_ERROR_INVALID_VALUE);
  size_t charged = round_up(bytes, ALLOCATION_UNIT);
  if (charged < bytes || !take_memory(device, charged)) return leave(CUDA_ERROR_OUT_OF_MEMORY);
  CUdeviceptr made = back_memory(bytes);
  if (made == 0) {
    give_memory(device, charged);
    return leave(CUDA_ERROR_OUT_OF_MEMORY);
  }
  remember(made, bytes, charged, device);
  *address = made;
  return leave(CUDA_SUCCESS);
}

CU(cuMemAlloc_v2, CUdeviceptr *address, size_t bytes)
{
  return allocate(address, bytes);
}

CU(cuMemAllocManaged, CUdeviceptr *address, size_t bytes, unsigned int flags)
{
  return flags == 0 ? CUDA_ERROR_INVALID_VALUE : allocate(address, bytes);
}

CU(cuMemAllocPitch_v2, CUdeviceptr *address, size_t *pitch, size_t width, size_t height, unsigned int element)
{
  if (element != 4 && element != 8 && element != 16) return CUDA_ERROR_INVALID_VALUE;
  *pitch = round_up(width, 512);
  return allocate(address, *pitch * height);
}

CU(cuMemFree_v2, CUdeviceptr address)
{
  CUresult r = enter(2000);
  if (r != CUDA_SUCCESS) return r;
  if (address == 0) return leave(CUDA_SUCCESS);
  if (is_unsafe_during_capture()) return leave(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  struct allocation *a = find_allocation(address);
  if (a == NULL || a->is_imported) return leave(CUDA_ERROR_INVALID_VALUE);
  wait_device(a->device);
  if (find_allocation(address) != a) return leave(CUDA_ERROR_INVALID_VALUE);
  if (a->pool != NULL) pool_give(a->pool, a->charged);
  else give_memory(a->device, a->charged);
  forget(address);
  return leave(CUDA_SUCCESS);
}

// The 32-bit calls of the first CUDA: nothing that we give fits into their pointers.
CU(cuMemAlloc, unsigned int *address, unsigned int bytes)
{
  (void)address, (void)bytes;
  return CUDA_ERROR_NOT_SUPPORTED;
}

CU(cuMemFree, unsigned int address)
{
  (void)address;
  return CUDA_ERROR_INVALID_VALUE;
}

CU(cuMemGetInfo_v2, size_t *free_bytes, size_t *total)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  CUcontext c = current_context();
  if (c == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  *total = W->devices[c->device].memory;
  *free_bytes = *total - world_used(W, (unsigned)c->device);
  return leave(CUDA_SUCCESS);
}

CU(cuMemGetInfo, unsigned int *free_bytes, unsigned int *total)
{
  size_t f = 0, t = 0;
  CUresult r = cuMemGetInfo_v2(&f, &t);
  *free_bytes = f > UINT32_MAX ? UINT32_MAX : (unsigned int)f;
  *total = t > UINT32_MAX ? UINT32_MAX : (unsigned int)t;
  return r;
}

CU(cuMemGetAddressRange_v2, CUdeviceptr *base, size_t *size, CUdeviceptr address)
{
  CUresult r = enter(200);
  if (r != CUDA_SUCCESS) return r;
  for (unsigned n = 0; n < BUCKETS; n++)
    for (struct allocation *a = buckets[n]; a != NULL; a = a->next) {
      if (address < a->address || address - a->address >= a->bytes) continue;
      if (base != NULL) *base = a->address;
      if (size != NULL) *size = a->bytes;
      return leave(CUDA_SUCCESS);
    }
  return leave(CUDA_ERROR_NOT_FOUND);
}

CU(cuMemHostAlloc, void **pointer, size_t bytes, unsigned int flags)
{
  (void)flags;
  return (*pointer = malloc(bytes)) == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CU(cuMemAllocHost_v2, void **pointer, size_t bytes)
{
  return cuMemHostAlloc(pointer, bytes, 0);
}

CU(cuMemFreeHost, void *pointer)
{
  free(pointer);
  return CUDA_SUCCESS;
}

struct CUarray_st {
  size_t charged;
  CUdevice device;
};

static size_t bytes_of(const CUDA_ARRAY3D_DESCRIPTOR *shape, unsigned level)
{
  int f = shape->Format;
  size_t element = f == CU_AD_FORMAT_UNSIGNED_INT8 || f == CU_AD_FORMAT_SIGNED_INT8                                 ? 1
                   : f == CU_AD_FORMAT_UNSIGNED_INT16 || f == CU_AD_FORMAT_SIGNED_INT16 || f == CU_AD_FORMAT_HALF ? 2
                                                                                                                   : 4;
  size_t w = shape->Width >> level, h = shape->Height >> level, d = shape->Depth >> level;
  return element * shape->NumChannels * (w == 0 ? 1 : w) * (h == 0 ? 1 : h) * (d == 0 ? 1 : d);
}

static CUresult make_array(struct CUarray_st **array, const CUDA_ARRAY3D_DESCRIPTOR *shape, unsigned levels)
{
  CUdevice device;
  CUresult r = begin(&device);
  if (r != CUDA_SUCCESS) return r;
  if (shape->Width == 0 || shape->NumChannels == 0 || shape->NumChannels > 4 || levels == 0) return leave(CUDA_ERROR_INVALID_VALUE);
  size_t charged = 0;
  for (unsigned n = 0; n < levels; n++) charged += round_up(bytes_of(shape, n), ALLOCATION_UNIT);
  if (!take_memory(device, charged)) return leave(CUDA_ERROR_OUT_OF_MEMORY);
  *array = malloc(sizeof **array);
  **array = (struct CUarray_st){.charged = charged, .device = device};
  return leave(CUDA_SUCCESS);
}

static CUresult free_array(struct CUarray_st *array)
{
  CUresult r = enter(2000);
  if (r != CUDA_SUCCESS) return r;
  if (array == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
  give_memory(array->device, array->charged);
  free(array);
  return leave(CUDA_SUCCESS);
}

CU(cuArray3DCreate_v2, CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *shape)
{
  return make_array(array, shape, 1);
}

CU(cuArrayCreate_v2, CUarray *array, const CUDA_ARRAY_DESCRIPTOR *shape)
{
  CUDA_ARRAY3D_DESCRIPTOR full = {.Width = shape->Width, .Height = shape->Height, .Format = shape->Format, .NumChannels = shape->NumChannels};
  return make_array(array, &full, 1);
}

CU(cuArrayDestroy, CUarray array)
{
  return free_array(array);
}

CU(cuMipmappedArrayCreate, CUmipmappedArray *array, const CUDA_ARRAY3D_DESCRIPTOR *shape, unsigned int levels)
{
  return make_array((struct CUarray_st **)array, shape, levels);
}

CU(cuMipmappedArrayDestroy, CUmipmappedArray array)
{
  return free_array((struct CUarray_st *)array);
}

// Other processes' memory is not ours to hold: an opened handle is pages of the same size.
CU(cuIpcGetMemHandle, CUipcMemHandle *handle, CUdeviceptr address)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  struct allocation *a = find_allocation(address);
  if (a == NULL) return leave(CUDA_ERROR_INVALID_VALUE);
  memset(handle, 0, sizeof *handle);
  memcpy(handle->reserved, &a->bytes, sizeof a->bytes);
  return leave(CUDA_SUCCESS);
}

CU(cuIpcOpenMemHandle_v2, CUdeviceptr *address, CUipcMemHandle handle, unsigned int flags)
{
  CUdevice device;
  (void)flags;
  CUresult r = begin(&device);
  if (r != CUDA_SUCCESS) return r;
  size_t bytes;
  memcpy(&bytes, handle.reserved, sizeof bytes);
  *address = bytes == 0 ? 0 : back_memory(bytes);
  if (*address == 0) return leave(CUDA_ERROR_INVALID_VALUE);
  remember(*address, bytes, 0, device)->is_imported = true;
  return leave(CUDA_SUCCESS);
}

CU(cuIpcCloseMemHandle, CUdeviceptr address)
{
  CUresult r = enter(500);
  if (r != CUDA_SUCCESS) return r;
  struct allocation *a = find_allocation(address);
  if (a == NULL || !a->is_imported) return leave(CUDA_ERROR_INVALID_VALUE);
  forget(address);
  return leave(CUDA_SUCCESS);
}

CU(cuImportExternalMemory, CUexternalMemory *memory, const void *description)
{
  (void)description;
  return (*memory = malloc(1)) == NULL ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS;
}

CU(cuDestroyExternalMemory, CUexternalMemory memory)
{
  free(memory);
  return CUDA_SUCCESS;
}
