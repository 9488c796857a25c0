// Holds the container to its share of a device's time, in nanoseconds of the device: nothing here depends on how large the device is.
//
// A launch is charged what launches like it took (feed-forward); events around some of them measure that, and what was charged wrongly is put
// right. NVML's word on the container's use corrects all charges by a factor (feedback, in reconcile.c). Tokens are nanoseconds: they come at the
// rate of the share, up to what a tenth of a second gives, and a launch waits while there are none. A launch may be longer than what there is: it
// leaves a debt. Waiting always ends, since tokens come with time alone: no launch waits for another one to end.
#include "interposer.h"

#include <string.h>

#define KEYS 4096u
#define PROBES 8u
#define PENDING 64
#define REFILL_NS 20000ull                // tokens are given no more often
#define DEPTH_NS (100 * NS_PER_MS)        // tokens of so much time are kept
#define QUANTUM_NS (1 * NS_PER_MS)        // who had to wait goes on with so much
#define NAP_NS (10 * NS_PER_MS)           // limits may change while one waits
#define PEERS_NS (20 * NS_PER_MS)
#define PEERS_MAX 64
#define WANTED_NS (50 * NS_PER_MS)        // after a launch, the container wants the device so long
#define ALWAYS_NS 512000ull               // launches as long as this are all measured: 1 % of them is more than two events cost
#define SAMPLE_NS (1 * NS_PER_MS)
#define PATIENCE_NS (500 * NS_PER_MS)     // for the first measurement of a kind of launch
#define COLLECT_NS 100000ull              // between two looks at what is pending
#define STREAMS_ASKED 4                   // that have nothing new, in one look
#define AHEAD_NS (100 * NS_PER_MS)        // of work may be queued by who is not limited now, and may be when another container comes
#define UNMEASURED_MAX 8                  // launches of a kind that nobody has measured yet, by who is not limited now
#define FLOAT_NS_MAX 1e15
#define CALM_NS (100 * NS_PER_MS)         // without launches in another stream, for a measurement to be of one kernel

struct estimate {
  uint64_t key;
  uint64_t ns;                            // of one launch; 0: not known
  uint64_t sampled_ns;                    // CLOCK_MONOTONIC of the last measurement's begin
  uint64_t first_ns;                      // of the first launch
  uint32_t unmeasured;                    // launches charged nothing so far
  uint8_t patient, is_rough;
};

static struct estimate estimates[KEYS];
static struct launch pending[PENDING];
static unsigned pending_count;
static uint64_t collect_ns, oldest_mark = UINT64_MAX;
static struct launch spare[PENDING];      // events of measurements that are done
static unsigned spare_count;
static struct {
  CUstream stream;
  bool has_stream;
  uint64_t switched_ns, peers_ns, others_ns;
} streams[GPU_DEVICES_MAX];

static struct estimate *find_estimate(uint64_t key)
{
  unsigned start = (unsigned)(key * 0x9e3779b97f4a7c15ull >> 52);
  for (unsigned n = 0; n < PROBES; n++) {
    struct estimate *e = &estimates[(start + n) % KEYS];
    uint64_t found = __atomic_load_n(&e->key, __ATOMIC_ACQUIRE);
    if (found == key) return e;
    if (found == 0 && __atomic_compare_exchange_n(&e->key, &found, key, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) return e;
    if (found == key) return e;
  }
  struct estimate *e = &estimates[start % KEYS]; // crowded: the first gives way
  *e = (struct estimate){.key = key};
  return e;
}

void pace_forget(uint64_t key)
{
  unsigned start = (unsigned)(key * 0x9e3779b97f4a7c15ull >> 52);
  for (unsigned n = 0; n < PROBES; n++) {
    struct estimate *e = &estimates[(start + n) % KEYS];
    if (e->key == key) *e = (struct estimate){.key = key};
  }
}

void pace_forget_all(void)
{
  for (unsigned n = 0; n < KEYS; n++)
    if (estimates[n].key != 0) estimates[n] = (struct estimate){.key = estimates[n].key};
}

void pace_clear(void)
{
  pending_count = spare_count = 0;
  oldest_mark = UINT64_MAX;
  collect_ns = 0;
  memset(streams, 0, sizeof streams);
  pace_forget_all();
}

void count_launch(int device, bool graph)
{
  struct gpu_process_device *d = &own->slot->devices[device];
  __atomic_add_fetch(&d->launches, 1, __ATOMIC_RELAXED);
  if (graph) __atomic_add_fetch(&d->graph_launches, 1, __ATOMIC_RELAXED);
}

// --- tokens

static void refill(struct gpu_device *d, uint64_t now)
{
  uint64_t last = __atomic_load_n(&d->refilled_ns, __ATOMIC_RELAXED), share = d->share;
  if ((now < last + REFILL_NS && last <= now + DEPTH_NS) || !__atomic_compare_exchange_n(&d->refilled_ns, &last, now, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return;
  if (last > now + DEPTH_NS) return; // of before the host's start: now counts
  uint64_t span = last == 0 ? QUANTUM_NS : now - last < DEPTH_NS ? now - last : DEPTH_NS;
  int64_t depth = (int64_t)(DEPTH_NS * share / SHARE_ALL);
  // Who is in debt is given all of the time that passed, not only the last of it.
  if (__atomic_load_n(&d->tokens, __ATOMIC_RELAXED) < 0 && last != 0) span = now - last;
  int64_t tokens = __atomic_add_fetch(&d->tokens, (int64_t)(span * share / SHARE_ALL), __ATOMIC_ACQ_REL);
  if (tokens > depth) __atomic_sub_fetch(&d->tokens, tokens - depth, __ATOMIC_ACQ_REL);
}

static void charge(unsigned device, int64_t ns)
{
  struct gpu_device *d = &region->devices[device];
  if ((uint64_t)ns > own->longest_ns && ns > 0) own->longest_ns = (uint64_t)ns;
  ns = ns * (int64_t)(d->correction >> 6) / 1024;
  __atomic_sub_fetch(&d->tokens, ns, __ATOMIC_ACQ_REL);
  __atomic_add_fetch(&own->charged_ns, (uint64_t)ns, __ATOMIC_RELAXED);
  demand->devices[device].charged_ns = __atomic_add_fetch(&d->charged_ns, (uint64_t)ns, __ATOMIC_RELAXED);
  __atomic_add_fetch(&own->slot->devices[device].charged_ns, (uint64_t)ns, __ATOMIC_RELAXED);
}

// --- who else wants the device

static void look_around(unsigned device, uint64_t now)
{
  struct gpu_device *d = &region->devices[device];
  struct wish mine = {.priority = d->priority, .compute = d->compute, .burst = d->burst}, others[PEERS_MAX];
  if (now - streams[device].peers_ns < PEERS_NS) return;
  streams[device].peers_ns = now;
  read_limits();
  unsigned count = read_peers(device, now, others, PEERS_MAX);
  if (count > 0) streams[device].others_ns = now;
  uint32_t share = plan_share(&mine, others, count);
  if (share != d->share) d->share = share;
  measure_use(device, now);
}

static void say_wanted(unsigned device, uint64_t until)
{
  uint64_t *wanted = &demand->devices[device].wanted_until_ns;
  if (until > *wanted + WANTED_NS / 8) __atomic_store_n(wanted, until, __ATOMIC_RELAXED);
}

// --- measurements

static uint64_t charged_by_others(unsigned device)
{
  return region->devices[device].charged_ns - own->slot->devices[device].charged_ns;
}

// Does nothing else run between the two events of this launch, as far as we know?
static bool is_alone(const struct launch *l)
{
  return streams[l->device].switched_ns + CALM_NS < l->started && streams[l->device].others_ns + WANTED_NS < l->started && charged_by_others(l->device) == l->others;
}

static void learn(const struct launch *l, uint64_t took)
{
  struct estimate *e = find_estimate(l->key);
  bool alone = l->is_alone && is_alone(l), known = e->ns != 0;
  uint64_t ns = took > l->gap * 2 ? took - l->gap : took / 2 + 1;
  if (!known || (e->is_rough && (alone || ns < e->ns))) {
    // Launches before the first measurement were charged nothing; the one that was measured too.
    uint32_t owed = known ? 0 : __atomic_exchange_n(&e->unmeasured, 0, __ATOMIC_RELAXED);
    e->ns = ns;
    e->is_rough = !alone;
    if (owed > 0) charge(l->device, (int64_t)(ns * owed));
    return;
  }
  if (alone) {
    if (l->charged > 0) charge(l->device, (int64_t)ns - (int64_t)l->charged);
    int64_t step = ((int64_t)ns - (int64_t)e->ns) / 4;
    e->ns = (uint64_t)((int64_t)e->ns + step);
  } else if (ns < e->ns) {
    e->ns -= (e->ns - ns) / 4;
  } else {
    e->ns += e->ns / 1024; // it may have become longer; NVML decides
  }
}

// True: it was measured, or never will be.
static bool is_settled(const struct launch *l)
{
  float ms = 0;
  CUresult r = call_cuEventQuery()(l->end);
  if (r == CUDA_ERROR_NOT_READY) return false;
  if (r == CUDA_SUCCESS && call_cuEventElapsedTime()(&ms, l->start, l->end) == CUDA_SUCCESS && ms >= 0 && (double)ms * 1e6 < FLOAT_NS_MAX) learn(l, (uint64_t)((double)ms * 1e6));
  return true;
}

// Takes what is measured by now, oldest first. While a stream is captured nobody may ask events.
static void collect(uint64_t now)
{
  if ((now < collect_ns && collect_ns - now <= COLLECT_NS) || __atomic_load_n(&own->captures, __ATOMIC_RELAXED) != 0 || __atomic_load_n(&pending_count, __ATOMIC_RELAXED) == 0) return;
  if (__atomic_exchange_n(&own->pending_lock, 1, __ATOMIC_ACQUIRE) != 0) return;
  collect_ns = now + COLLECT_NS;
  for (unsigned n = 0, unready = 0; n < pending_count && unready < STREAMS_ASKED;) {
    if (!is_settled(&pending[n])) {
      unready++;
      n++;
      continue;
    }
    if (spare_count < PENDING) spare[spare_count++] = pending[n];
    pending_count--;
    memmove(&pending[n], &pending[n + 1], (pending_count - n) * sizeof pending[0]);
  }
  oldest_mark = pending_count == 0 ? UINT64_MAX : pending[0].mark;
  spin_unlock(&own->pending_lock);
}

void pace_forget_context(CUcontext context)
{
  spin_lock(&own->pending_lock);
  for (unsigned n = 0; n < pending_count;)
    if (pending[n].context == context) memmove(&pending[n], &pending[n + 1], (--pending_count - n) * sizeof pending[0]);
    else n++;
  oldest_mark = pending_count == 0 ? UINT64_MAX : pending[0].mark;
  for (unsigned n = 0; n < spare_count;)
    if (spare[n].context == context) spare[n] = spare[--spare_count];
    else n++;
  spin_unlock(&own->pending_lock);
}

static void begin_measurement(struct launch *l)
{
  if (pending_count >= PENDING || call_cuCtxGetCurrent()(&l->context) != CUDA_SUCCESS) return;
  spin_lock(&own->pending_lock);
  for (unsigned n = 0; n < spare_count && l->start == NULL; n++) {
    if (spare[n].context != l->context) continue;
    l->start = spare[n].start;
    l->end = spare[n].end;
    spare[n] = spare[--spare_count];
  }
  spin_unlock(&own->pending_lock);
  if (l->start == NULL && call_cuEventCreate()(&l->start, 0) != CUDA_SUCCESS) l->start = NULL;
  if (l->start != NULL && l->end == NULL && call_cuEventCreate()(&l->end, 0) != CUDA_SUCCESS) l->start = NULL;
  if (l->start == NULL) return;
  // A device without work takes the event at once and then waits for us to launch: that is no time of the kernel's.
  l->was_idle = (l->per_thread ? call_cuStreamQuery_ptsz()(l->stream) : call_cuStreamQuery()(l->stream)) == CUDA_SUCCESS;
  CUresult r = l->per_thread ? call_cuEventRecord_ptsz()(l->start, l->stream) : call_cuEventRecord()(l->start, l->stream);
  l->started = clock_ns();
  l->others = charged_by_others(l->device);
  l->is_alone = is_alone(l);
  if (r != CUDA_SUCCESS) l->start = NULL;
}

// --- a launch

// Until there are tokens. Returns the time.
static uint64_t wait_for_tokens(const struct launch *l, uint64_t now, bool *waited)
{
  struct gpu_device *d = &region->devices[l->device];
  uint64_t began = now;
  for (;;) {
    refill(d, now);
    int64_t tokens = __atomic_load_n(&d->tokens, __ATOMIC_ACQUIRE);
    if (tokens > 0 || d->share >= SHARE_ALL) break;
    uint64_t nap = ((uint64_t)-tokens * SHARE_ALL) / d->share + QUANTUM_NS;
    sleep_for(nap < NAP_NS ? nap : NAP_NS);
    *waited = true;
    now = clock_ns();
    collect(now);
    say_wanted(l->device, now + WANTED_NS);
    look_around(l->device, now);
  }
  if (*waited) __atomic_add_fetch(&d->waited_ns, now - began, __ATOMIC_RELAXED);
  return now;
}

// A kind of launch that was never measured and is under way: how long it takes decides how long this one waits. Once, and not for ever: it may be
// that it waits for what this thread is about to launch.
static void wait_for_measurement(struct estimate *e, const struct launch *l)
{
  uint64_t began = clock_ns(), nap = 20000;
  while (e->ns == 0 && e->patient == 0 && __atomic_load_n(&own->captures, __ATOMIC_RELAXED) == 0) {
    sleep_for(nap);
    if (nap < NS_PER_MS) nap += nap / 4;
    uint64_t now = clock_ns();
    collect(now);
    if (now - began > PATIENCE_NS) e->patient = 1;
    say_wanted(l->device, now + WANTED_NS);
  }
}

// Nobody else wants the device, but somebody may in a moment: what is queued by then can't be taken back. Queued is what was charged since the
// oldest launch that has not ended; not since when, for kernels may run side by side.
static uint64_t stay_near(const struct launch *l, uint64_t now)
{
  uint64_t began = now;
  refill(&region->devices[l->device], now);
  while (now - began < AHEAD_NS && __atomic_load_n(&own->captures, __ATOMIC_RELAXED) == 0) {
    uint64_t mark = __atomic_load_n(&oldest_mark, __ATOMIC_RELAXED);
    if (mark == UINT64_MAX || own->charged_ns < mark + AHEAD_NS) break;
    sleep_for(NS_PER_MS);
    now = clock_ns();
    collect(now);
    say_wanted(l->device, now + WANTED_NS);
  }
  return now;
}

static void note_stream(const struct launch *l, uint64_t now)
{
  if (streams[l->device].has_stream && streams[l->device].stream != l->stream) streams[l->device].switched_ns = now;
  streams[l->device].has_stream = true;
  streams[l->device].stream = l->stream;
}

void pace_before(struct launch *l)
{
  struct gpu_device *d = &region->devices[l->device];
  uint64_t now = clock_ns();
  bool waited = false;
  look_around(l->device, now);
  collect(now);
  struct estimate *e = find_estimate(l->key);
  if (e->ns == 0 && e->unmeasured >= (d->share < SHARE_ALL ? 1 : UNMEASURED_MAX) && !e->patient) wait_for_measurement(e, l);
  now = d->share < SHARE_ALL ? wait_for_tokens(l, now, &waited) : stay_near(l, now);
  uint64_t ns = e->ns;
  if (ns == 0) {
    if (__atomic_add_fetch(&e->unmeasured, 1, __ATOMIC_RELAXED) == 1) e->first_ns = now;
  } else {
    charge(l->device, (int64_t)ns);
  }
  l->charged = ns;
  l->mark = own->charged_ns;
  say_wanted(l->device, now + WANTED_NS + ns);
  note_stream(l, now);
  bool due = ns == 0 || ns >= ALWAYS_NS || waited || now - e->sampled_ns >= SAMPLE_NS;
  if (!due || __atomic_load_n(&own->captures, __ATOMIC_RELAXED) != 0) return;
  e->sampled_ns = now;
  begin_measurement(l);
}

void pace_after(struct launch *l, CUresult result)
{
  if (result != CUDA_SUCCESS && l->charged > 0) charge(l->device, -(int64_t)l->charged);
  if (l->start == NULL) return;
  if (l->was_idle) l->gap = clock_ns() - l->started;
  CUresult r = l->per_thread ? call_cuEventRecord_ptsz()(l->end, l->stream) : call_cuEventRecord()(l->end, l->stream);
  spin_lock(&own->pending_lock);
  struct launch *list = r == CUDA_SUCCESS && result == CUDA_SUCCESS && pending_count < PENDING ? pending : spare;
  unsigned *count = list == pending ? &pending_count : &spare_count;
  if (*count < PENDING) list[(*count)++] = *l;
  oldest_mark = pending_count == 0 ? UINT64_MAX : pending[0].mark;
  spin_unlock(&own->pending_lock);
}
