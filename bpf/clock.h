/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What shaping is made of: docs/shaping.md. A clock says when what was accepted so far will have been sent; each packet moves it on by what it costs. Times here are in
 * 2^-CLOCK_SHIFT nanoseconds.
 */
#pragma once
#include "maps.h"

#define TIME(nanoseconds) ((__u64)(nanoseconds) << CLOCK_SHIFT)
#define MILLISECONDS(n) TIME((n) * 1000000ull)

/* Tries to move a clock on that other CPUs move too. */
#define TRIES 8

inlined __u64 clock_now(void)
{
#ifdef TRACE
	if (trace.now)
		return TIME(trace.now);
#endif
	return TIME(bpf_ktime_get_ns());
}

inlined __u64 cost_of(__u64 cost, __u32 bytes)
{
	return cost * bytes >> COST_SHIFT;
}

inlined __u64 at_least(__u64 time, __u64 cost, __u32 bytes_shift)
{
	__u64 of_bytes = bytes_shift > COST_SHIFT ? cost << (bytes_shift - COST_SHIFT) : cost >> (COST_SHIFT - bytes_shift);

	return time > of_bytes ? time : of_bytes;
}

inlined __u64 ahead(__u64 time, __u64 now)
{
	return time > now ? time - now : 0;
}

/* What is read of a clock that other CPUs move. */
inlined __u64 read_clock(const __u64 *clock)
{
	return *(const volatile __u64 *)clock;
}

/* Moves a clock on by `cost`, from `floor` if it is behind; returns where it was. When others are always faster it is moved all the same. */
inlined __u64 advance(__u64 *clock, __u64 floor, __u64 cost)
{
	__u64 seen, start;

	for (int i = 0; i < TRIES; i++) {
		seen = read_clock(clock);
		start = seen > floor ? seen : floor;
		if (__sync_val_compare_and_swap(clock, seen, start + cost) == seen)
			return start;
	}
	seen = __sync_fetch_and_add(clock, cost);
	return seen > floor ? seen : floor;
}

#ifndef HOOK_XDP
/* How many packets a large one is cut into. `headers`: bytes before the payload of each. The kernel forgets the number when it puts a packet into a tunnel or takes it out. */
inlined __u32 segments_of(context *ctx, __u32 headers)
{
	__u32 size = ctx->gso_size, known = ctx->gso_segs, length = ctx->len, counted = 1;

	if (size && length > headers)
		counted = (length - headers + size - 1) / size;
	return counted > known ? counted : known;
}
#endif

/* What a shaper is given; of numbers that nobody has, what the first one has: nothing. Compared here, where it is used: Linux 6.12 does not see earlier comparisons. */
inlined volatile const struct shaper_config *shaper_of(__u32 shaper)
{
	asm volatile("" : "+r"(shaper));
	if (shaper >= SHAPERS_MAX)
		shaper = 0;
	return &shaping.shapers[shaper];
}

/* The level of a pod's packets. A shaper that nobody has is as if nothing were said of the pod. */
inlined __u32 level_of(__u32 shaper)
{
	volatile const struct shaper_config *config = shaper_of(shaper);
	__u32 level = config->flags & SHAPER_USED ? config->level : DEFAULT_LEVEL;

	return level < POD_LEVELS ? level : DEFAULT_LEVEL;
}
