// Stream-ordered memory: what counts is what the pools hold of the device, which the driver says; how much a call will make a pool grow is
// reserved before it. Calls of one process go one after the other, so that each sees what the others did.
#define _GNU_SOURCE
#include "interposer.h"

#define GROWTH (2 * MIB)       // pools grow by no less: https://docs.nvidia.com/cuda, memory granularity

static uint64_t attribute(uint64_t pool, int which)
{
  uint64_t value = 0;
  if (find_call(CALL_cuMemPoolGetAttribute) != NULL) call_cuMemPoolGetAttribute()((CUmemoryPool)(uintptr_t)pool, which, &value);
  return value;
}

static uint64_t graph_attribute(unsigned device, int which)
{
  uint64_t value = 0;
  for (CUdevice n = 0; n < own->devices; n++)
    if (own->index_of[n] == (int)device && find_call(CALL_cuDeviceGetGraphMemAttribute) != NULL) call_cuDeviceGetGraphMemAttribute()(n, which, &value);
  return value;
}

// Growth that `bytes` more may need, of a pool that holds `reserved` and uses `in_use`.
static uint64_t growth_for(uint64_t bytes, uint64_t in_use, uint64_t reserved)
{
  uint64_t needed = in_use + bytes;
  if (needed < bytes) return UINT64_MAX / 2;
  return needed <= reserved ? 0 : (needed - reserved + GROWTH - 1) / GROWTH * GROWTH;
}

static void settle(struct entry *pool, uint64_t reserved, uint64_t *pooled, uint64_t extra)
{
  uint64_t counted = pool->bytes + extra;
  if (reserved > counted) __atomic_add_fetch(pooled, reserved - counted, __ATOMIC_RELEASE);
  else give_back(counted - reserved, pooled);
  pool->bytes = reserved;
}

static void refresh_locked(unsigned device)
{
  uint64_t *pooled = &own->slot->devices[device].pooled;
  spin_lock(&own->table_lock);
  for (struct entry *e = table_next(NULL); e != NULL; e = table_next(e)) {
    if (e->kind != KIND_POOL || e->device != device || e->handles == 0) continue;
    settle(e, e->key < GPU_DEVICES_MAX ? graph_attribute(device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) : attribute(e->key, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), pooled, 0);
  }
  spin_unlock(&own->table_lock);
}

void refresh_pools(unsigned device)
{
  spin_lock(&own->pool_lock);
  refresh_locked(device);
  spin_unlock(&own->pool_lock);
}

static void trim_locked(unsigned device)
{
  uint64_t pools[64];
  unsigned count = 0;
  spin_lock(&own->table_lock);
  for (struct entry *e = table_next(NULL); e != NULL && count < 64; e = table_next(e))
    if (e->kind == KIND_POOL && e->device == device && e->handles > 0 && e->key >= GPU_DEVICES_MAX) pools[count++] = e->key;
  spin_unlock(&own->table_lock);
  for (unsigned n = 0; n < count; n++) call_cuMemPoolTrimTo()((CUmemoryPool)(uintptr_t)pools[n], 0);
  for (CUdevice n = 0; n < own->devices && own->has_graph_memory; n++)
    if (own->index_of[n] == (int)device) call_cuDeviceGraphMemTrim()(n);
  refresh_locked(device);
}

// What the driver does before it says that there is no memory.
void trim_pools(unsigned device)
{
  spin_lock(&own->pool_lock);
  trim_locked(device);
  spin_unlock(&own->pool_lock);
}

// The pool's entry; of graphs' memory the key is the device. `handles` is 1 while the pool exists.
static struct entry *pool_entry(uint64_t key, unsigned device)
{
  struct entry *e = table_find(KIND_POOL, key);
  if (e != NULL) return e;
  e = table_add(KIND_POOL, key);
  if (e != NULL) e->device = (uint8_t)device, e->handles = 1;
  return e;
}

bool is_capturing(CUstream stream, bool per_thread)
{
  int status = CU_STREAM_CAPTURE_STATUS_NONE;
  if (__atomic_load_n(&own->captures, __ATOMIC_RELAXED) == 0) return false;
  if (per_thread) call_cuStreamIsCapturing_ptsz()(stream, &status);
  else call_cuStreamIsCapturing()(stream, &status);
  return status != CU_STREAM_CAPTURE_STATUS_NONE;
}

CUgraph captured_graph(CUstream stream, bool per_thread)
{
  int status;
  CUgraph graph = NULL;
  enum call_index which = per_thread ? CALL_cuStreamGetCaptureInfo_v2_ptsz : CALL_cuStreamGetCaptureInfo_v2;
  __typeof(cuStreamGetCaptureInfo_v2) *ask = (__typeof(cuStreamGetCaptureInfo_v2) *)find_call(which);
  return ask != NULL && ask(stream, &status, NULL, &graph, NULL, NULL) == CUDA_SUCCESS ? graph : NULL;
}

static void note_graph(CUgraph graph, uint64_t bytes)
{
  own->has_graph_memory = true;
  spin_lock(&own->table_lock);
  struct entry *e = table_find(KIND_GRAPH, (uint64_t)(uintptr_t)graph);
  if (e == NULL) e = table_add(KIND_GRAPH, (uint64_t)(uintptr_t)graph);
  if (e != NULL) e->bytes += bytes;
  spin_unlock(&own->table_lock);
}

typedef CUresult allocate_function(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream);

static CUmemoryPool current_pool(void)
{
  CUdevice ordinal;
  CUmemoryPool pool = NULL;
  if (find_call(CALL_cuDeviceGetMemPool) != NULL && call_cuCtxGetDevice()(&ordinal) == CUDA_SUCCESS) call_cuDeviceGetMemPool()(&pool, ordinal);
  return pool;
}

static CUresult allocate_reserved(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream, allocate_function *allocate, unsigned device)
{
  uint64_t key = (uint64_t)(uintptr_t)pool, *pooled = &own->slot->devices[device].pooled, growth = 0;
  bool fits = false;
  for (int round = 0; round < 2 && !fits; round++) {
    if (round == 1) trim_locked(device);
    growth = growth_for(bytes, attribute(key, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), attribute(key, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT));
    refresh_locked(device);
    fits = reserve(device, growth, pooled);
  }
  if (!fits) {
    __atomic_add_fetch(&region->devices[device].refused, 1, __ATOMIC_RELAXED);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  CUresult r = allocate(address, bytes, pool, stream);
  uint64_t reserved = attribute(key, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
  spin_lock(&own->table_lock);
  struct entry *e = pool_entry(key, device);
  if (e != NULL) settle(e, reserved, pooled, growth);
  struct entry *made = r == CUDA_SUCCESS ? table_add(KIND_ASYNC, *address) : NULL;
  if (made != NULL) made->bytes = bytes, made->other = key, made->device = (uint8_t)device;
  if (made != NULL && e != NULL) table_find(KIND_POOL, key)->other += bytes;
  spin_unlock(&own->table_lock);
  return r;
}

static CUresult allocate_async(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream, allocate_function *allocate, bool per_thread)
{
  int device = current_device();
  if (device < 0 || bytes == 0) return allocate(address, bytes, pool, stream);
  size_t rounded = (bytes + 511) & ~(size_t)511;
  if (is_capturing(stream, per_thread)) {
    CUgraph graph = captured_graph(stream, per_thread);
    if (graph != NULL) note_graph(graph, rounded);
    return allocate(address, bytes, pool, stream);
  }
  if (pool == NULL) pool = current_pool();
  if (pool == NULL) return allocate(address, bytes, pool, stream);
  __atomic_add_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  spin_lock(&own->pool_lock);
  CUresult r = allocate_reserved(address, rounded < bytes ? bytes : rounded, pool, stream, allocate, (unsigned)device);
  spin_unlock(&own->pool_lock);
  __atomic_sub_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  return r;
}

static CUresult from_current(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream)
{
  (void)pool;
  return real_cuMemAllocAsync()(address, bytes, stream);
}

static CUresult from_current_ptsz(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream)
{
  (void)pool;
  return real_cuMemAllocAsync_ptsz()(address, bytes, stream);
}

EXPORT CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream)
{
  NEED(cuMemAllocAsync, CUDA_ERROR_NOT_SUPPORTED);
  return allocate_async(address, bytes, NULL, stream, from_current, false);
}

EXPORT CUresult cuMemAllocAsync_ptsz(CUdeviceptr *address, size_t bytes, CUstream stream)
{
  NEED(cuMemAllocAsync_ptsz, CUDA_ERROR_NOT_SUPPORTED);
  return allocate_async(address, bytes, NULL, stream, from_current_ptsz, true);
}

EXPORT CUresult cuMemAllocFromPoolAsync(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream)
{
  NEED(cuMemAllocFromPoolAsync, CUDA_ERROR_NOT_SUPPORTED);
  return allocate_async(address, bytes, pool, stream, real_cuMemAllocFromPoolAsync(), false);
}

EXPORT CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *address, size_t bytes, CUmemoryPool pool, CUstream stream)
{
  NEED(cuMemAllocFromPoolAsync_ptsz, CUDA_ERROR_NOT_SUPPORTED);
  return allocate_async(address, bytes, pool, stream, real_cuMemAllocFromPoolAsync_ptsz(), true);
}

// A pool that was destroyed holds its memory until all of it was freed, and can't be asked any more.
EXPORT CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
  NEED(cuMemPoolDestroy, CUDA_ERROR_NOT_SUPPORTED);
  if (!own->attached) return real_cuMemPoolDestroy()(pool);
  spin_lock(&own->pool_lock);
  uint64_t used = attribute((uint64_t)(uintptr_t)pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT);
  CUresult r = real_cuMemPoolDestroy()(pool);
  spin_lock(&own->table_lock);
  struct entry *e = r == CUDA_SUCCESS ? table_find(KIND_POOL, (uint64_t)(uintptr_t)pool) : NULL;
  if (e != NULL && used == 0) {
    give_back(e->bytes, &own->slot->devices[e->device].pooled);
    table_remove(e);
  } else if (e != NULL) {
    e->handles = 0;
  }
  spin_unlock(&own->table_lock);
  spin_unlock(&own->pool_lock);
  return r;
}

// After a free that succeeded.
static void forget_async(CUdeviceptr address)
{
  spin_lock(&own->table_lock);
  struct entry *e = table_find(KIND_ASYNC, address), *memory = e == NULL ? table_find(KIND_MEMORY, address) : NULL;
  if (e != NULL) {
    struct entry *pool = table_find(KIND_POOL, e->other);
    if (pool != NULL) pool->other -= e->bytes;
    if (pool != NULL && pool->handles == 0 && pool->other == 0) {
      give_back(pool->bytes, &own->slot->devices[pool->device].pooled);
      table_remove(pool);
    }
    table_remove(e);
  } else if (memory != NULL) {
    give_back(memory->bytes, &own->slot->devices[memory->device].allocated);
    table_remove(memory);
  }
  spin_unlock(&own->table_lock);
}

EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream)
{
  NEED(cuMemFreeAsync, CUDA_ERROR_NOT_SUPPORTED);
  if (!own->attached || is_capturing(stream, false)) return real_cuMemFreeAsync()(address, stream);
  spin_lock(&own->pool_lock); // the address may be given again at once
  CUresult r = real_cuMemFreeAsync()(address, stream);
  if (r == CUDA_SUCCESS) forget_async(address);
  spin_unlock(&own->pool_lock);
  return r;
}

EXPORT CUresult cuMemFreeAsync_ptsz(CUdeviceptr address, CUstream stream)
{
  NEED(cuMemFreeAsync_ptsz, CUDA_ERROR_NOT_SUPPORTED);
  if (!own->attached || is_capturing(stream, true)) return real_cuMemFreeAsync_ptsz()(address, stream);
  spin_lock(&own->pool_lock);
  CUresult r = real_cuMemFreeAsync_ptsz()(address, stream);
  if (r == CUDA_SUCCESS) forget_async(address);
  spin_unlock(&own->pool_lock);
  return r;
}

EXPORT CUresult cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, CUDA_MEM_ALLOC_NODE_PARAMS *params)
{
  NEED(cuGraphAddMemAllocNode, CUDA_ERROR_NOT_SUPPORTED);
  CUresult r = real_cuGraphAddMemAllocNode()(node, graph, after, count, params);
  if (r == CUDA_SUCCESS && own->attached) note_graph(graph, params->bytesize + 511);
  return r;
}

EXPORT CUresult cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, CUgraphNodeParams *params)
{
  NEED(cuGraphAddNode, CUDA_ERROR_NOT_SUPPORTED);
  CUresult r = real_cuGraphAddNode()(node, graph, after, count, params);
  if (r == CUDA_SUCCESS && own->attached && params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) note_graph(graph, params->alloc.bytesize + 511);
  return r;
}

static uint64_t bytes_of(enum kind kind, const void *handle)
{
  spin_lock(&own->table_lock);
  struct entry *e = table_find(kind, (uint64_t)(uintptr_t)handle);
  uint64_t bytes = e == NULL ? 0 : e->bytes;
  spin_unlock(&own->table_lock);
  return bytes;
}

static void forget(enum kind kind, const void *handle)
{
  spin_lock(&own->table_lock);
  struct entry *e = table_find(kind, (uint64_t)(uintptr_t)handle);
  if (e != NULL) table_remove(e);
  spin_unlock(&own->table_lock);
}

EXPORT CUresult cuGraphAddChildGraphNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *after, size_t count, CUgraph child)
{
  NEED(cuGraphAddChildGraphNode, CUDA_ERROR_NOT_SUPPORTED);
  CUresult r = real_cuGraphAddChildGraphNode()(node, graph, after, count, child);
  if (r == CUDA_SUCCESS && own->has_graph_memory && bytes_of(KIND_GRAPH, child) > 0) note_graph(graph, bytes_of(KIND_GRAPH, child));
  return r;
}

EXPORT CUresult cuGraphDestroy(CUgraph graph)
{
  NEED(cuGraphDestroy, CUDA_ERROR_NOT_SUPPORTED);
  if (own->has_graph_memory) forget(KIND_GRAPH, graph);
  return real_cuGraphDestroy()(graph);
}

static CUresult instantiated(CUresult r, CUgraphExec *exec, CUgraph graph)
{
  uint64_t bytes = r == CUDA_SUCCESS && own->has_graph_memory ? bytes_of(KIND_GRAPH, graph) : 0;
  if (bytes == 0) return r;
  spin_lock(&own->table_lock);
  struct entry *e = table_add(KIND_EXEC, (uint64_t)(uintptr_t)*exec);
  if (e != NULL) e->bytes = bytes;
  spin_unlock(&own->table_lock);
  return r;
}

EXPORT CUresult cuGraphInstantiate(CUgraphExec *exec, CUgraph graph, CUgraphNode *error, char *log, size_t bytes)
{
  NEED(cuGraphInstantiate, CUDA_ERROR_NOT_SUPPORTED);
  return instantiated(real_cuGraphInstantiate()(exec, graph, error, log, bytes), exec, graph);
}

EXPORT CUresult cuGraphInstantiate_v2(CUgraphExec *exec, CUgraph graph, CUgraphNode *error, char *log, size_t bytes)
{
  NEED(cuGraphInstantiate_v2, CUDA_ERROR_NOT_SUPPORTED);
  return instantiated(real_cuGraphInstantiate_v2()(exec, graph, error, log, bytes), exec, graph);
}

EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
  NEED(cuGraphInstantiateWithFlags, CUDA_ERROR_NOT_SUPPORTED);
  return instantiated(real_cuGraphInstantiateWithFlags()(exec, graph, flags), exec, graph);
}

EXPORT CUresult cuGraphInstantiateWithParams(CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
  NEED(cuGraphInstantiateWithParams, CUDA_ERROR_NOT_SUPPORTED);
  return instantiated(real_cuGraphInstantiateWithParams()(exec, graph, params), exec, graph);
}

EXPORT CUresult cuGraphInstantiateWithParams_ptsz(CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
  NEED(cuGraphInstantiateWithParams_ptsz, CUDA_ERROR_NOT_SUPPORTED);
  return instantiated(real_cuGraphInstantiateWithParams_ptsz()(exec, graph, params), exec, graph);
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec)
{
  NEED(cuGraphExecDestroy, CUDA_ERROR_NOT_SUPPORTED);
  if (own->has_graph_memory) forget(KIND_EXEC, exec);
  if (own->attached) pace_forget((uint64_t)(uintptr_t)exec);
  return real_cuGraphExecDestroy()(exec);
}

static CUresult launch_graph(CUgraphExec exec, CUstream stream, bool per_thread)
{
  return per_thread ? real_cuGraphLaunch_ptsz()(exec, stream) : real_cuGraphLaunch()(exec, stream);
}

// A launch of a graph that allocates may make the device's memory of graphs grow.
CUresult launch_with_memory(CUgraphExec exec, CUstream stream, bool per_thread)
{
  uint64_t bytes = own->has_graph_memory ? bytes_of(KIND_EXEC, exec) : 0;
  int device = bytes == 0 ? -1 : current_device();
  if (device < 0) return launch_graph(exec, stream, per_thread);
  uint64_t *pooled = &own->slot->devices[device].pooled, growth = 0;
  bool fits = false;
  __atomic_add_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  spin_lock(&own->pool_lock);
  for (int round = 0; round < 2 && !fits; round++) {
    if (round == 1) trim_locked((unsigned)device);
    growth = growth_for(bytes, graph_attribute((unsigned)device, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT), graph_attribute((unsigned)device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT));
    refresh_locked((unsigned)device);
    fits = reserve((unsigned)device, growth, pooled);
  }
  CUresult r = fits ? launch_graph(exec, stream, per_thread) : CUDA_ERROR_OUT_OF_MEMORY;
  spin_lock(&own->table_lock);
  struct entry *e = fits ? pool_entry((uint64_t)device, (unsigned)device) : NULL;
  if (e != NULL) settle(e, graph_attribute((unsigned)device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT), pooled, growth);
  spin_unlock(&own->table_lock);
  spin_unlock(&own->pool_lock);
  __atomic_sub_fetch(&own->in_flight, 1, __ATOMIC_SEQ_CST);
  return r;
}
