// link: -lcuda -ldl
// What a program is told of each device's memory, after a context, a module and 8 MiB: JSON.
#include "common.h"

#include "../include/nvml_api.h"

#include <dlfcn.h>

int main(void)
{
  int count;
  void *nvml = dlopen("libnvidia-ml.so.1", RTLD_LAZY);
  __typeof(nvmlInit_v2) *init = (__typeof(nvmlInit_v2) *)dlsym(nvml, "nvmlInit_v2");
  __typeof(nvmlDeviceGetHandleByIndex_v2) *handle = (__typeof(nvmlDeviceGetHandleByIndex_v2) *)dlsym(nvml, "nvmlDeviceGetHandleByIndex_v2");
  __typeof(nvmlDeviceGetMemoryInfo) *info = (__typeof(nvmlDeviceGetMemoryInfo) *)dlsym(nvml, "nvmlDeviceGetMemoryInfo");
  __typeof(nvmlDeviceGetComputeRunningProcesses_v3) *running = (__typeof(nvmlDeviceGetComputeRunningProcesses_v3) *)dlsym(nvml, "nvmlDeviceGetComputeRunningProcesses_v3");
  CHECK(cuInit(0));
  CHECK(init());
  CHECK(cuDeviceGetCount(&count));
  printf("[");
  for (int n = 0; n < count; n++) {
    CUcontext context;
    CUmodule module;
    CUdeviceptr address;
    size_t left, total, all;
    nvmlDevice_t device;
    nvmlMemory_t memory;
    nvmlProcessInfo_t processes[64];
    unsigned processes_count = 64;
    CHECK(cuDevicePrimaryCtxRetain(&context, n));
    CHECK(cuCtxSetCurrent(context));
    CHECK(cuModuleLoadData(&module, PTX));
    CHECK(cuMemAlloc_v2(&address, 8 << 20));
    CHECK(cuMemGetInfo_v2(&left, &total));
    CHECK(cuDeviceTotalMem_v2(&all, n));
    CHECK(handle((unsigned)n, &device));
    CHECK(info(device, &memory));
    CHECK(running(device, &processes_count, processes));
    if (all != total) fprintf(stderr, "cuDeviceTotalMem says %zu and cuMemGetInfo %zu\n", all, total);
    printf("%s{\"total\":%zu,\"free\":%zu,\"nvmlTotal\":%llu,\"nvmlUsed\":%llu,\"processes\":%u}", n == 0 ? "" : ",", total, left, memory.total, memory.used, processes_count);
  }
  printf("]\n");
  return 0;
}
