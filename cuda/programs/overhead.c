// link: -lcuda
// What a launch costs the program: nanoseconds, the least of many batches. With STUB_GPU_CLOCK=none the driver's own part is next to nothing.
#include "common.h"

#define BATCHES 400
#define LAUNCHES 500

int main(void)
{
  CUcontext context;
  CUmodule module;
  CUfunction function;
  uint64_t ns = 0, least = UINT64_MAX;
  void *params[] = {&ns};
  CHECK(cuInit(0));
  CHECK(cuDevicePrimaryCtxRetain(&context, 0));
  CHECK(cuCtxSetCurrent(context));
  CHECK(cuModuleLoadData(&module, PTX));
  CHECK(cuModuleGetFunction(&function, module, "spin"));
  for (int batch = 0; batch < BATCHES; batch++) {
    uint64_t began = now_ns();
    for (int n = 0; n < LAUNCHES; n++) CHECK(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
    uint64_t took = now_ns() - began;
    if (took < least) least = took;
  }
  printf("%.1f\n", (double)least / LAUNCHES);
  return 0;
}
