// Launches of kernels and graphs. Where nothing is limited a launch costs a test and a count.
#define _GNU_SOURCE
#include "interposer.h"

#include <time.h>

#define LOOK_NS (200 * NS_PER_MS) // whether there are limits of time now

static __thread int counted __attribute__((tls_model("initial-exec"))); // device + 1 of the thread's last launch

// Prepares a launch; false: it is not to be paced (it is captured, or there is nothing to hold it to).
static bool begin(struct launch *l, uint64_t key, CUstream stream, bool per_thread)
{
  int device = current_device();
  if (device < 0 || is_capturing(stream, per_thread)) return false;
  *l = (struct launch){.key = key, .stream = stream, .per_thread = per_thread, .device = (unsigned)device};
  counted = device + 1;
  count_launch(device, false);
  pace_before(l);
  return true;
}

static uint64_t key_of(CUfunction function, uint64_t blocks, uint64_t threads)
{
  uint64_t key = (uint64_t)(uintptr_t)function ^ (blocks * 0x9e3779b97f4a7c15ull + threads) * 0xbf58476d1ce4e5b9ull;
  return key == 0 ? 1 : key;
}

static void look_at_limits(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t); // a few nanoseconds
  uint64_t now = (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
  if (now - own->looked_ns < LOOK_NS) return;
  own->looked_ns = now;
  read_limits();
}

static void count_only(void)
{
  if (!own->attached) return;
  look_at_limits();
  if (counted == 0) counted = current_device() + 1; // a thread's other devices are counted with its first
  if (counted > 0) count_launch(counted - 1, false);
}

#define LAUNCH(name, parameters, arguments, function, blocks, threads, stream, per_thread) \
  EXPORT CUresult name parameters \
  { \
    NEED(name, CUDA_ERROR_NOT_SUPPORTED); \
    if (likely(!own->paced)) { \
      count_only(); \
      return real_##name() arguments; \
    } \
    struct launch l; \
    if (!begin(&l, key_of(function, blocks, threads), stream, per_thread)) return real_##name() arguments; \
    CUresult r = real_##name() arguments; \
    pace_after(&l, r); \
    return r; \
  }

#define SHAPE CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared, CUstream stream, void **params
#define BLOCKS (uint64_t)gx * gy * gz
#define THREADS (uint64_t)bx * by * bz

LAUNCH(cuLaunchKernel, (SHAPE, void **extra), (f, gx, gy, gz, bx, by, bz, shared, stream, params, extra), f, BLOCKS, THREADS, stream, false)
LAUNCH(cuLaunchKernel_ptsz, (SHAPE, void **extra), (f, gx, gy, gz, bx, by, bz, shared, stream, params, extra), f, BLOCKS, THREADS, stream, true)
LAUNCH(cuLaunchCooperativeKernel, (SHAPE), (f, gx, gy, gz, bx, by, bz, shared, stream, params), f, BLOCKS, THREADS, stream, false)
LAUNCH(cuLaunchCooperativeKernel_ptsz, (SHAPE), (f, gx, gy, gz, bx, by, bz, shared, stream, params), f, BLOCKS, THREADS, stream, true)

#define CONFIG_BLOCKS (uint64_t)c->gridDimX * c->gridDimY * c->gridDimZ
#define CONFIG_THREADS (uint64_t)c->blockDimX * c->blockDimY * c->blockDimZ
LAUNCH(cuLaunchKernelEx, (const CUlaunchConfig *c, CUfunction f, void **params, void **extra), (c, f, params, extra), f, CONFIG_BLOCKS, CONFIG_THREADS, c->hStream, false)
LAUNCH(cuLaunchKernelEx_ptsz, (const CUlaunchConfig *c, CUfunction f, void **params, void **extra), (c, f, params, extra), f, CONFIG_BLOCKS, CONFIG_THREADS, c->hStream, true)

LAUNCH(cuLaunch, (CUfunction f), (f), f, 1, 0, NULL, false)
LAUNCH(cuLaunchGrid, (CUfunction f, int width, int height), (f, width, height), f, (uint64_t)width * (uint64_t)height, 0, NULL, false)
LAUNCH(cuLaunchGridAsync, (CUfunction f, int width, int height, CUstream stream), (f, width, height, stream), f, (uint64_t)width * (uint64_t)height, 0, stream, false)

// One kernel on several devices, which wait for one another: each device's part is paced before, and measured on the first alone, where events go
// to the current context.
EXPORT CUresult cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS *list, unsigned int count, unsigned int flags)
{
  NEED(cuLaunchCooperativeKernelMultiDevice, CUDA_ERROR_NOT_SUPPORTED);
  if (likely(!own->paced) || count == 0 || count > GPU_DEVICES_MAX) {
    count_only();
    return real_cuLaunchCooperativeKernelMultiDevice()(list, count, flags);
  }
  struct launch launches[GPU_DEVICES_MAX];
  bool paced[GPU_DEVICES_MAX] = {false};
  CUcontext before = NULL, context;
  call_cuCtxGetCurrent()(&before);
  __typeof(cuCtxSetCurrent) *set = (__typeof(cuCtxSetCurrent) *)find_in("libcuda.so.1", "cuCtxSetCurrent");
  for (unsigned n = 0; n < count; n++) {
    const CUDA_LAUNCH_PARAMS *l = &list[n];
    if (call_cuStreamGetCtx()(l->hStream, &context) == CUDA_SUCCESS) set(context);
    uint64_t key = key_of(l->function, (uint64_t)l->gridDimX * l->gridDimY * l->gridDimZ, (uint64_t)l->blockDimX * l->blockDimY * l->blockDimZ);
    paced[n] = begin(&launches[n], key, l->hStream, false);
  }
  set(before);
  CUresult r = real_cuLaunchCooperativeKernelMultiDevice()(list, count, flags);
  for (unsigned n = 0; n < count; n++) {
    if (!paced[n]) continue;
    if (call_cuStreamGetCtx()(list[n].hStream, &context) == CUDA_SUCCESS) set(context);
    pace_after(&launches[n], r);
  }
  set(before);
  return r;
}

static CUresult launch_graph(CUgraphExec exec, CUstream stream, bool per_thread)
{
  struct launch l;
  if (likely(!own->paced)) count_only();
  if (likely(!own->paced) || !begin(&l, (uint64_t)(uintptr_t)exec, stream, per_thread)) return launch_with_memory(exec, stream, per_thread);
  __atomic_add_fetch(&own->slot->devices[l.device].graph_launches, 1, __ATOMIC_RELAXED);
  CUresult r = launch_with_memory(exec, stream, per_thread);
  pace_after(&l, r);
  return r;
}

EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
  NEED(cuGraphLaunch, CUDA_ERROR_NOT_SUPPORTED);
  return launch_graph(exec, stream, false);
}

EXPORT CUresult cuGraphLaunch_ptsz(CUgraphExec exec, CUstream stream)
{
  NEED(cuGraphLaunch_ptsz, CUDA_ERROR_NOT_SUPPORTED);
  return launch_graph(exec, stream, true);
}

// While any stream is captured nothing of ours may be recorded or asked: it would end up in the graph, or end the capture.
#define BEGIN_CAPTURE(name, parameters, arguments) \
  EXPORT CUresult name parameters \
  { \
    NEED(name, CUDA_ERROR_NOT_SUPPORTED); \
    __atomic_add_fetch(&own->captures, 1, __ATOMIC_SEQ_CST); \
    CUresult r = real_##name() arguments; \
    if (r != CUDA_SUCCESS) __atomic_sub_fetch(&own->captures, 1, __ATOMIC_SEQ_CST); \
    return r; \
  }

BEGIN_CAPTURE(cuStreamBeginCapture, (CUstream stream), (stream))
BEGIN_CAPTURE(cuStreamBeginCapture_ptsz, (CUstream stream), (stream))
BEGIN_CAPTURE(cuStreamBeginCapture_v2, (CUstream stream, int mode), (stream, mode))
BEGIN_CAPTURE(cuStreamBeginCapture_v2_ptsz, (CUstream stream, int mode), (stream, mode))

// A capture that fails at its end has ended too; one that never began is CUDA_ERROR_ILLEGAL_STATE.
#define END_CAPTURE(name) \
  EXPORT CUresult name(CUstream stream, CUgraph *graph) \
  { \
    NEED(name, CUDA_ERROR_NOT_SUPPORTED); \
    CUresult r = real_##name()(stream, graph); \
    if (r != CUDA_ERROR_ILLEGAL_STATE && own->captures > 0) __atomic_sub_fetch(&own->captures, 1, __ATOMIC_SEQ_CST); \
    return r; \
  }

END_CAPTURE(cuStreamEndCapture)
END_CAPTURE(cuStreamEndCapture_ptsz)
