// link: -lcuda
// Keeps devices busy and says what came of it, as JSON: `load [name=value …]`. Linked with the driver.
//   device=0   ordinals, such as 0,1      kernel=NS    of each kernel           kernels=N   to launch, or
//   for=MS     launch that long           streams=1    in turn                  sync=0      synchronize after so many launches
//   pause=US   and then sleep that long   graph=0      kernels of a graph       blocks=1    of the grid
//   name=spin  of the kernel              call=kernel  kernel, ex, cooperative, multi, legacy, ptsz
//   report=MS  print the launches of each such time
//   at=MS      rename=FROM,TO at that time: new limits
#include "common.h"

#include <string.h>

static const char *option(int argc, char **argv, const char *name, const char *absent)
{
  size_t length = strlen(name);
  for (int n = 1; n < argc; n++)
    if (strncmp(argv[n], name, length) == 0 && argv[n][length] == '=') return argv[n] + length + 1;
  return absent;
}

static uint64_t number(int argc, char **argv, const char *name, uint64_t absent)
{
  const char *text = option(argc, argv, name, NULL);
  return text == NULL ? absent : strtoull(text, NULL, 10);
}

static struct {
  CUcontext context;
  CUfunction function;
  CUstream streams[16];
  CUgraphExec graph;
} on[16];

extern CUresult cuLaunchKernel_ptsz(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **, void **);

static void launch(const char *call, CUfunction f, unsigned blocks, CUstream stream, uint64_t *ns)
{
  void *params[] = {ns};
  if (strcmp(call, "kernel") == 0) {
    CHECK(cuLaunchKernel(f, blocks, 1, 1, 32, 1, 1, 0, stream, params, NULL));
  } else if (strcmp(call, "ptsz") == 0) {
    CHECK(cuLaunchKernel_ptsz(f, blocks, 1, 1, 32, 1, 1, 0, NULL, params, NULL));
  } else if (strcmp(call, "ex") == 0) {
    CUlaunchConfig config = {.gridDimX = blocks, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 32, .blockDimY = 1, .blockDimZ = 1, .hStream = stream};
    CHECK(cuLaunchKernelEx(&config, f, params, NULL));
  } else if (strcmp(call, "cooperative") == 0) {
    CHECK(cuLaunchCooperativeKernel(f, blocks, 1, 1, 32, 1, 1, 0, stream, params));
  } else if (strcmp(call, "multi") == 0) {
    CUDA_LAUNCH_PARAMS list = {.function = f, .gridDimX = blocks, .gridDimY = 1, .gridDimZ = 1, .blockDimX = 32, .blockDimY = 1, .blockDimZ = 1, .hStream = stream, .kernelParams = params};
    CHECK(cuLaunchCooperativeKernelMultiDevice(&list, 1, 0));
  } else {
    CHECK(cuFuncSetBlockShape(f, 32, 1, 1));
    CHECK(cuParamSetSize(f, sizeof *ns));
    CHECK(cuParamSetv(f, 0, ns, sizeof *ns));
    CHECK(cuLaunchGridAsync(f, (int)blocks, 1, stream));
  }
}

static void prepare(int n, int ordinal, const char *kernel, uint64_t streams)
{
  CUmodule module;
  CUdevice device;
  CHECK(cuDeviceGet(&device, ordinal));
  CHECK(cuDevicePrimaryCtxRetain(&on[n].context, device));
  CHECK(cuCtxSetCurrent(on[n].context));
  CHECK(cuModuleLoadData(&module, PTX));
  CHECK(cuModuleGetFunction(&on[n].function, module, kernel));
  for (uint64_t s = 0; s < streams; s++) CHECK(cuStreamCreate(&on[n].streams[s], CU_STREAM_NON_BLOCKING));
}

static void capture(int n, uint64_t kernels, unsigned blocks, uint64_t ns)
{
  CUgraph graph;
  CHECK(cuStreamBeginCapture_v2(on[n].streams[0], CU_STREAM_CAPTURE_MODE_GLOBAL));
  for (uint64_t i = 0; i < kernels; i++) launch("kernel", on[n].function, blocks, on[n].streams[0], &ns);
  CHECK(cuStreamEndCapture(on[n].streams[0], &graph));
  CHECK(cuGraphInstantiateWithFlags(&on[n].graph, graph, 0));
  CHECK(cuGraphDestroy(graph));
}

static void rename_at(int argc, char **argv, uint64_t now)
{
  static int renamed;
  char from[256];
  const char *names = option(argc, argv, "rename", NULL), *comma = names == NULL ? NULL : strchr(names, ',');
  if (renamed || comma == NULL || now < number(argc, argv, "at", 0) * 1000000) return;
  snprintf(from, sizeof from, "%.*s", (int)(comma - names), names);
  renamed = 1;
  if (rename(from, comma + 1) != 0) perror("rename");
}

int main(int argc, char **argv)
{
  uint64_t ns = number(argc, argv, "kernel", 100000), kernels = number(argc, argv, "kernels", UINT64_MAX), length = number(argc, argv, "for", 1000);
  uint64_t streams = number(argc, argv, "streams", 1), sync = number(argc, argv, "sync", 0), pause = number(argc, argv, "pause", 0);
  uint64_t graph = number(argc, argv, "graph", 0), report = number(argc, argv, "report", 0) * 1000000;
  unsigned blocks = (unsigned)number(argc, argv, "blocks", 1);
  const char *call = option(argc, argv, "call", "kernel");
  int devices = 0;
  CHECK(cuInit(0));
  for (const char *text = option(argc, argv, "device", "0"); text != NULL; text = strchr(text, ',') == NULL ? NULL : strchr(text, ',') + 1)
    prepare(devices++, atoi(text), option(argc, argv, "name", "spin"), streams);
  for (int n = 0; n < devices && graph > 0; n++) {
    CHECK(cuCtxSetCurrent(on[n].context));
    capture(n, graph, blocks, ns);
  }
  uint64_t began = now_ns(), end = kernels == UINT64_MAX ? began + length * 1000000 : UINT64_MAX, done = 0, next = began + report, reported = 0;
  for (; done < kernels && now_ns() < end; done++) {
    int n = (int)(done % (uint64_t)devices);
    CUstream stream = on[n].streams[done / (uint64_t)devices % streams];
    if (devices > 1) CHECK(cuCtxSetCurrent(on[n].context));
    if (graph > 0) CHECK(cuGraphLaunch(on[n].graph, stream));
    else launch(call, on[n].function, blocks, stream, &ns);
    if (sync > 0 && (done + 1) % sync == 0) {
      CHECK(cuStreamSynchronize(stream));
      if (pause > 0) sleep_ns(pause * 1000);
    }
    rename_at(argc, argv, now_ns() - began);
    while (report > 0 && now_ns() >= next) {
      printf("%llu ", (unsigned long long)(done - reported));
      reported = done;
      next += report;
    }
  }
  uint64_t launched = now_ns();
  for (int n = 0; n < devices; n++) {
    CHECK(cuCtxSetCurrent(on[n].context));
    CHECK(cuCtxSynchronize());
  }
  printf("{\"launches\":%llu,\"launchNs\":%llu,\"ns\":%llu}\n", (unsigned long long)done, (unsigned long long)(launched - began), (unsigned long long)(now_ns() - began));
  return 0;
}
