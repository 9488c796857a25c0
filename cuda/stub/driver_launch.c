#include "driver.h"

static CUresult launch(CUfunction function, uint64_t blocks, CUstream stream, void **params, void **extra)
{
  if (W != NULL && W->is_still) return CUDA_SUCCESS;
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  CUstream s = find_stream(stream);
  if (s == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  if (function == NULL || blocks == 0) return leave(CUDA_ERROR_INVALID_VALUE);
  uint64_t duration = kernel_duration(function, blocks, params, extra);
  if (s->capture != NULL) {
    CUgraphNode node = add_node(s->capture, NODE_KERNEL);
    node->duration = duration;
    node->function = function;
  } else {
    enqueue(s, duration, 0, -1);
  }
  return leave(CUDA_SUCCESS);
}

static uint64_t volume(uint64_t x, uint64_t y, uint64_t z)
{
  return x * y * z;
}

#define KERNEL_PARAMETERS CUfunction function, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared, CUstream stream, void **params

CU(cuLaunchKernel, KERNEL_PARAMETERS, void **extra)
{
  (void)bx, (void)by, (void)bz, (void)shared;
  return launch(function, volume(gx, gy, gz), stream, params, extra);
}

EXPORT CUresult cuLaunchKernel_ptsz(KERNEL_PARAMETERS, void **extra);
SYMBOL(cuLaunchKernel_ptsz)
CUresult cuLaunchKernel_ptsz(KERNEL_PARAMETERS, void **extra)
{
  (void)bx, (void)by, (void)bz, (void)shared;
  return launch(function, volume(gx, gy, gz), OWN(stream), params, extra);
}

CU(cuLaunchCooperativeKernel, KERNEL_PARAMETERS)
{
  (void)bx, (void)by, (void)bz, (void)shared;
  return launch(function, volume(gx, gy, gz), stream, params, NULL);
}

EXPORT CUresult cuLaunchCooperativeKernel_ptsz(KERNEL_PARAMETERS);
SYMBOL(cuLaunchCooperativeKernel_ptsz)
CUresult cuLaunchCooperativeKernel_ptsz(KERNEL_PARAMETERS)
{
  (void)bx, (void)by, (void)bz, (void)shared;
  return launch(function, volume(gx, gy, gz), OWN(stream), params, NULL);
}

CU(cuLaunchKernelEx, const CUlaunchConfig *c, CUfunction function, void **params, void **extra)
{
  return launch(function, volume(c->gridDimX, c->gridDimY, c->gridDimZ), c->hStream, params, extra);
}
PER_THREAD(cuLaunchKernelEx_ptsz, (const CUlaunchConfig *c, CUfunction function, void **params, void **extra), launch(function, volume(c->gridDimX, c->gridDimY, c->gridDimZ), OWN(c->hStream), params, extra))

CU(cuLaunchCooperativeKernelMultiDevice, CUDA_LAUNCH_PARAMS *list, unsigned int count, unsigned int flags)
{
  (void)flags;
  for (unsigned n = 0; n < count; n++) {
    const CUDA_LAUNCH_PARAMS *l = &list[n];
    CUresult r = launch(l->function, volume(l->gridDimX, l->gridDimY, l->gridDimZ), l->hStream, l->kernelParams, NULL);
    if (r != CUDA_SUCCESS) return r;
  }
  return CUDA_SUCCESS;
}

CU(cuLaunchGrid, CUfunction function, int width, int height) { return launch(function, volume((uint64_t)width, (uint64_t)height, 1), NULL, NULL, NULL); }
CU(cuLaunch, CUfunction function) { return launch(function, 1, NULL, NULL, NULL); }
CU(cuLaunchGridAsync, CUfunction function, int width, int height, CUstream stream) { return launch(function, volume((uint64_t)width, (uint64_t)height, 1), stream, NULL, NULL); }

// The function is called in the launching thread, when everything before it is done.
static CUresult launch_host(CUstream stream, CUhostFn function, void *data)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  CUstream s = find_stream(stream);
  if (s == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  if (s->capture != NULL) {
    CUgraphNode node = add_node(s->capture, NODE_HOST);
    node->host = function;
    node->data = data;
    return leave(CUDA_SUCCESS);
  }
  world_wait(W, P, enqueue(s, 0, 0, -1));
  leave(CUDA_SUCCESS);
  function(data);
  return CUDA_SUCCESS;
}

CU(cuLaunchHostFunc, CUstream stream, CUhostFn function, void *data) { return launch_host(stream, function, data); }
PER_THREAD(cuLaunchHostFunc_ptsz, (CUstream stream, CUhostFn function, void *data), launch_host(OWN(stream), function, data))
