// What the parts of the stub driver share. All of a process's own objects are guarded by the world's lock, which is held from enter() to leave().
#ifndef STUB_DRIVER_H
#define STUB_DRIVER_H

#include "../include/cuda_driver.h"
#include "world.h"

#define EXPORT __attribute__((visibility("default")))
#define MIB (1024ull * 1024)
#define ALLOCATION_UNIT 512ull      // cuMemAlloc rounds up to it
#define VMM_UNIT (2 * MIB)          // cuMemCreate wants multiples of it; pools grow by it
#define MODULE_BYTES (2 * MIB)
#define MODES_KNOWN 3

// What cuGetProcAddress knows: each exported function, by its name in the library.
struct symbol {
  const char *name;
  void *address;
};
#define SYMBOL(name) \
  static const struct symbol symbol_##name __attribute__((used, section("stub_symbols"), aligned(8))) = {#name, (void *)name};
#define CU(name, ...) \
  EXPORT CUresult name(__VA_ARGS__); \
  SYMBOL(name) \
  CUresult name(__VA_ARGS__)
#define ALIAS(other, name) \
  EXPORT extern __typeof(name) other __attribute__((alias(#name))); \
  SYMBOL(other)
// The variant in which stream 0 is the thread's own: `arguments` name the parameters, with OWN(stream) for the stream.
#define PER_THREAD(name, parameters, arguments) \
  EXPORT CUresult name parameters; \
  SYMBOL(name) \
  CUresult name parameters { return arguments; }
#define OWN(stream) ((stream) == NULL ? CU_STREAM_PER_THREAD : (stream))

struct CUctx_st {
  CUdevice device;
  unsigned flags;
  unsigned primary_count; // of a primary context
  bool is_primary, is_alive;
};

struct CUfunc_st {
  struct CUfunc_st *next;
  CUmodule module;
  char name[128];
  int block[3];
  unsigned char params[64]; // of the legacy launch
};

struct CUmod_st {
  CUdevice device;
  char *text;               // of PTX; NULL: an image whose functions are not known
  CUfunction functions;
};

enum node_kind { NODE_KERNEL = 0, NODE_HOST = 3, NODE_GRAPH = 4, NODE_EMPTY = 5, NODE_ALLOC = 10, NODE_FREE = 11 };

struct CUgraphNode_st {
  struct CUgraphNode_st *next;
  CUgraph graph;
  enum node_kind kind;
  uint64_t duration;        // of a kernel
  CUhostFn host;
  void *data;
  CUgraph child;
  CUdeviceptr address;      // of an allocation
  size_t bytes;
  CUfunction function;
};

struct CUgraph_st {
  struct CUgraphNode_st *first, *last;
  CUdevice device;
  unsigned count;
  bool is_clone;
};

struct CUstream_st {
  CUcontext context;
  uint16_t index;           // in the process's streams
  uint16_t device;
  CUgraph capture;          // NULL: none
  int capture_mode;
  bool invalidated;
  uint64_t capture_thread;
};

struct CUevent_st {
  int32_t index;
  uint32_t flags;
  uint64_t ticket;          // 0: never recorded
  CUgraph capture;
  uint16_t device;
};

struct allocation {
  struct allocation *next;
  CUdeviceptr address;
  size_t bytes;             // asked for
  size_t charged;           // taken of the device; of a pool's, of the pool
  CUmemoryPool pool;        // NULL: not of a pool
  CUdevice device;
  bool is_imported;
};

struct CUmemPoolHandle_st {
  CUdevice device;
  uint64_t used, reserved, threshold, used_high, reserved_high;
  bool is_default;
};

extern struct world *W;          // null before cuInit
extern struct process *P;
extern struct CUmemPoolHandle_st graph_pools[DEVICES_MAX];
extern CUmemoryPool device_pools[DEVICES_MAX];

// Begins a call; not CUDA_SUCCESS: do not go on, and do not leave.
CUresult enter(uint64_t cost_ns);
CUresult leave(CUresult result);
// The thread's context; NULL: none.
CUcontext current_context(void);
int visible_device(int ordinal);  // index in the world; -1: none

// The stream's record: of handles 0, 1 and 2 too. NULL: there is none.
CUstream find_stream(CUstream stream);
uint64_t enqueue(CUstream stream, uint64_t duration, uint64_t after, int32_t event);
void wait_device(CUdevice device);
// Is this call one that a capture in another stream forbids? Then the capture is invalidated.
bool is_unsafe_during_capture(void);

uint64_t kernel_duration(CUfunction function, uint64_t blocks, void **params, void **extra);
CUgraphNode add_node(CUgraph graph, enum node_kind kind);

struct allocation *remember(CUdeviceptr address, size_t bytes, size_t charged, CUdevice device);
struct allocation *find_allocation(CUdeviceptr address);
void forget(CUdeviceptr address);
CUdeviceptr back_memory(size_t bytes);
// Takes device memory; trims pools when there is not enough.
bool take_memory(CUdevice device, size_t bytes);
void give_memory(CUdevice device, size_t bytes);
bool pool_take(CUmemoryPool pool, size_t bytes);
void pool_give(CUmemoryPool pool, size_t bytes);
void trim_pools(CUdevice device, bool to_threshold);

#endif
