// Memory pools. What is freed is free at once; a pool gives back what it does not use when the program synchronizes, above its threshold.
#include "driver.h"

#include <stdlib.h>

#define POOLS_MAX 256
static CUmemoryPool pools[POOLS_MAX];

static uint64_t round_up(uint64_t n, uint64_t unit)
{
  return (n + unit - 1) / unit * unit;
}

static void shrink(CUmemoryPool pool, uint64_t keep)
{
  if (keep >= pool->reserved) return;
  uint64_t needed = round_up(pool->used, VMM_UNIT), wanted = needed > keep ? needed : round_up(keep, VMM_UNIT);
  if (wanted >= pool->reserved) return;
  give_memory(pool->device, pool->reserved - wanted);
  pool->reserved = wanted;
}

void trim_pools(CUdevice device, bool to_threshold)
{
  shrink(device_pools[device], to_threshold ? device_pools[device]->threshold : 0);
  shrink(&graph_pools[device], to_threshold ? graph_pools[device].threshold : 0);
  for (unsigned n = 0; n < POOLS_MAX; n++)
    if (pools[n] != NULL && pools[n]->device == device) shrink(pools[n], to_threshold ? pools[n]->threshold : 0);
}

bool pool_take(CUmemoryPool pool, size_t bytes)
{
  if (pool->used + bytes < pool->used) return false;
  uint64_t needed = round_up(pool->used + bytes, VMM_UNIT);
  if (needed > pool->reserved) {
    if (!take_memory(pool->device, needed - pool->reserved)) return false;
    pool->reserved = needed;
  }
  pool->used += bytes;
  if (pool->used > pool->used_high) pool->used_high = pool->used;
  if (pool->reserved > pool->reserved_high) pool->reserved_high = pool->reserved;
  return true;
}

void pool_give(CUmemoryPool pool, size_t bytes)
{
  pool->used -= bytes;
}

static CUresult allocate(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  CUstream s = find_stream(stream);
  if (s == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
  if (bytes == 0) return leave(CUDA_ERROR_INVALID_VALUE);
  bool captured = s->capture != NULL;
  if (pool == NULL) pool = device_pools[s->device];
  size_t charged = round_up(bytes, ALLOCATION_UNIT);
  if (captured) {
    CUgraphNode node = add_node(s->capture, NODE_ALLOC);
    node->bytes = charged;
    node->address = *address = back_memory(bytes);
    return leave(CUDA_SUCCESS);
  }
  if (!pool_take(pool, charged)) return leave(CUDA_ERROR_OUT_OF_MEMORY);
  *address = back_memory(bytes);
  remember(*address, bytes, charged, pool->device)->pool = pool;
  enqueue(s, 0, 0, -1);
  return leave(CUDA_SUCCESS);
}

static CUresult release(CUdeviceptr address, CUstream stream)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  CUstream s = find_stream(stream);
  if (s == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
  if (s->capture != NULL) {
    add_node(s->capture, NODE_FREE)->address = address;
    return leave(CUDA_SUCCESS);
  }
  struct allocation *a = find_allocation(address);
  if (a == NULL) return leave(CUDA_ERROR_INVALID_VALUE);
  if (a->pool != NULL) pool_give(a->pool, a->charged);
  else give_memory(a->device, a->charged);
  forget(address);
  enqueue(s, 0, 0, -1);
  return leave(CUDA_SUCCESS);
}

CU(cuMemAllocAsync, CUdeviceptr *address, size_t bytes, CUstream stream) { return allocate(address, bytes, NULL, stream); }
PER_THREAD(cuMemAllocAsync_ptsz, (CUdeviceptr *address, size_t bytes, CUstream stream), allocate(address, bytes, NULL, OWN(stream)))
CU(cuMemAllocFromPoolAsync, CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream) { return allocate(address, bytes, pool, stream); }
PER_THREAD(cuMemAllocFromPoolAsync_ptsz, (CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream), allocate(address, bytes, pool, OWN(stream)))
CU(cuMemFreeAsync, CUdeviceptr address, CUstream stream) { return release(address, stream); }
PER_THREAD(cuMemFreeAsync_ptsz, (CUdeviceptr address, CUstream stream), release(address, OWN(stream)))

CU(cuMemPoolCreate, CUmemoryPool *pool, const CUmemPoolProps *props)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  int device = props->location.type == CU_MEM_LOCATION_TYPE_DEVICE ? visible_device(props->location.id) : -1;
  if (device < 0) return leave(CUDA_ERROR_INVALID_VALUE);
  for (unsigned n = 0; n < POOLS_MAX; n++) {
    if (pools[n] != NULL) continue;
    *pool = pools[n] = calloc(1, sizeof **pool);
    (*pool)->device = device;
    return leave(CUDA_SUCCESS);
  }
  return leave(CUDA_ERROR_OUT_OF_MEMORY);
}

CU(cuMemPoolDestroy, CUmemoryPool pool)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  for (unsigned n = 0; n < POOLS_MAX; n++) {
    if (pool == NULL || pools[n] != pool) continue;
    pool->threshold = 0;
    shrink(pool, 0);
    if (pool->used == 0) { // else it lives until its memory is freed: kept, as its threshold of 0 gives all back
      pools[n] = NULL;
      free(pool);
    }
    return leave(CUDA_SUCCESS);
  }
  return leave(CUDA_ERROR_INVALID_VALUE);
}

CU(cuMemPoolTrimTo, CUmemoryPool pool, size_t keep)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  shrink(pool, keep);
  return leave(CUDA_SUCCESS);
}

CU(cuMemPoolSetAttribute, CUmemoryPool pool, int attribute, void *value)
{
  CUresult r = enter(200);
  if (r != CUDA_SUCCESS) return r;
  if (attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD) pool->threshold = *(uint64_t *)value;
  return leave(CUDA_SUCCESS);
}

CU(cuMemPoolGetAttribute, CUmemoryPool pool, int attribute, void *value)
{
  CUresult r = enter(200);
  if (r != CUDA_SUCCESS) return r;
  uint64_t *out = value;
  switch (attribute) {
  case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: *out = pool->threshold; break;
  case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT: *out = pool->reserved; break;
  case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH: *out = pool->reserved_high; break;
  case CU_MEMPOOL_ATTR_USED_MEM_CURRENT: *out = pool->used; break;
  case CU_MEMPOOL_ATTR_USED_MEM_HIGH: *out = pool->used_high; break;
  default: return leave(CUDA_ERROR_INVALID_VALUE);
  }
  return leave(CUDA_SUCCESS);
}

static CUmemoryPool chosen[DEVICES_MAX];

CU(cuDeviceGetDefaultMemPool, CUmemoryPool *pool, CUdevice device)
{
  int index = visible_device(device);
  if (index < 0) return CUDA_ERROR_INVALID_DEVICE;
  *pool = device_pools[index];
  return CUDA_SUCCESS;
}

CU(cuDeviceGetMemPool, CUmemoryPool *pool, CUdevice device)
{
  int index = visible_device(device);
  if (index < 0) return CUDA_ERROR_INVALID_DEVICE;
  *pool = chosen[index] == NULL ? device_pools[index] : chosen[index];
  return CUDA_SUCCESS;
}

CU(cuDeviceSetMemPool, CUdevice device, CUmemoryPool pool)
{
  int index = visible_device(device);
  if (index < 0) return CUDA_ERROR_INVALID_DEVICE;
  chosen[index] = pool;
  return CUDA_SUCCESS;
}

CU(cuDeviceGetGraphMemAttribute, CUdevice device, int attribute, void *value)
{
  int index = visible_device(device);
  if (index < 0) return CUDA_ERROR_INVALID_DEVICE;
  *(uint64_t *)value = attribute == CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT ? graph_pools[index].reserved : graph_pools[index].used;
  return CUDA_SUCCESS;
}

CU(cuDeviceGraphMemTrim, CUdevice device)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  int index = visible_device(device);
  if (index < 0) return leave(CUDA_ERROR_INVALID_DEVICE);
  shrink(&graph_pools[index], 0);
  return leave(CUDA_SUCCESS);
}
