// The state that all processes share which use the stub driver on one machine: devices, who has memory of them, what is queued, and what time
// it is. It lives in one file, mapped by each. See README.md for what is simulated.
//
// Time is either real (CLOCK_MONOTONIC) or virtual. Virtual time is a conservative simulation of discrete events over processes: each thread that
// calls the driver is an actor with a time of its own, which grows by what calls cost; a device is simulated up to the time of the actor that is
// furthest behind, since nobody can queue work before that; an actor that waits or sleeps takes its time from the simulation. So results do not
// depend on how fast this machine is. An actor that sleeps in the kernel (for another process, say) is left behind until it calls again.
#ifndef STUB_WORLD_H
#define STUB_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#define DEVICES_MAX 16
#define PROCESSES_MAX 64
#define STREAMS_MAX 128
#define EVENTS_MAX 8192
#define ITEMS_MAX 4096
#define ACTORS_MAX 256
#define SAMPLES_MAX 1024
#define SLICE_NS 2000000ull     // a process has the device that long while others wait
#define SAMPLE_NS 100000000ull  // NVML samples processes that often
#define NEVER UINT64_MAX

// A piece of work in a stream. Without `left` it takes no time on the device: an event, a wait for one.
struct item {
  uint64_t ticket;   // position in the process's ring, from 1 on
  uint64_t arrival;  // when it was queued
  uint64_t left;     // nanoseconds on the device
  uint64_t after;    // ticket that must be done before; 0: none
  uint64_t next;     // ticket in the same stream; 0: last
  uint16_t stream;
  uint16_t device;
  int32_t event;     // index whose time is set when it is done; -1: none
  uint32_t done;
};

struct stream {
  uint64_t head, tail;  // tickets; head 0: empty
  uint64_t last;        // ticket queued last, done or not
  uint16_t device;
  uint8_t used;
  uint8_t blocking;     // ordered with the device's legacy stream (index = device)
};

struct process {
  uint32_t pid;         // 0: free
  uint32_t streams_end;
  uint64_t start;       // so that a pid that is used again is told apart
  uint64_t memory[DEVICES_MAX];  // bytes
  uint64_t busy[DEVICES_MAX];    // nanoseconds
  uint64_t sampled[DEVICES_MAX]; // of `busy`, at the last sample
  uint64_t first, end;  // tickets in the ring: all before `first` are done
  struct stream streams[STREAMS_MAX];
  uint64_t event_ns[EVENTS_MAX];
  struct item items[ITEMS_MAX];
};

enum actor_state { ACTOR_FREE, ACTOR_RUNNING, ACTOR_BLOCKED, ACTOR_IDLE };

struct actor {
  uint32_t pid, tid;
  uint32_t state;
  uint32_t waits_turn;
  uint64_t time;
  uint64_t ticket;      // blocked until it is done, or
  uint64_t deadline;    // until then
  uint32_t process;
  uint32_t wake;        // futex
};

struct sample {
  uint64_t at_ns;
  uint32_t pid, percent;
};

struct device {
  char uuid[41];        // GPU-8-4-4-4-12
  char model[64];
  char pci[16];         // 0000:3b:00.0
  uint64_t memory, context_bytes, peak;
  uint32_t multiprocessors;
  int32_t numa;
  uint8_t nvlinks[DEVICES_MAX], levels[DEVICES_MAX];
  uint64_t busy, sampled_busy;
  uint32_t utilization; // percent, of the last sample
  uint32_t current;     // process whose slice it is
  uint64_t slice_end;
  uint64_t running;     // ticket of `current`; 0: none
  uint64_t samples_end;
  struct sample samples[SAMPLES_MAX];
};

struct world {
  uint64_t magic;
  uint32_t lock;        // pid that holds it
  uint32_t lock_waiters;
  uint32_t is_virtual;
  uint32_t is_still;    // launches do nothing
  uint32_t devices_end;
  uint32_t actors_end;
  uint32_t inits[17];   // processes that began together, by how many were to
  uint64_t now;         // devices are simulated until then
  uint64_t next_sample;
  uint64_t swept_ns;
  struct device devices[DEVICES_MAX];
  struct actor actors[ACTORS_MAX];
  struct process processes[PROCESSES_MAX];
};

// The shared state; opens it the first time. Null, with the reason on standard error, when the environment makes no sense.
struct world *world_open(void);
void world_lock(struct world *w);
void world_unlock(struct world *w);

// This process's slot; makes one. Null: there is none free. Under the lock.
struct process *world_process(struct world *w);

// Begins a call that costs so much virtual time, and takes the lock. Returns the time at which the call is made.
uint64_t world_enter(struct world *w, uint64_t cost_ns);
void world_leave(struct world *w);
// Simulates devices up to the time of this thread. Between enter and leave, as all below.
void world_turn(struct world *w);
bool world_done(const struct process *p, uint64_t ticket);
// Waits until the ticket is done.
void world_wait(struct world *w, struct process *p, uint64_t ticket);
uint64_t world_enqueue(struct world *w, struct process *p, const struct item *what);

// The clock and sleep of this thread, for the library that replaces those of the C library.
uint64_t world_clock(struct world *w);
void world_sleep_until(struct world *w, uint64_t ns);

// Frees what dead processes had.
void world_sweep(struct world *w);
uint64_t world_used(const struct world *w, unsigned device);
// Takes device memory for this process, false: there is not enough. Negative gives back.
bool world_take(struct world *w, struct process *p, unsigned device, int64_t bytes);

// Simulates all devices until `until`, or until the moment in which an actor's ticket is done. In simulate.c.
void simulate(struct world *w, uint64_t until);
uint64_t simulate_next(const struct world *w);
// True when an actor that was blocked runs now.
bool wake_actors(struct world *w);

// Devices by the text of STUB_GPU_DEVICES. False, with the reason on standard error, when it makes no sense. In devices.c.
bool read_devices(struct world *w);
uint64_t real_ns(void);

#endif
