// Devices in time: one kernel at a time, processes in turn by slices, within a process in the order of tickets. Copies and events take none of it.
#include "world.h"

static struct item *item_of(const struct process *p, uint64_t ticket)
{
  return (struct item *)&p->items[ticket % ITEMS_MAX];
}

bool world_done(const struct process *p, uint64_t ticket)
{
  return ticket < p->first || (ticket < p->end && item_of(p, ticket)->done);
}

// The legacy stream of a device waits for all blocking streams, and they for it: https://docs.nvidia.com/cuda, "Legacy default stream".
static bool is_ordered(const struct process *p, const struct item *i)
{
  const struct stream *own = &p->streams[i->stream];
  if (!own->blocking) return true;
  const struct stream *legacy = &p->streams[i->device];
  if (own != legacy) return legacy->head == 0 || legacy->head > i->ticket;
  for (uint32_t s = 0; s < p->streams_end; s++) {
    const struct stream *other = &p->streams[s];
    if (other != own && other->blocking && other->device == i->device && other->head != 0 && other->head < i->ticket) return false;
  }
  return true;
}

static bool is_ready(const struct world *w, const struct process *p, const struct item *i)
{
  return i->arrival <= w->now && (i->after == 0 || world_done(p, i->after)) && is_ordered(p, i);
}

static void finish(struct world *w, struct process *p, struct item *i)
{
  struct stream *s = &p->streams[i->stream];
  if (i->event >= 0) p->event_ns[i->event] = w->now;
  s->head = i->next;
  if (s->head == 0) s->tail = 0;
  i->done = 1;
  while (p->first < p->end && item_of(p, p->first)->done) p->first++;
}

// What takes no time and is ready is done at once; true: something was.
static bool settle_process(struct world *w, struct process *p)
{
  bool any = false;
  for (uint32_t s = 0; s < p->streams_end; s++) {
    while (p->streams[s].head != 0) {
      struct item *i = item_of(p, p->streams[s].head);
      if (i->left > 0 || !is_ready(w, p, i)) break;
      finish(w, p, i);
      any = true;
    }
  }
  return any;
}

static void settle(struct world *w)
{
  for (unsigned n = 0; n < PROCESSES_MAX; n++) {
    struct process *p = &w->processes[n];
    if (p->pid == 0 || p->first == p->end) continue;
    while (settle_process(w, p)) continue;
  }
}

// The ready kernel that was queued first; 0: none.
static uint64_t choose_item(const struct world *w, const struct process *p, unsigned device)
{
  uint64_t best = 0;
  if (p->pid == 0 || p->first == p->end) return 0;
  for (uint32_t s = 0; s < p->streams_end; s++) {
    uint64_t head = p->streams[s].head;
    if (head == 0 || p->streams[s].device != device || (best != 0 && head > best)) continue;
    if (item_of(p, head)->left > 0 && is_ready(w, p, item_of(p, head))) best = head;
  }
  return best;
}

static void schedule(struct world *w, unsigned device)
{
  struct device *d = &w->devices[device];
  if (d->running != 0 && w->now < d->slice_end) return;
  bool expired = w->now >= d->slice_end;
  for (unsigned n = expired ? 1 : 0; n <= PROCESSES_MAX; n++) {
    unsigned index = (d->current + n) % PROCESSES_MAX;
    uint64_t ticket = choose_item(w, &w->processes[index], device);
    if (ticket == 0) continue;
    if (n == PROCESSES_MAX && d->running != 0) ticket = d->running; // nobody else wants it: go on
    if (index != d->current || expired) d->slice_end = w->now + SLICE_NS;
    d->current = index;
    d->running = ticket;
    return;
  }
  d->running = 0;
}

static void take_samples(struct world *w)
{
  for (unsigned n = 0; n < w->devices_end; n++) {
    struct device *d = &w->devices[n];
    d->utilization = (uint32_t)(((d->busy - d->sampled_busy) * 100 + SAMPLE_NS / 2) / SAMPLE_NS);
    d->sampled_busy = d->busy;
    for (unsigned i = 0; i < PROCESSES_MAX; i++) {
      struct process *p = &w->processes[i];
      uint64_t busy = p->busy[n] - p->sampled[n];
      if (p->pid == 0 || busy == 0) continue;
      p->sampled[n] = p->busy[n];
      d->samples[d->samples_end++ % SAMPLES_MAX] =
          (struct sample){.at_ns = w->now, .pid = p->pid, .percent = (uint32_t)((busy * 100 + SAMPLE_NS / 2) / SAMPLE_NS)};
    }
  }
  w->next_sample += SAMPLE_NS;
}

static uint64_t next_arrival(const struct world *w)
{
  uint64_t next = NEVER;
  for (unsigned n = 0; n < PROCESSES_MAX; n++) {
    const struct process *p = &w->processes[n];
    if (p->pid == 0 || p->first == p->end) continue;
    for (uint32_t s = 0; s < p->streams_end; s++) {
      if (p->streams[s].head == 0) continue;
      uint64_t arrival = item_of(p, p->streams[s].head)->arrival;
      if (arrival > w->now && arrival < next) next = arrival;
    }
  }
  return next;
}

static uint64_t next_deadline(const struct world *w)
{
  uint64_t next = NEVER;
  for (unsigned n = 0; n < w->actors_end; n++)
    if (w->actors[n].state == ACTOR_BLOCKED && w->actors[n].deadline < next) next = w->actors[n].deadline;
  return next;
}

// When something happens next by itself; NEVER: nothing does.
uint64_t simulate_next(const struct world *w)
{
  uint64_t next = next_arrival(w), deadline = next_deadline(w);
  if (deadline < next) next = deadline;
  for (unsigned n = 0; n < w->devices_end; n++) {
    const struct device *d = &w->devices[n];
    if (d->running == 0) continue;
    uint64_t end = w->now + item_of(&w->processes[d->current], d->running)->left;
    uint64_t event = d->slice_end < end && d->slice_end > w->now ? d->slice_end : end;
    if (event < next) next = event;
  }
  return next;
}

static void run_until(struct world *w, uint64_t time)
{
  for (unsigned n = 0; n < w->devices_end; n++) {
    struct device *d = &w->devices[n];
    if (d->running == 0) continue;
    struct process *p = &w->processes[d->current];
    struct item *i = item_of(p, d->running);
    uint64_t span = time - w->now < i->left ? time - w->now : i->left;
    i->left -= span;
    p->busy[n] += span;
    d->busy += span;
  }
  w->now = time;
  for (unsigned n = 0; n < w->devices_end; n++) {
    struct device *d = &w->devices[n];
    if (d->running == 0) continue;
    struct process *p = &w->processes[d->current];
    struct item *i = item_of(p, d->running);
    if (i->left > 0) continue;
    finish(w, p, i);
    d->running = 0;
  }
}

bool wake_actors(struct world *w)
{
  bool any = false;
  for (unsigned n = 0; n < w->actors_end; n++) {
    struct actor *a = &w->actors[n];
    if (a->state != ACTOR_BLOCKED) continue;
    if (!(a->ticket != 0 && world_done(&w->processes[a->process], a->ticket)) && a->deadline > w->now) continue;
    a->state = ACTOR_RUNNING;
    a->time = w->now;
    any = true;
  }
  return any;
}

void simulate(struct world *w, uint64_t until)
{
  for (;;) {
    settle(w);
    for (unsigned n = 0; n < w->devices_end; n++) schedule(w, n);
    if (wake_actors(w) || w->now >= until) return;
    uint64_t next = simulate_next(w);
    if (next > until) next = until;
    bool samples = w->next_sample <= next;
    run_until(w, samples ? w->next_sample : next);
    if (samples) take_samples(w);
  }
}
