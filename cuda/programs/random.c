// link: -lcuda
// Takes and gives back memory of all families as a seed says: `random SEED STEPS [check | hold wait]`. With `check` it compares what it is told of
// its use with what the stub knows; only one program may then use the device. With `wait` it keeps what it has until it is killed.
#include "common.h"

#include "../stub/world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OBJECTS 48

enum family { NONE, LINEAR, MANAGED, PITCH, ARRAY, MIPMAP, ASYNC, POOLED, PHYSICAL, MAPPED, GRAPH, MODULE, CONTEXT, FAMILIES };

static struct object {
  enum family family;
  CUdeviceptr address;
  CUarray array;
  CUmipmappedArray mipmap;
  CUmemGenericAllocationHandle handle;
  CUmodule module;
  CUcontext context;
  CUgraphExec exec;
  size_t bytes;
} objects[OBJECTS];

static uint64_t state;
static CUstream stream;
static CUmemoryPool pool;
static CUcontext base;
static const struct world *world;

static uint64_t draw(uint64_t below)
{
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545f4914f6cdd1dull % below;
}

static size_t draw_size(void)
{
  return (size_t)1 << draw(27) | draw(4096);
}

// Out of memory is an answer like any other.
static int was_made(CUresult r)
{
  if (r != CUDA_SUCCESS && r != CUDA_ERROR_OUT_OF_MEMORY) {
    fprintf(stderr, "A call failed with error %d\n", r);
    exit(1);
  }
  return r == CUDA_SUCCESS;
}

static int make_physical(struct object *o)
{
  CUmemAllocationProp prop = {.type = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
  o->bytes = (1 + draw(24)) * (2 << 20);
  return was_made(cuMemCreate(&o->handle, o->bytes, &prop, 0));
}

static int make_mapped(struct object *o)
{
  CUmemGenericAllocationHandle again;
  if (!make_physical(o)) return 0;
  CHECK(cuMemAddressReserve(&o->address, o->bytes, 0, 0, 0));
  CHECK(cuMemMap(o->address, o->bytes, 0, o->handle, 0));
  if (draw(2)) {
    CHECK(cuMemRetainAllocationHandle(&again, (void *)o->address));
    CHECK(cuMemRelease(again));
  }
  CHECK(cuMemRelease(o->handle)); // the mapping keeps it
  return 1;
}

static int make_graph(struct object *o)
{
  CUgraph graph;
  CUgraphNode node;
  CUDA_MEM_ALLOC_NODE_PARAMS params = {.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}}};
  if (draw(2)) {
    CUdeviceptr address;
    CHECK(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    CHECK(cuMemAllocAsync(&address, draw_size(), stream));
    CHECK(cuMemFreeAsync(address, stream));
    CHECK(cuStreamEndCapture(stream, &graph));
  } else {
    CHECK(cuGraphCreate(&graph, 0));
    for (uint64_t n = draw(4) + 1; n > 0; n--) {
      params.bytesize = draw_size();
      CHECK(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params));
      CHECK(cuGraphAddMemFreeNode(&node, graph, NULL, 0, params.dptr));
    }
  }
  CHECK(cuGraphInstantiateWithFlags(&o->exec, graph, 0));
  CHECK(cuGraphDestroy(graph));
  if (was_made(cuGraphLaunch(o->exec, stream))) return 1;
  CHECK(cuGraphExecDestroy(o->exec));
  return 0;
}

static int make_context(struct object *o)
{
  if (!was_made(cuCtxCreate_v2(&o->context, 0, 0))) return 0;
  CHECK(cuCtxPopCurrent_v2(NULL));
  return 1;
}

static int make(struct object *o, enum family family)
{
  CUDA_ARRAY3D_DESCRIPTOR shape = {.Width = 1 + draw(512), .Height = draw(512), .Depth = draw(16), .Format = CU_AD_FORMAT_FLOAT, .NumChannels = 1 + (unsigned)draw(4)};
  size_t pitch;
  switch (family) {
  case LINEAR: return was_made(cuMemAlloc_v2(&o->address, draw_size()));
  case MANAGED: return was_made(cuMemAllocManaged(&o->address, draw_size(), CU_MEM_ATTACH_GLOBAL));
  case PITCH: return was_made(cuMemAllocPitch_v2(&o->address, &pitch, 1 + draw(10000), 1 + draw(2000), 4));
  case ARRAY: return was_made(cuArray3DCreate_v2(&o->array, &shape));
  case MIPMAP: return was_made(cuMipmappedArrayCreate(&o->mipmap, &shape, 1 + (unsigned)draw(6)));
  case ASYNC: return was_made(cuMemAllocAsync(&o->address, draw_size(), stream));
  case POOLED: return was_made(cuMemAllocFromPoolAsync(&o->address, draw_size(), pool, stream));
  case PHYSICAL: return make_physical(o);
  case MAPPED: return make_mapped(o);
  case GRAPH: return make_graph(o);
  case MODULE: return was_made(cuModuleLoadData(&o->module, PTX));
  default: return make_context(o);
  }
}

static void unmake(struct object *o)
{
  switch (o->family) {
  case LINEAR:
  case MANAGED:
  case PITCH: CHECK(cuMemFree_v2(o->address)); break;
  case ARRAY: CHECK(cuArrayDestroy(o->array)); break;
  case MIPMAP: CHECK(cuMipmappedArrayDestroy(o->mipmap)); break;
  case ASYNC: CHECK(draw(2) ? cuMemFreeAsync(o->address, stream) : cuMemFree_v2(o->address)); break;
  case POOLED: CHECK(cuMemFreeAsync(o->address, stream)); break;
  case PHYSICAL: CHECK(cuMemRelease(o->handle)); break;
  case MAPPED:
    CHECK(cuMemUnmap(o->address, o->bytes));
    CHECK(cuMemAddressFree(o->address, o->bytes));
    break;
  case GRAPH: CHECK(cuGraphExecDestroy(o->exec)); break;
  case MODULE: CHECK(cuModuleUnload(o->module)); break;
  case CONTEXT: CHECK(cuCtxDestroy_v2(o->context)); break;
  default: break;
  }
  o->family = NONE;
}

static void open_world(void)
{
  int file = open(getenv("STUB_GPU_STATE"), O_RDONLY);
  world = mmap(NULL, sizeof *world, PROT_READ, MAP_SHARED, file, 0);
  close(file);
}

static void compare(int step)
{
  size_t left, total;
  uint64_t used = 0;
  CHECK(cuMemGetInfo_v2(&left, &total));
  for (int n = 0; n < PROCESSES_MAX; n++)
    if (world->processes[n].pid == (uint32_t)getpid()) used = world->processes[n].memory[0];
  if (total - left == used) return;
  fprintf(stderr, "Step %d: told of %zu bytes, has %llu\n", step, total - left, (unsigned long long)used);
  exit(1);
}

int main(int argc, char **argv)
{
  int steps = argc > 2 ? atoi(argv[2]) : 100, check = argc > 3 && strcmp(argv[3], "check") == 0;
  CUmemPoolProps props = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE}};
  state = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1) * 0x9e3779b97f4a7c15ull + 1;
  CHECK(cuInit(0));
  if (!was_made(cuDevicePrimaryCtxRetain(&base, 0))) return 0; // others have it all
  CHECK(cuCtxSetCurrent(base));
  CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  CHECK(cuMemPoolCreate(&pool, &props));
  if (check) open_world();
  for (int n = 0; n < steps; n++) {
    struct object *o = &objects[draw(OBJECTS)];
    enum family family = 1 + draw(FAMILIES - 1);
    if (o->family != NONE) unmake(o);
    else if (make(o, family)) o->family = family;
    if (draw(16) == 0) CHECK(cuStreamSynchronize(stream));
    if (check) compare(n);
    if (draw(64) == 0) usleep(100);
  }
  if (argc > 4) pause(); // to be killed with all it has
  for (int n = 0; n < OBJECTS; n++) unmake(&objects[n]);
  CHECK(cuMemPoolDestroy(pool));
  CHECK(cuStreamSynchronize(stream));
  if (check) compare(steps);
  CHECK(cuDevicePrimaryCtxRelease_v2(0));
  return 0;
}
