// What the interposer and the host say to each other through files: the container's region `usage`, and its page `demand`. All numbers are
// little-endian; offsets are what readers in other languages go by, and are asserted below. Changing one means a new version.
#ifndef CENTAURUS_GPU_H
#define CENTAURUS_GPU_H

#include <stddef.h>
#include <stdint.h>

#define GPU_DEVICES_MAX 16
#define GPU_PROCESSES_MAX 256
#define GPU_USAGE_MAGIC 0x31555047544e4543ull // "CENTGPU1"
#define GPU_DEMAND_MAGIC 0x314d4d44544e4543ull // "CENTDMM1"
#define GPU_LAYOUT_VERSION 1u

// One device of the container, by all of its processes. `uuid` of zeros: no device.
struct gpu_device {
  uint8_t uuid[16];            // as cuDeviceGetUuid gives it
  uint64_t memory_limit;       // bytes; 0: none
  uint32_t compute;            // percent that it has; 0: none of its own
  uint32_t burst;              // percent that it may use; 100: no ceiling
  uint32_t priority;           // 0 goes first
  uint32_t share;              // hundredths of a percent that it has at the moment; 10000: not limited
  int64_t tokens;              // nanoseconds of the device that may be used now; negative: owed
  uint64_t refilled_ns;        // CLOCK_MONOTONIC until which tokens were given
  uint64_t charged_ns;         // of the device, since the region is there, also of processes that ended
  uint64_t waited_ns;          // launches were held back, summed over threads
  uint64_t refused;            // allocations that the limit refused
  uint64_t correction;         // measured by NVML / charged, in 1/65536
  uint64_t context_bytes;      // what a context was seen to take
  uint64_t measured_ns;        // CLOCK_MONOTONIC of the last measurement by NVML
  uint64_t measured_busy_ns;   // of the device, as NVML says, since the region is there
  uint64_t reserved[10];
};

// What one process has of one device.
struct gpu_process_device {
  uint64_t allocated;          // bytes that calls asked for and have not given back, in the driver's units
  uint64_t pooled;             // bytes that its memory pools hold
  uint64_t implicit;           // bytes of contexts, modules and all else that NVML sees and no call asked for
  uint64_t launches;           // of kernels and graphs
  uint64_t charged_ns;
  uint64_t graph_launches;
  uint64_t reserved[2];
};

struct gpu_process {
  uint32_t pid;                // in the container; 0: free. One that died keeps its slot until another process needs to know: look whether
                               // host_pid lives
  uint32_t host_pid;           // as NVML knows it; 0: unknown
  uint64_t start_ticks;        // field 22 of /proc/PID/stat, so that a reused pid is seen
  uint64_t reserved[6];
  struct gpu_process_device devices[GPU_DEVICES_MAX];
};

struct gpu_usage {
  uint64_t magic;
  uint32_t version;
  uint32_t processes_end;      // no slot from here on was ever used
  uint64_t lock;               // 0, or who holds it: pid << 32 | a part of its start
  uint64_t limits_stamp;       // of the file whose words are below
  uint64_t limits_checked_ns;  // CLOCK_MONOTONIC
  uint64_t reserved[27];
  struct gpu_device devices[GPU_DEVICES_MAX];
  uint64_t reserved_after[96];
  struct gpu_process processes[GPU_PROCESSES_MAX];
};

// `demand`: a page of its own, since containers that share a device may read it.
struct gpu_demand {
  uint64_t magic;
  uint32_t version;
  uint32_t unused;
  struct {
    uint8_t uuid[16];
    uint64_t wanted_until_ns;  // CLOCK_MONOTONIC
    uint64_t charged_ns;
  } devices[GPU_DEVICES_MAX];
};

_Static_assert(sizeof(struct gpu_device) == 192, "layout");
_Static_assert(offsetof(struct gpu_device, tokens) == 40, "layout");
_Static_assert(sizeof(struct gpu_process_device) == 64, "layout");
_Static_assert(sizeof(struct gpu_process) == 1088, "layout");
_Static_assert(offsetof(struct gpu_usage, devices) == 256, "layout");
_Static_assert(offsetof(struct gpu_usage, processes) == 4096, "layout");
_Static_assert(sizeof(struct gpu_usage) == 4096 + 256 * 1088, "layout");
_Static_assert(sizeof(struct gpu_demand) == 16 + 16 * 32, "layout");

#endif
