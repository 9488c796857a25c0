/* SPDX-License-Identifier: Apache-2.0 */
/* Says what becomes of a packet, and keeps account of it. */
#pragma once
#include "flow.h"
#include "maps.h"

enum direction { INGRESS, EGRESS };

/* About a second each (2^30 ns), since boot; the clock of a timer tick is cheap and near enough. */
inlined __u32 coarse_seconds(void)
{
	return bpf_ktime_get_coarse_ns() >> 30;
}

/* Look-ups in here are for accounts, not for the packet's way: they are not counted. */
inlined void count_rule(__u32 rule, __u32 bytes)
{
	struct rule_key key = { .rule = rule };
	struct counter *counter = bpf_map_lookup_elem(&rule_hits, &key);
	struct counter first = { .packets = 1, .bytes = bytes };

	if (counter) {
		counter->packets++;
		counter->bytes += bytes;
	} else {
		bpf_map_update_elem(&rule_hits, &key, &first, BPF_NOEXIST);
	}
}

inlined int may_log(void)
{
	__u32 zero = 0, now = coarse_seconds();
	struct log_budget *budget = bpf_map_lookup_elem(&log_budgets, &zero);

	if (!budget)
		return 0;
	if (budget->second != now) {
		budget->second = now;
		budget->used = 0;
	}
	return budget->used++ < CONFIG.log_per_second;
}

inlined void log_drop(const struct flow *flow, enum direction direction)
{
	struct drop_event *event;

	if (!may_log())
		return;
	event = bpf_ringbuf_reserve(&drop_log, sizeof(*event), 0);
	if (!event)
		return;
	event->reason = flow->reason;
	event->rule = flow->rule;
	event->vni = flow->vni;
	event->identity = flow->identity;
	event->source = address_of(flow->source);
	event->destination = address_of(flow->destination);
	event->node = address_of(flow->node);
	event->source_port = flow->source_port;
	event->destination_port = flow->destination_port;
	event->protocol = flow->protocol;
	event->direction = direction;
	event->pad[0] = 0;
	event->pad[1] = 0;
	event->length = flow->length;
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
}

static __noinline int drop(context *ctx, struct flow *flow, enum direction direction)
{
	__u32 reason = flow->reason;
	struct counter *counter = bpf_map_lookup_elem(&drops, &reason);

	if (counter) {
		counter->packets++;
		counter->bytes += context_length(ctx);
	}
	log_drop(flow, direction);
#ifdef TRACE
	trace.reason = flow->reason;
	trace.rule = flow->rule;
#endif
	return VERDICT_DROP;
}

#define DROP(ctx, flow, why, direction)                                                                                                                        \
	({                                                                                                                                                     \
		(flow)->reason = (why);                                                                                                                        \
		drop(ctx, flow, direction);                                                                                                                    \
	})

/* Device that the packet came in by, or at whose egress it is. */
inlined __u32 device_of(context *ctx)
{
#ifdef TRACE
	if (trace.device)
		return trace.device;
#endif
#ifdef HOOK_XDP
	return ctx->ingress_ifindex;
#else
	return ctx->ifindex;
#endif
}

inlined void note_target(__u32 target)
{
#ifdef TRACE
	trace.target = target;
#endif
}
