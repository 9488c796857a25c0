/* SPDX-License-Identifier: Apache-2.0 */
/* When a packet may leave, and whether it may: fair among the flows of a pod, and among the pods of a level. */
#pragma once
#include "clock.h"

/* Nothing departs later: fq would not believe it. */
#define HORIZON TIME(2000000000ull)
/* What a flow has waiting, and what everybody has, together: so much, or what takes as long as two of the largest packets. A flow alone may thus have half of it waiting. */
#define LIMIT MILLISECONDS(40)
#define LIMIT_BYTES_SHIFT 17
/* From here packets are told to be of a congested way. */
#define MARK MILLISECONDS(10)
#define MARK_BYTES_SHIFT 15
/* What a level has waiting was told when to leave at a rate that may be another one soon: no longer than this, so that who may go faster does. */
#define LEVEL_LIMIT_MAX MILLISECONDS(200)
/* A packet of a flow that has nothing waiting goes ahead of those that wait, if it is no larger: two full frames. */
#define QUANTUM_BYTES 3028
/* A socket may ask for a later departure, as BBR does; not for one that fills the queues. */
#define ASKED_MAX MILLISECONDS(200)
/* One packet before one clock. */
struct turn {
	/* None: nothing is limited here. */
	struct shaper_clock *clock;
	/* Of a byte. */
	__u64 byte_cost;
	__u32 bytes;
	/* Which of the flows. */
	__u32 flow;
	__u64 now;
	/* Of what waits; 0: HORIZON. */
	__u64 limit_max;
	/* From here on: what look() says. How many flows have something waiting, this one too; what of the wait is this one's; whether it need not wait. */
	__u32 active;
	__u8 is_sparse;
	__u8 is_over;
	__u8 is_marked;
	__u64 claim;
};

/*
 * Who has something waiting shares the rate: the share of a flow moves on by its cost times their number, and is where it would be if it had that alone; its clock is
 * there, or where its last packet waits among all others. The more of the wait is a flow's own, the earlier its packets are dropped; who has none waiting goes ahead. Told of the wait is who made it: whoever has less than a fair part
 * would else give way to those that do not listen.
 */
static __noinline void look(struct turn *turn)
{
	__u64 now = turn->now, wait, own, share, all, mark, limit;
	__u32 active = 0, flow = turn->flow & (SHAPER_FLOWS - 1);

	turn->active = 1;
	turn->claim = 0;
	turn->is_sparse = 1;
	turn->is_over = 0;
	turn->is_marked = 0;
	wait = ahead(read_clock(&turn->clock->next), now);
	if (!wait)
		return;
	own = ahead(read_clock(&turn->clock->flows[flow]), now);
	share = ahead(read_clock(&turn->clock->shares[flow]), now);
	/* By the sign of the difference: a branch each would be a thousand ways for the verifier. */
#pragma unroll
	for (int i = 0; i < SHAPER_FLOWS; i++)
		active += (now - read_clock(&turn->clock->flows[i])) >> 63;
	if (!own)
		active++;
	/* A flow can't have more waiting than there is. */
	all = wait * active;
	turn->active = active;
	turn->claim = share < all ? share : all;
	turn->is_sparse = !own && turn->bytes <= QUANTUM_BYTES;
	all = wait + turn->claim;
	limit = at_least(LIMIT, turn->byte_cost, LIMIT_BYTES_SHIFT);
	mark = at_least(MARK, turn->byte_cost, MARK_BYTES_SHIFT);
	if (turn->limit_max && limit > turn->limit_max) {
		limit = turn->limit_max;
		mark = mark < limit / 4 ? mark : limit / 4;
	}
	turn->is_over = wait > HORIZON || (!turn->is_sparse && all > limit);
	turn->is_marked = !turn->is_sparse && all > mark && turn->claim >= wait && (active == 1 || 2 * turn->claim >= 3 * wait || wait > mark);
}

/* Returns when the packet may go, as far as this clock is concerned; 0: there is none. */
static __noinline __u64 charge(struct turn *turn)
{
	__u64 cost, start, share;
	__u32 flow = turn->flow & (SHAPER_FLOWS - 1);

	if (!turn->clock)
		return 0;
	cost = cost_of(turn->byte_cost, turn->bytes);
	start = advance(&turn->clock->next, turn->now, cost);
	share = turn->now + turn->claim + cost * turn->active;
	if (turn->is_sparse)
		start = turn->now;
	/* A flow's packets keep their order: it has nothing waiting only once the last of them is gone. Two CPUs rarely have one flow, and then lose one step. */
	*(volatile __u64 *)&turn->clock->shares[flow] = share;
	*(volatile __u64 *)&turn->clock->flows[flow] = share > start ? share : start;
	return start;
}

inlined void count_packet(void *counters, __u32 index, __u32 bytes, int is_drop, int is_mark)
{
	struct shaper_counter *counter = bpf_map_lookup_elem(counters, &index);

	if (!counter)
		return;
	if (is_drop) {
		counter->drops++;
		counter->drop_bytes += bytes;
		return;
	}
	counter->packets++;
	counter->bytes += bytes;
	counter->marks += is_mark;
}
