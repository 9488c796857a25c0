// Memory that calls ask for: reserved before the driver is asked, so that no two processes get the same room, and given back when it says no.
#include "interposer.h"

#define UNIT 512ull            // cuMemAlloc's granularity

static uint64_t round_up(uint64_t n)
{
  return n > UINT64_MAX - UNIT ? n : (n + UNIT - 1) / UNIT * UNIT;
}

static uint64_t *allocated(unsigned device)
{
  return &own->slot->devices[device].allocated;
}

// Room for `bytes`; tries once more without what pools have to spare.
static bool take(unsigned device, uint64_t bytes)
{
  __atomic_add_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  reconcile(device, false);
  if (reserve(device, bytes, allocated(device))) return true;
  trim_pools(device);
  reconcile(device, true);
  if (reserve(device, bytes, allocated(device))) return true;
  __atomic_sub_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  __atomic_add_fetch(&region->devices[device].refused, 1, __ATOMIC_RELAXED);
  return false;
}

// The driver's answer to a call for which room was taken.
static CUresult finish(CUresult r, unsigned device, enum kind kind, uint64_t key, uint64_t bytes)
{
  if (r == CUDA_SUCCESS) {
    spin_lock(&own->table_lock);
    struct entry *e = table_add(kind, key);
    if (e != NULL) e->bytes = bytes, e->device = (uint8_t)device, e->handles = 1;
    spin_unlock(&own->table_lock);
  } else {
    give_back(bytes, allocated(device));
  }
  __atomic_sub_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  return r;
}

// Takes a handle out before it is freed: its number may be used again at once. Put back with `restore` if the driver refuses.
static struct entry detach(enum kind kind, uint64_t key)
{
  struct entry copy = {0};
  spin_lock(&own->table_lock);
  struct entry *e = table_find(kind, key);
  if (e != NULL) {
    copy = *e;
    table_remove(e);
  }
  spin_unlock(&own->table_lock);
  return copy;
}

static CUresult released(CUresult r, const struct entry *was)
{
  if (was->kind == KIND_FREE) return r;
  if (r == CUDA_SUCCESS) {
    give_back(was->bytes, allocated(was->device));
  } else {
    spin_lock(&own->table_lock);
    struct entry *e = table_add((enum kind)was->kind, was->key);
    if (e != NULL) *e = *was;
    spin_unlock(&own->table_lock);
  }
  return r;
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
  NEED(cuMemAlloc_v2, CUDA_ERROR_NOT_INITIALIZED);
  int device = current_device();
  if (device < 0 || bytes == 0) return real_cuMemAlloc_v2()(address, bytes);
  uint64_t room = round_up(bytes);
  if (!take((unsigned)device, room)) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult r = real_cuMemAlloc_v2()(address, bytes);
  return finish(r, (unsigned)device, KIND_MEMORY, *address, room);
}

EXPORT CUresult cuMemAlloc(unsigned int *address, unsigned int bytes)
{
  NEED(cuMemAlloc, CUDA_ERROR_NOT_INITIALIZED);
  int device = current_device();
  if (device < 0 || bytes == 0) return real_cuMemAlloc()(address, bytes);
  uint64_t room = round_up(bytes);
  if (!take((unsigned)device, room)) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult r = real_cuMemAlloc()(address, bytes);
  return finish(r, (unsigned)device, KIND_MEMORY, *address, room);
}

EXPORT CUresult cuMemAllocManaged(CUdeviceptr *address, size_t bytes, unsigned int flags)
{
  NEED(cuMemAllocManaged, CUDA_ERROR_NOT_INITIALIZED);
  int device = current_device();
  if (device < 0 || bytes == 0) return real_cuMemAllocManaged()(address, bytes, flags);
  uint64_t room = round_up(bytes);
  if (!take((unsigned)device, room)) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult r = real_cuMemAllocManaged()(address, bytes, flags);
  return finish(r, (unsigned)device, KIND_MEMORY, *address, room);
}

// How wide a row becomes, only the driver knows: what it took more than rows of 512 bytes is taken afterwards.
EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr *address, size_t *pitch, size_t width, size_t height, unsigned int element)
{
  NEED(cuMemAllocPitch_v2, CUDA_ERROR_NOT_INITIALIZED);
  int device = current_device();
  if (device < 0 || width == 0 || height == 0) return real_cuMemAllocPitch_v2()(address, pitch, width, height, element);
  uint64_t row = round_up(width), room = row > UINT64_MAX / height ? UINT64_MAX : row * height;
  if (!take((unsigned)device, room)) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult r = real_cuMemAllocPitch_v2()(address, pitch, width, height, element);
  uint64_t real = r == CUDA_SUCCESS ? round_up(*pitch * height) : room;
  if (real > room && !reserve((unsigned)device, real - room, allocated((unsigned)device))) {
    real_cuMemFree_v2()(*address);
    return finish(CUDA_ERROR_OUT_OF_MEMORY, (unsigned)device, KIND_MEMORY, 0, room);
  }
  if (real < room) give_back(room - real, allocated((unsigned)device));
  return finish(r, (unsigned)device, KIND_MEMORY, *address, real);
}

EXPORT CUresult cuMemFree_v2(CUdeviceptr address)
{
  NEED(cuMemFree_v2, CUDA_ERROR_NOT_INITIALIZED);
  if (!own->attached) return real_cuMemFree_v2()(address);
  spin_lock(&own->pool_lock); // stream-ordered memory may be freed so too
  spin_lock(&own->table_lock);
  struct entry *async = table_find(KIND_ASYNC, address);
  spin_unlock(&own->table_lock);
  spin_unlock(&own->pool_lock);
  if (async != NULL) return cuMemFreeAsync(address, CU_STREAM_LEGACY);
  struct entry was = detach(KIND_MEMORY, address);
  return released(real_cuMemFree_v2()(address), &was);
}

EXPORT CUresult cuMemFree(unsigned int address)
{
  NEED(cuMemFree, CUDA_ERROR_NOT_INITIALIZED);
  if (!own->attached) return real_cuMemFree()(address);
  struct entry was = detach(KIND_MEMORY, address);
  return released(real_cuMemFree()(address), &was);
}

static uint64_t element_bytes(int format)
{
  switch (format) {
  case CU_AD_FORMAT_UNSIGNED_INT8:
  case CU_AD_FORMAT_SIGNED_INT8: return 1;
  case CU_AD_FORMAT_UNSIGNED_INT16:
  case CU_AD_FORMAT_SIGNED_INT16:
  case CU_AD_FORMAT_HALF: return 2;
  default: return 4; // of compressed formats more than they take
  }
}

static uint64_t array_bytes(const CUDA_ARRAY3D_DESCRIPTOR *shape, unsigned levels)
{
  uint64_t sum = 0;
  for (unsigned n = 0; n < levels && n < 32; n++) {
    uint64_t w = shape->Width >> n, h = shape->Height >> n, d = shape->Depth >> n, bytes = element_bytes(shape->Format) * shape->NumChannels;
    if (__builtin_mul_overflow(bytes, w == 0 ? 1 : w, &bytes) || __builtin_mul_overflow(bytes, h == 0 ? 1 : h, &bytes) || __builtin_mul_overflow(bytes, d == 0 ? 1 : d, &bytes)) return UINT64_MAX / 2;
    sum += round_up(bytes);
  }
  return sum;
}

EXPORT CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *shape)
{
  NEED(cuArray3DCreate_v2, CUDA_ERROR_NOT_INITIALIZED);
  int device = current_device();
  if (device < 0 || shape == NULL) return real_cuArray3DCreate_v2()(array, shape);
  uint64_t room = array_bytes(shape, 1);
  if (!take((unsigned)device, room)) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult r = real_cuArray3DCreate_v2()(array, shape);
  return finish(r, (unsigned)device, KIND_ARRAY, (uint64_t)(uintptr_t)*array, room);
}

EXPORT CUresult cuArrayCreate_v2(CUarray *array, const CUDA_ARRAY_DESCRIPTOR *shape)
{
  NEED(cuArrayCreate_v2, CUDA_ERROR_NOT_INITIALIZED);
  int device = current_device();
  if (device < 0 || shape == NULL) return real_cuArrayCreate_v2()(array, shape);
  CUDA_ARRAY3D_DESCRIPTOR full = {.Width = shape->Width, .Height = shape->Height, .Format = shape->Format, .NumChannels = shape->NumChannels};
  uint64_t room = array_bytes(&full, 1);
  if (!take((unsigned)device, room)) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult r = real_cuArrayCreate_v2()(array, shape);
  return finish(r, (unsigned)device, KIND_ARRAY, (uint64_t)(uintptr_t)*array, room);
}

EXPORT CUresult cuMipmappedArrayCreate(CUmipmappedArray *array, const CUDA_ARRAY3D_DESCRIPTOR *shape, unsigned int levels)
{
  NEED(cuMipmappedArrayCreate, CUDA_ERROR_NOT_INITIALIZED);
  int device = current_device();
  if (device < 0 || shape == NULL) return real_cuMipmappedArrayCreate()(array, shape, levels);
  uint64_t room = array_bytes(shape, levels);
  if (!take((unsigned)device, room)) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult r = real_cuMipmappedArrayCreate()(array, shape, levels);
  return finish(r, (unsigned)device, KIND_ARRAY, (uint64_t)(uintptr_t)*array, room);
}

EXPORT CUresult cuArrayDestroy(CUarray array)
{
  NEED(cuArrayDestroy, CUDA_ERROR_NOT_INITIALIZED);
  if (!own->attached) return real_cuArrayDestroy()(array);
  struct entry was = detach(KIND_ARRAY, (uint64_t)(uintptr_t)array);
  return released(real_cuArrayDestroy()(array), &was);
}

EXPORT CUresult cuMipmappedArrayDestroy(CUmipmappedArray array)
{
  NEED(cuMipmappedArrayDestroy, CUDA_ERROR_NOT_INITIALIZED);
  if (!own->attached) return real_cuMipmappedArrayDestroy()(array);
  struct entry was = detach(KIND_ARRAY, (uint64_t)(uintptr_t)array);
  return released(real_cuMipmappedArrayDestroy()(array), &was);
}

// Physical memory lives while a handle or a mapping holds it. What is imported is charged to who made it.
EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size, const CUmemAllocationProp *prop, unsigned long long flags)
{
  NEED(cuMemCreate, CUDA_ERROR_NOT_SUPPORTED);
  int device = prop != NULL && prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE ? device_of(prop->location.id) : -1;
  if (device < 0 || size == 0) return real_cuMemCreate()(handle, size, prop, flags);
  if (!take((unsigned)device, size)) return CUDA_ERROR_OUT_OF_MEMORY;
  CUresult r = real_cuMemCreate()(handle, size, prop, flags);
  return finish(r, (unsigned)device, KIND_HANDLE, *handle, size);
}

// Under the table's lock.
static void drop_if_unheld(struct entry *e)
{
  if (e->handles > 0 || e->mappings > 0) return;
  give_back(e->bytes, allocated(e->device));
  table_remove(e);
}

EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
  NEED(cuMemRelease, CUDA_ERROR_NOT_SUPPORTED);
  if (!own->attached) return real_cuMemRelease()(handle);
  spin_lock(&own->table_lock); // held over the call: the handle's number may be used again at once
  CUresult r = real_cuMemRelease()(handle);
  struct entry *e = r == CUDA_SUCCESS ? table_find(KIND_HANDLE, handle) : NULL;
  if (e != NULL) {
    e->handles--;
    drop_if_unheld(e);
  }
  spin_unlock(&own->table_lock);
  return r;
}

EXPORT CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *address)
{
  NEED(cuMemRetainAllocationHandle, CUDA_ERROR_NOT_SUPPORTED);
  if (!own->attached) return real_cuMemRetainAllocationHandle()(handle, address);
  spin_lock(&own->table_lock);
  CUresult r = real_cuMemRetainAllocationHandle()(handle, address);
  struct entry *e = r == CUDA_SUCCESS ? table_find(KIND_HANDLE, *handle) : NULL;
  if (e != NULL) e->handles++;
  spin_unlock(&own->table_lock);
  return r;
}

EXPORT CUresult cuMemMap(CUdeviceptr address, size_t size, size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags)
{
  NEED(cuMemMap, CUDA_ERROR_NOT_SUPPORTED);
  if (!own->attached) return real_cuMemMap()(address, size, offset, handle, flags);
  spin_lock(&own->table_lock);
  CUresult r = real_cuMemMap()(address, size, offset, handle, flags);
  struct entry *e = r == CUDA_SUCCESS ? table_find(KIND_HANDLE, handle) : NULL;
  if (e != NULL) {
    e->mappings++;
    struct entry *mapping = table_add(KIND_MAPPING, address);
    if (mapping != NULL) mapping->bytes = size, mapping->other = handle;
  }
  spin_unlock(&own->table_lock);
  return r;
}

static void unmapped(struct entry *mapping)
{
  uint64_t handle = mapping->other;
  table_remove(mapping);
  struct entry *e = table_find(KIND_HANDLE, handle);
  if (e == NULL) return;
  e->mappings--;
  drop_if_unheld(e);
}

// The range may hold several mappings.
EXPORT CUresult cuMemUnmap(CUdeviceptr address, size_t size)
{
  NEED(cuMemUnmap, CUDA_ERROR_NOT_SUPPORTED);
  if (!own->attached) return real_cuMemUnmap()(address, size);
  spin_lock(&own->table_lock);
  CUresult r = real_cuMemUnmap()(address, size);
  struct entry *exact = table_find(KIND_MAPPING, address);
  if (r == CUDA_SUCCESS && exact != NULL && exact->bytes == size) {
    unmapped(exact);
  } else if (r == CUDA_SUCCESS) {
    for (struct entry *e = table_next(NULL); e != NULL; e = table_next(e))
      if (e->kind == KIND_MAPPING && e->key >= address && e->key + e->bytes <= address + size) unmapped(e);
  }
  spin_unlock(&own->table_lock);
  return r;
}
