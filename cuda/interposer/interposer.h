// What the parts of the interposer share. It is loaded into every program of a container, so: no constructor, no thread, no library of its own;
// what it needs of the C library exists since glibc 2.17 and in musl. State that a forked child must not keep is in a page that fork empties.
#ifndef INTERPOSER_H
#define INTERPOSER_H

#include "../include/centaurus_gpu.h"
#include "../include/cuda_driver.h"
#include "../include/nvml_api.h"

#include <stdbool.h>

#define EXPORT __attribute__((visibility("default")))
#define MIB (1024ull * 1024)
#define NS_PER_MS 1000000ull
#define SHARE_ALL 10000u
#define likely(x) __builtin_expect(!!(x), 1)

// Every function that we replace, with its type. In hooks.h; each has a place in `hooks`.
#define HOOK(name, type) HOOK_##name,
enum hook_index {
#include "hooks.h"
  HOOKS_END
};
#undef HOOK
#define NVML_FIRST HOOK_nvmlInit_v2

struct hook {
  const char *name;
  void *ours, *real;
};
extern struct hook hooks[HOOKS_END];

// The driver's function. Null where the driver is too old to have it, or is not there.
#define HOOK(name, type) extern __typeof(type) name;
#include "hooks.h"
#undef HOOK
#define HOOK(name, type) static inline __typeof(type) *real_##name(void) { return (__typeof(type) *)hooks[HOOK_##name].real; }
#include "hooks.h"
#undef HOOK

// Begins a hook: finds the driver; without one or without this function, the call fails.
#define NEED(name, missing) \
  if (!likely(hooks[HOOK_##name].real != NULL) && !find_real(HOOK_##name)) return missing

// Functions that we call and do not replace: call_NAME()(…), after has_NAME().
#define CALL(name) CALL_##name,
enum call_index {
#include "calls.h"
  CALLS_END
};
#undef CALL
extern __typeof(cuStreamIsCapturing) cuStreamIsCapturing_ptsz;
extern __typeof(cuStreamGetCaptureInfo_v2) cuStreamGetCaptureInfo_v2_ptsz;
extern __typeof(cuEventRecord) cuEventRecord_ptsz;
extern __typeof(cuStreamQuery) cuStreamQuery_ptsz;
void *find_call(enum call_index index);
#define CALL(name) static inline __typeof(name) *call_##name(void) { return (__typeof(name) *)find_call(CALL_##name); }
#include "calls.h"
#undef CALL

// --- resolve.c
bool find_real(enum hook_index index);
// The address of a name in a library that may not be loaded yet; null: there is none.
void *find_in(const char *library, const char *name);

// --- region.c
struct own {                   // emptied by fork
  bool attached;               // cuInit succeeded
  bool limits;                 // there are limits: the region is mapped
  bool paced;                  // a device's time is or may become limited
  bool has_graph_memory;
  bool has_nvml;               // nvmlInit succeeded
  uint32_t pid, captures;
  uint32_t table_lock, pool_lock, pending_lock, limits_lock;
  uint32_t in_flight;          // calls that change memory
  int devices;                 // of the driver
  int8_t index_of[GPU_DEVICES_MAX]; // by ordinal: in the region
  uint64_t charged_ns;         // of all devices
  uint64_t looked_ns;          // at the limits, by launches that are not paced
  uint64_t longest_ns;         // charged at once, lately
  uint64_t limits_stamp;       // of the file that `paced` is of
  uint64_t reconciled_ns[GPU_DEVICES_MAX];
  CUcontext primary[GPU_DEVICES_MAX];
  struct gpu_process *slot;
};
extern struct own *own;
extern struct gpu_usage *region;
extern struct gpu_demand *demand;

// Maps the region if there are limits; false: it should be there and can't be used.
bool attach_region(void);
bool attach_process(void);     // after cuInit
void region_lock(void);
void region_unlock(void);
uint64_t region_used(unsigned device);
// Slots of processes that died. Under the lock.
void reap(void);
// Takes room of the device's limit into one of the process's counters; false: it is not there.
bool reserve(unsigned device, uint64_t bytes, uint64_t *counter);
void give_back(uint64_t bytes, uint64_t *counter);
int current_device(void);      // in the region; -1: none
int device_of(CUdevice ordinal);
const char *limits_path(void);
void spin_lock(uint32_t *lock);
void spin_unlock(uint32_t *lock);
uint64_t clock_ns(void);
void sleep_for(uint64_t ns);
bool process_is_dead(uint32_t pid, uint64_t start);
uint64_t process_start(uint32_t pid);

// --- limits.c
void read_limits(void);        // into the region, if the file is another
void format_uuid(const uint8_t uuid[16], char text[41]);

// --- share.c
struct wish {
  uint32_t priority, compute, burst;
};
// Hundredths of a percent for `own` while `others` want the device too. Pure.
uint32_t plan_share(const struct wish *own, const struct wish *others, unsigned count);
unsigned read_peers(unsigned device, uint64_t now, struct wish *wishes, unsigned max);

// --- table.c
enum kind { KIND_FREE, KIND_MEMORY, KIND_ASYNC, KIND_ARRAY, KIND_HANDLE, KIND_MAPPING, KIND_POOL, KIND_GRAPH, KIND_EXEC };
struct entry {
  uint64_t key, bytes, other;  // `other`: a mapping's handle, an async allocation's pool
  uint8_t kind, device;
  uint16_t handles;
  uint32_t mappings;
};
// Under own->table_lock.
struct entry *table_find(enum kind kind, uint64_t key);
struct entry *table_add(enum kind kind, uint64_t key);
void table_remove(struct entry *e);
struct entry *table_next(struct entry *after);
void table_clear(void);

// --- reconcile.c
void reconcile(unsigned device, bool always);
bool nvml_processes(unsigned device, nvmlProcessInfo_t *infos, unsigned *count);
void find_host_pid(const nvmlProcessInfo_t *before, unsigned before_count, unsigned device);
void measure_use(unsigned device, uint64_t now);
bool is_ours(uint32_t host_pid);

// --- pools.c
void refresh_pools(unsigned device);
void trim_pools(unsigned device);
CUresult launch_with_memory(CUgraphExec exec, CUstream stream, bool per_thread);
CUgraph captured_graph(CUstream stream, bool per_thread);

// --- pace.c
struct launch {
  uint64_t key, charged, started, others;
  uint64_t mark;               // own->charged_ns when it was launched
  uint64_t gap;                // between event and kernel, while the device had nothing to do
  CUevent start, end;          // null: not measured
  CUcontext context;
  CUstream stream;
  unsigned device;
  bool per_thread, is_alone, was_idle;
};
// Waits until the container may use the device, and charges the launch.
void pace_before(struct launch *launch);
void pace_after(struct launch *launch, CUresult result);
void pace_forget(uint64_t key);
void pace_forget_all(void);
void pace_clear(void);         // in a child, before it uses the driver
void pace_forget_context(CUcontext context);
bool is_capturing(CUstream stream, bool per_thread);
void count_launch(int device, bool graph);

#endif
