#define _GNU_SOURCE
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x33444c524f575453ull
#define LOOKAHEAD_NS 200000ull       // an actor may be ahead of the others by so much before it waits
#define PATIENCE_NS 1000000l         // of real time, before the others are looked at
#define SWEEP_NS 20000000ull         // of real time

static struct world *shared;
static uint32_t own_pid;
static struct process *own_process;
static __thread struct actor *own_actor;
static __thread uint32_t own_actor_pid;

// Not the C library's clock, which may be replaced by virtual_time.c.
uint64_t real_ns(void)
{
  struct timespec t;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void real_sleep(uint64_t ns)
{
  struct timespec t = {.tv_sec = (time_t)(ns / 1000000000ull), .tv_nsec = (long)(ns % 1000000000ull)};
  syscall(SYS_nanosleep, &t, NULL);
}

static void futex_wait(uint32_t *word, uint32_t value)
{
  struct timespec t = {.tv_sec = 0, .tv_nsec = PATIENCE_NS};
  syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
}

static void futex_wake(uint32_t *word)
{
  __atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
  syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

// State ('R', 'S', 'Z', …) and start of a task by its stat file; 0: there is none.
static char task_state(const char *path, uint64_t *start)
{
  char text[1024];
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  if (length <= 0) return 0;
  text[length] = 0;
  char *field = strrchr(text, ')');
  if (field == NULL) return 0;
  char state = field[2];
  for (int n = 2; n < 22 && field != NULL; n++) field = strchr(field + 1, ' ');
  *start = field == NULL ? 0 : strtoull(field, NULL, 10);
  return state;
}

static bool is_dead(uint32_t pid, uint64_t start)
{
  char path[64];
  uint64_t found;
  snprintf(path, sizeof path, "/proc/%u/stat", pid);
  char state = task_state(path, &found);
  return state == 0 || state == 'Z' || state == 'X' || (start != 0 && found != start);
}

void world_lock(struct world *w)
{
  uint32_t pid = (uint32_t)getpid(), holder = 0;
  while (!__atomic_compare_exchange_n(&w->lock, &holder, pid, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    if (holder == pid) {
      sched_yield();
    } else {
      __atomic_add_fetch(&w->lock_waiters, 1, __ATOMIC_SEQ_CST);
      futex_wait(&w->lock, holder);
      __atomic_sub_fetch(&w->lock_waiters, 1, __ATOMIC_SEQ_CST);
      if (is_dead(holder, 0)) __atomic_compare_exchange_n(&w->lock, &holder, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
    holder = 0;
  }
}

void world_unlock(struct world *w)
{
  __atomic_store_n(&w->lock, 0, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&w->lock_waiters, __ATOMIC_SEQ_CST) > 0) syscall(SYS_futex, &w->lock, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool make(struct world *w)
{
  const char *clock = getenv("STUB_GPU_CLOCK");
  // Not the lock, which is ours and others wait for.
  memset((char *)w + offsetof(struct world, is_virtual), 0, offsetof(struct world, processes) - offsetof(struct world, is_virtual));
  w->is_virtual = clock != NULL && strcmp(clock, "virtual") == 0;
  w->is_still = clock != NULL && strcmp(clock, "none") == 0;
  w->now = w->is_virtual ? 1000000000ull : real_ns();
  w->next_sample = w->now + SAMPLE_NS;
  if (!read_devices(w)) return false;
  __atomic_store_n(&w->magic, MAGIC, __ATOMIC_RELEASE);
  return true;
}

static struct world *map_world(void)
{
  const char *path = getenv("STUB_GPU_STATE");
  int file = path == NULL ? memfd_create("stub-gpu", MFD_CLOEXEC) : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  struct stat info;
  if (file < 0 || fstat(file, &info) != 0 || (info.st_size < (off_t)sizeof(struct world) && ftruncate(file, sizeof(struct world)) != 0)) {
    fprintf(stderr, "stub GPU: cannot open STUB_GPU_STATE %s: %s\n", path == NULL ? "(none)" : path, strerror(errno));
    return NULL;
  }
  struct world *w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return w == MAP_FAILED ? NULL : w;
}

// Threads that come at once must find it at one address: handles are addresses in it.
struct world *world_open(void)
{
  static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&opening);
  struct world *w = shared != NULL ? NULL : map_world();
  if (w != NULL) {
    world_lock(w);
    bool good = w->magic == MAGIC || make(w);
    if (good) world_sweep(w);
    world_unlock(w);
    if (good) shared = w;
  }
  pthread_mutex_unlock(&opening);
  return shared;
}

static void free_process(struct world *w, unsigned index)
{
  struct process *p = &w->processes[index];
  for (unsigned n = 0; n < w->devices_end; n++)
    if (w->devices[n].current == index) w->devices[n].running = 0;
  p->first = p->end;
  memset(p->streams, 0, sizeof p->streams);
  memset(p->memory, 0, sizeof p->memory);
  __atomic_store_n(&p->pid, 0, __ATOMIC_RELEASE);
}

void world_sweep(struct world *w)
{
  w->swept_ns = real_ns();
  for (unsigned n = 0; n < PROCESSES_MAX; n++)
    if (w->processes[n].pid != 0 && is_dead(w->processes[n].pid, w->processes[n].start)) free_process(w, n);
  for (unsigned n = 0; n < w->actors_end; n++) {
    struct actor *a = &w->actors[n];
    char path[64];
    uint64_t start;
    snprintf(path, sizeof path, "/proc/%u/task/%u/stat", a->pid, a->tid);
    char state = a->state == ACTOR_FREE ? 'R' : task_state(path, &start);
    if (state == 0 || state == 'Z' || state == 'X') a->state = ACTOR_FREE;
  }
}

struct process *world_process(struct world *w)
{
  uint32_t pid = (uint32_t)getpid();
  if (own_process != NULL && own_pid == pid) return own_process;
  struct process *p = NULL;
  for (unsigned n = 0; n < PROCESSES_MAX; n++) {
    if (w->processes[n].pid == pid) {
      own_pid = pid;
      return own_process = &w->processes[n];
    }
    if (p == NULL && w->processes[n].pid == 0) p = &w->processes[n];
  }
  if (p == NULL) return NULL;
  memset(p, 0, offsetof(struct process, event_ns));
  task_state("/proc/self/stat", &p->start);
  p->pid = pid;
  p->first = p->end = 1;
  for (unsigned n = 0; n < w->devices_end; n++) p->streams[n] = (struct stream){.used = 1, .blocking = 1, .device = (uint16_t)n};
  p->streams_end = w->devices_end;
  own_pid = pid;
  return own_process = p;
}

__attribute__((destructor)) static void leave_world(void)
{
  if (shared == NULL) return;
  uint32_t pid = (uint32_t)getpid();
  world_lock(shared);
  for (unsigned n = 0; n < shared->actors_end; n++)
    if (shared->actors[n].pid == pid) shared->actors[n].state = ACTOR_FREE;
  for (unsigned n = 0; n < PROCESSES_MAX; n++)
    if (shared->processes[n].pid == pid) free_process(shared, n);
  world_unlock(shared);
  own_process = NULL;
}

uint64_t world_used(const struct world *w, unsigned device)
{
  uint64_t used = 0;
  for (unsigned n = 0; n < PROCESSES_MAX; n++)
    if (w->processes[n].pid != 0) used += w->processes[n].memory[device];
  return used;
}

bool world_take(struct world *w, struct process *p, unsigned device, int64_t bytes)
{
  struct device *d = &w->devices[device];
  if (bytes > 0 && world_used(w, device) + (uint64_t)bytes > d->memory) {
    world_sweep(w);
    if (world_used(w, device) + (uint64_t)bytes > d->memory) return false;
  }
  p->memory[device] += (uint64_t)bytes;
  uint64_t used = world_used(w, device);
  if (used > d->peak) {
    world_sweep(w); // a kernel frees what a process had when it dies, and not when somebody looks
    used = world_used(w, device);
  }
  if (used > d->peak) d->peak = used;
  return true;
}

// The thread's slot, under the lock; null: this thread does without (all slots are taken).
static struct actor *find_actor(struct world *w)
{
  uint32_t pid = (uint32_t)getpid();
  if (own_actor != NULL && own_actor_pid == pid) return own_actor;
  uint32_t tid = (uint32_t)syscall(SYS_gettid);
  struct actor *a = NULL;
  for (unsigned n = 0; n < ACTORS_MAX; n++) {
    struct actor *other = &w->actors[n];
    bool same = n < w->actors_end && other->state != ACTOR_FREE && other->pid == pid && other->tid == tid;
    if (same) a = other;
    if (same || (a == NULL && other->state == ACTOR_FREE)) a = other;
    if (same) break;
  }
  if (a == NULL) return NULL;
  if (a->state == ACTOR_FREE || a->pid != pid || a->tid != tid) *a = (struct actor){.pid = pid, .tid = tid, .state = ACTOR_RUNNING, .time = w->now};
  if (a >= &w->actors[w->actors_end]) w->actors_end = (uint32_t)(a - w->actors) + 1;
  own_actor_pid = pid;
  return own_actor = a;
}

// The actor that is furthest behind of those that run, but for `self`.
static struct actor *find_last(struct world *w, const struct actor *self)
{
  struct actor *last = NULL;
  for (unsigned n = 0; n < w->actors_end; n++) {
    struct actor *a = &w->actors[n];
    if (a != self && a->state == ACTOR_RUNNING && (last == NULL || a->time < last->time)) last = a;
  }
  return last;
}

static void wake_last(struct world *w, const struct actor *self)
{
  struct actor *last = find_last(w, self);
  if (last != NULL && last->waits_turn) futex_wake(&last->wake);
}

// An actor whose thread is asleep, in none of our waits: nobody knows when it goes on, so it is left behind. One that was killed is forgotten.
static void leave_behind(struct world *w, struct actor *a)
{
  char path[64];
  uint64_t start;
  if (a->state != ACTOR_RUNNING) return;
  snprintf(path, sizeof path, "/proc/%u/task/%u/stat", a->pid, a->tid);
  char state = task_state(path, &start);
  if (state == 0 || state == 'Z' || state == 'X') world_sweep(w);
  else if (!a->waits_turn && (state == 'S' || state == 'T')) a->state = ACTOR_IDLE;
}

// Lets the others go on for a while of real time. Gives the lock away meanwhile.
static void wait_real(struct world *w, struct actor *self)
{
  struct actor *last = find_last(w, self);
  uint32_t wake = __atomic_load_n(&self->wake, __ATOMIC_ACQUIRE);
  uint64_t time = last == NULL ? 0 : last->time, began = real_ns();
  self->waits_turn = 1;
  if (last != NULL && last->waits_turn) futex_wake(&last->wake);
  world_unlock(w);
  futex_wait(&self->wake, wake);
  world_lock(w);
  self->waits_turn = 0;
  if (last != NULL && last->time == time && real_ns() - began >= (uint64_t)PATIENCE_NS) leave_behind(w, last);
}

// Simulates up to the actor's time; afterwards no other that runs is behind it.
static void take_turn(struct world *w, struct actor *self)
{
  for (;;) {
    struct actor *last = find_last(w, self);
    uint64_t until = last != NULL && last->time < self->time ? last->time : self->time;
    if (w->now < until) simulate(w, until);
    last = find_last(w, self);
    if (w->now >= self->time && (last == NULL || last->time > self->time || (last->time == self->time && last > self))) break;
    if (last != NULL && (last->time < self->time || (last->time == self->time && last < self))) wait_real(w, self);
  }
  simulate(w, self->time);
}

static void stay_near(struct world *w, struct actor *self)
{
  struct actor *last;
  while ((last = find_last(w, self)) != NULL && last->time + LOOKAHEAD_NS < self->time) wait_real(w, self);
}

uint64_t world_enter(struct world *w, uint64_t cost_ns)
{
  world_lock(w);
  if (real_ns() - w->swept_ns > SWEEP_NS) world_sweep(w);
  if (!w->is_virtual) {
    simulate(w, real_ns());
    return w->now;
  }
  struct actor *self = find_actor(w);
  if (self == NULL) return w->now;
  if (self->state == ACTOR_IDLE) self->state = ACTOR_RUNNING;
  if (self->time < w->now) self->time = w->now;
  self->time += cost_ns;
  stay_near(w, self);
  return self->time;
}

void world_leave(struct world *w)
{
  if (w->is_virtual) wake_last(w, own_actor);
  world_unlock(w);
}

void world_turn(struct world *w)
{
  if (w->is_virtual && own_actor != NULL) take_turn(w, own_actor);
}

// Blocked until the ticket is done or the deadline is there.
static void block_virtual(struct world *w, struct actor *self)
{
  self->state = ACTOR_BLOCKED;
  while (self->state == ACTOR_BLOCKED) {
    struct actor *last = find_last(w, self);
    uint64_t next = last == NULL ? simulate_next(w) : last->time;
    if (next != NEVER) simulate(w, next);
    if (self->state == ACTOR_BLOCKED && (next == NEVER || find_last(w, self) != NULL)) wait_real(w, self);
  }
  take_turn(w, self);
}

static void wait_virtual(struct world *w, struct process *p, uint64_t ticket)
{
  struct actor *self = own_actor;
  take_turn(w, self);
  if (world_done(p, ticket)) return;
  self->process = (uint32_t)(p - w->processes);
  self->ticket = ticket;
  self->deadline = NEVER;
  block_virtual(w, self);
}

void world_wait(struct world *w, struct process *p, uint64_t ticket)
{
  if (w->is_virtual && own_actor != NULL) {
    wait_virtual(w, p, ticket);
    return;
  }
  while (!world_done(p, ticket)) {
    uint64_t next = simulate_next(w), now = real_ns();
    world_unlock(w);
    real_sleep(next > now && next - now < (uint64_t)PATIENCE_NS ? next - now : (uint64_t)PATIENCE_NS);
    world_lock(w);
    simulate(w, real_ns());
  }
}

uint64_t world_enqueue(struct world *w, struct process *p, const struct item *what)
{
  while (p->end - p->first >= ITEMS_MAX - 1) world_wait(w, p, p->first);
  struct stream *s = &p->streams[what->stream];
  uint64_t ticket = p->end;
  struct item *i = &p->items[ticket % ITEMS_MAX];
  *i = *what;
  i->ticket = ticket;
  i->arrival = w->is_virtual && own_actor != NULL ? own_actor->time : w->now;
  i->done = 0;
  i->next = 0;
  if (s->tail != 0) p->items[s->tail % ITEMS_MAX].next = ticket;
  if (s->head == 0) s->head = ticket;
  s->tail = s->last = ticket;
  p->end = ticket + 1;
  return ticket;
}

uint64_t world_clock(struct world *w)
{
  uint64_t now = world_enter(w, 25);
  world_leave(w);
  return now;
}

void world_sleep_until(struct world *w, uint64_t ns)
{
  world_enter(w, 100);
  struct actor *self = own_actor;
  if (self != NULL && ns > self->time) {
    self->ticket = 0;
    self->deadline = ns;
    block_virtual(w, self);
  }
  world_leave(w);
}
