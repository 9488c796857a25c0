/* SPDX-License-Identifier: Apache-2.0 */
/* tcx egress of an uplink: when each packet may leave, and what it is called on the way. Whose it is was said by from_pod, in the queue mapping. */
#include "shape.h"
#include "uplink.h"

#define ECN_NONE 0
#define DSCP_MASK 0xfc
#define HTB_SHAPERS 0xce000100
/* Offset of the byte with DSCP and ECN. */
#define TOS_OFFSET (ETH_HLEN + 1)
/* Of the byte of TCP's header that says how long it is, in its upper half. */
#define TCP_WORDS_OFFSET 12

struct departure {
	__u32 shaper;
	__u32 level;
	/* On the wire, with what the kernel does not count. */
	__u32 bytes;
	__u64 now;
	/* Of a byte, for the pod's own limit; 0: none. */
	__u64 byte_cost;
	__u8 is_marked;
};

inlined __u32 mapping_of(context *ctx)
{
#ifdef TRACE
	if (trace.mapping)
		return trace.mapping;
#endif
	return ctx->queue_mapping;
}

/* The flow that the drop log names: what is in a tunnel is a pod's. */
static __noinline int describe(context *ctx, struct flow *flow)
{
	struct outer outer __attribute__((aligned(8)));
	__u32 inner = sizeof(outer) + sizeof(struct ethhdr);

	if (!flow)
		return 0;
	if (context_load(ctx, 0, &outer, sizeof(outer)) < 0 || outer.eth.h_proto != bpf_htons(ETH_P_IP) || outer.ip.protocol != IPPROTO_UDP ||
	    outer.udp.dest != bpf_htons(GENEVE_PORT))
		return parse_ipv4(ctx, ETH_HLEN, flow);
	inner += (outer.geneve.version_and_words & GENEVE_OPTION_WORDS_MASK) * 4;
	flow->vni = bpf_ntohl(outer.geneve.vni) >> 8;
	return parse_ipv4(ctx, inner, flow);
}

/* Up to the payload, of each segment; 0: not known. */
static __noinline __u32 headers_of(context *ctx)
{
	struct flow flow = {};
	__u8 words;

	if (describe(ctx, &flow) != DROP_NONE)
		return 0;
	if (flow.protocol == IPPROTO_UDP)
		return flow.l4 + sizeof(struct udphdr);
	if (flow.protocol != IPPROTO_TCP || context_load(ctx, flow.l4 + TCP_WORDS_OFFSET, &words, sizeof(words)) < 0)
		return 0;
	return flow.l4 + (words >> 4) * 4;
}

/* What the kernel counts has too little of the headers of a large packet that is in a tunnel (Linux 6.12: only the outer ones of further segments). */
inlined __u32 bytes_on_wire(context *ctx)
{
	__u32 headers, segments = 1, bytes = ctx->wire_len, counted;

	if (ctx->gso_size) {
		headers = headers_of(ctx);
		segments = segments_of(ctx, headers);
		counted = ctx->len + (segments - 1) * headers;
		bytes = counted > bytes ? counted : bytes;
	}
	return bytes + segments * shaping.overhead_bytes;
}

static __noinline int refuse(context *ctx, struct departure *packet, enum drop_reason reason)
{
	struct flow flow = {};

	count_packet(&level_counters, packet->level, packet->bytes, 1, 0);
	if (packet->shaper >= SHAPERS_RESERVED)
		count_packet(&shaper_counters, packet->shaper, packet->bytes, 1, 0);
	describe(ctx, &flow);
	return DROP(ctx, &flow, reason, EGRESS);
}

/* The clock of a pod's own limit, and that of its level. */
struct turns {
	struct turn pod;
	struct turn level;
};

/* What one clock says, if it limits anything. Returns whether the packet may not pass. */
inlined int ask(struct departure *packet, struct turn *turn, struct shaper_clock *clock)
{
	if (!clock)
		return 0;
	turn->clock = clock;
	turn->bytes = packet->bytes;
	turn->now = packet->now;
	look(turn);
	packet->is_marked |= turn->is_marked;
	return turn->is_over;
}

/* What both clocks say, before either is charged. */
inlined enum drop_reason ask_clocks(context *ctx, struct departure *packet, struct turns *turns)
{
	__u32 shaper = packet->shaper, level = packet->level;

	turns->pod.byte_cost = packet->byte_cost;
	turns->level.byte_cost = shaping.levels[level].cost;
	if (!turns->pod.byte_cost && !turns->level.byte_cost)
		return DROP_NONE;
	packet->now = clock_now();
	/* Nobody watches how the levels share the link any more: who made way for others would do so for ever. */
	if (shaping.rates_until && packet->now > TIME(shaping.rates_until))
		turns->level.byte_cost = 0;
	turns->pod.flow = bpf_get_hash_recalc(ctx) & (SHAPER_FLOWS - 1);
	/* Pods of a level are to it what flows are to a pod; those without a number of their own are told apart by their flows. */
	turns->level.flow = shaper >= SHAPERS_RESERVED ? shaper & (SHAPER_FLOWS - 1) : turns->pod.flow;
	if (turns->pod.byte_cost && ask(packet, &turns->pod, bpf_map_lookup_elem(&shaper_clocks, &shaper)))
		return DROP_EGRESS_BANDWIDTH;
	turns->level.limit_max = LEVEL_LIMIT_MAX;
	if (turns->level.byte_cost && ask(packet, &turns->level, bpf_map_lookup_elem(&level_clocks, &level)))
		return DROP_UPLINK_FULL;
	return DROP_NONE;
}

/* The packet waits in fq until all who have a say let it go: the pod's limit, its level's, and its socket. */
inlined void stamp(context *ctx, const struct departure *packet, struct turns *turns)
{
	__u64 asked = ctx->tstamp, at = charge(&turns->pod), of_level = charge(&turns->level), latest;

	if (of_level > at)
		at = of_level;
	if (asked && packet->shaper) {
		latest = ((packet->now ? packet->now : clock_now()) + ASKED_MAX) >> CLOCK_SHIFT;
		asked = asked < latest ? asked : latest;
	}
	if (at > packet->now && at >> CLOCK_SHIFT > asked)
		asked = at >> CLOCK_SHIFT;
	if (asked != ctx->tstamp)
		ctx->tstamp = asked;
}

/* What the way is told of a pod's packet: its level, and whether the way is congested. Returns whether that was said. */
static __noinline int write_tos(context *ctx, struct departure *packet)
{
	__u8 before, after;
	int is_told = 0;

	if (!packet || ctx->protocol != bpf_htons(ETH_P_IP) || context_load(ctx, TOS_OFFSET, &before, sizeof(before)) < 0)
		return 0;
	after = before & ECN_MASK;
	if (packet->is_marked && after != ECN_NONE && after != ECN_CE) {
		after = ECN_CE;
		is_told = 1;
	}
	after |= packet->level < SHAPING_LEVELS ? shaping.levels[packet->level].dscp << 2 : 0;
	if (after == before)
		return is_told;
	if (bpf_l3_csum_replace(ctx, ETH_HLEN + __builtin_offsetof(struct iphdr, check), bpf_htons(0x4500 | before), bpf_htons(0x4500 | after), 2) < 0)
		return 0;
	context_store(ctx, TOS_OFFSET, &after, sizeof(after));
	return is_told;
}

inlined void set_priority(context *ctx, const struct departure *packet)
{
	__u32 priority = shaping.levels[packet->level].priority;

	if (shaping.mode == SHAPING_CLASSES && packet->byte_cost)
		priority = HTB_SHAPERS + packet->shaper;
	if (priority)
		ctx->priority = priority;
}

/* Says of a packet whose it is. False: nobody's, and no matter of shaping. */
inlined int find_owner(context *ctx, struct departure *packet)
{
	__u32 mapping = mapping_of(ctx);

	packet->level = HOST_LEVEL;
	if (!(mapping & SHAPER_TAG))
		return ctx->protocol == bpf_htons(ETH_P_IP) || ctx->protocol == bpf_htons(ETH_P_IPV6);
	/* So that the device chooses its queue by the flow. */
	ctx->queue_mapping = 0;
	packet->shaper = mapping & ~SHAPER_TAG & 0xffff;
	if (packet->shaper == 0 || packet->shaper >= SHAPERS_MAX)
		packet->shaper = DEFAULT_LEVEL + 1;
	packet->level = level_of(packet->shaper);
	if (packet->shaper >= SHAPERS_RESERVED)
		packet->byte_cost = shaper_of(packet->shaper)->egress_cost;
	return 1;
}

SEC("tc")
int to_uplink(context *ctx)
{
	struct departure packet = {};
	struct turns turns = {};
	enum drop_reason reason;
	int is_told = 0;

	if (!find_owner(ctx, &packet))
		return VERDICT_PASS;
	packet.bytes = bytes_on_wire(ctx);
	if (shaping.mode == SHAPING_STAMPS) {
		reason = ask_clocks(ctx, &packet, &turns);
		if (reason != DROP_NONE)
			return refuse(ctx, &packet, reason);
		stamp(ctx, &packet, &turns);
	}
	set_priority(ctx, &packet);
	if (packet.shaper)
		is_told = write_tos(ctx, &packet);
	else if (packet.is_marked)
		is_told = bpf_skb_ecn_set_ce(ctx) == 1;
	count_packet(&level_counters, packet.level, packet.bytes, 0, is_told);
	if (packet.shaper >= SHAPERS_RESERVED)
		count_packet(&shaper_counters, packet.shaper, packet.bytes, 0, is_told);
	return VERDICT_PASS;
}

char LICENSE[] SEC("license") = "Apache-2.0";
