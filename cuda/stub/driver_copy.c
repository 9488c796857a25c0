// Copies and fills: at once, whatever is queued before them, and in no time; in a capture they are empty nodes.
#include "driver.h"

#include <string.h>

static CUresult copy(void *to, const void *from, size_t bytes)
{
  CUresult r = enter(2000);
  if (r != CUDA_SUCCESS) return r;
  if (current_context() == NULL) return leave(CUDA_ERROR_INVALID_CONTEXT);
  wait_device(current_context()->device);
  memmove(to, from, bytes);
  return leave(CUDA_SUCCESS);
}

static CUresult begin_async(CUstream stream, bool *captured)
{
  CUresult r = enter(1000);
  if (r != CUDA_SUCCESS) return r;
  CUstream s = find_stream(stream);
  if (s == NULL) return leave(CUDA_ERROR_INVALID_HANDLE);
  *captured = s->capture != NULL;
  if (*captured) add_node(s->capture, NODE_EMPTY);
  else enqueue(s, 0, 0, -1);
  return CUDA_SUCCESS;
}

static CUresult copy_async(void *to, const void *from, size_t bytes, CUstream stream)
{
  bool captured;
  CUresult r = begin_async(stream, &captured);
  if (r != CUDA_SUCCESS) return r;
  if (!captured) memmove(to, from, bytes);
  return leave(CUDA_SUCCESS);
}

static void fill(CUdeviceptr to, uint32_t value, size_t count, size_t unit)
{
  if (unit == 1) memset((void *)to, (int)value, count);
  else
    for (size_t n = 0; n < count; n++) memcpy((char *)to + n * unit, &value, unit);
}

static CUresult fill_async(CUdeviceptr to, uint32_t value, size_t count, size_t unit, CUstream stream)
{
  bool captured;
  CUresult r = begin_async(stream, &captured);
  if (r != CUDA_SUCCESS) return r;
  if (!captured) fill(to, value, count, unit);
  return leave(CUDA_SUCCESS);
}

CU(cuMemcpy, CUdeviceptr to, CUdeviceptr from, size_t bytes) { return copy((void *)to, (void *)from, bytes); }
ALIAS(cuMemcpy_ptds, cuMemcpy)
CU(cuMemcpyDtoD_v2, CUdeviceptr to, CUdeviceptr from, size_t bytes) { return copy((void *)to, (void *)from, bytes); }
ALIAS(cuMemcpyDtoD_v2_ptds, cuMemcpyDtoD_v2)
CU(cuMemcpyHtoD_v2, CUdeviceptr to, const void *from, size_t bytes) { return copy((void *)to, from, bytes); }
ALIAS(cuMemcpyHtoD_v2_ptds, cuMemcpyHtoD_v2)
CU(cuMemcpyDtoH_v2, void *to, CUdeviceptr from, size_t bytes) { return copy(to, (void *)from, bytes); }
ALIAS(cuMemcpyDtoH_v2_ptds, cuMemcpyDtoH_v2)

CU(cuMemcpyAsync, CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) { return copy_async((void *)to, (void *)from, bytes, stream); }
PER_THREAD(cuMemcpyAsync_ptsz, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream), copy_async((void *)to, (void *)from, bytes, OWN(stream)))
CU(cuMemcpyDtoDAsync_v2, CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) { return copy_async((void *)to, (void *)from, bytes, stream); }
PER_THREAD(cuMemcpyDtoDAsync_v2_ptsz, (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream), copy_async((void *)to, (void *)from, bytes, OWN(stream)))
CU(cuMemcpyHtoDAsync_v2, CUdeviceptr to, const void *from, size_t bytes, CUstream stream) { return copy_async((void *)to, from, bytes, stream); }
PER_THREAD(cuMemcpyHtoDAsync_v2_ptsz, (CUdeviceptr to, const void *from, size_t bytes, CUstream stream), copy_async((void *)to, from, bytes, OWN(stream)))
CU(cuMemcpyDtoHAsync_v2, void *to, CUdeviceptr from, size_t bytes, CUstream stream) { return copy_async(to, (void *)from, bytes, stream); }
PER_THREAD(cuMemcpyDtoHAsync_v2_ptsz, (void *to, CUdeviceptr from, size_t bytes, CUstream stream), copy_async(to, (void *)from, bytes, OWN(stream)))

static CUresult fill_now(CUdeviceptr to, uint32_t value, size_t count, size_t unit)
{
  CUresult r = enter(2000);
  if (r != CUDA_SUCCESS) return r;
  fill(to, value, count, unit);
  return leave(CUDA_SUCCESS);
}

CU(cuMemsetD8_v2, CUdeviceptr to, unsigned char value, size_t count) { return fill_now(to, value, count, 1); }
ALIAS(cuMemsetD8_v2_ptds, cuMemsetD8_v2)
CU(cuMemsetD32_v2, CUdeviceptr to, unsigned int value, size_t count) { return fill_now(to, value, count, 4); }
ALIAS(cuMemsetD32_v2_ptds, cuMemsetD32_v2)
CU(cuMemsetD8Async, CUdeviceptr to, unsigned char value, size_t count, CUstream stream) { return fill_async(to, value, count, 1, stream); }
PER_THREAD(cuMemsetD8Async_ptsz, (CUdeviceptr to, unsigned char value, size_t count, CUstream stream), fill_async(to, value, count, 1, OWN(stream)))
CU(cuMemsetD32Async, CUdeviceptr to, unsigned int value, size_t count, CUstream stream) { return fill_async(to, value, count, 4, stream); }
PER_THREAD(cuMemsetD32Async_ptsz, (CUdeviceptr to, unsigned int value, size_t count, CUstream stream), fill_async(to, value, count, 4, OWN(stream)))
