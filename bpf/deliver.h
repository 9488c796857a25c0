/* SPDX-License-Identifier: Apache-2.0 */
/* The last steps of a packet that may pass; each returns the program's verdict. */
#pragma once
#include "clock.h"
#include "conntrack.h"
#include "fragments.h"
#include "overlay.h"
#include "service.h"

/* What a pod may get at once after a pause. Long, since TCP pauses for 200 ms when a whole flight is lost, and must make up for it. */
#define INGRESS_BURST MILLISECONDS(400)
#define INGRESS_BURST_BYTES_SHIFT 18
/* Marked packets of flows that understand it pass so far beyond. */
#define INGRESS_DEBT MILLISECONDS(10)
#define INGRESS_DEBT_BYTES_SHIFT 17

/* Where an address leads. */
enum place { PLACE_POD, PLACE_NODE, PLACE_HOST, PLACE_WORLD, PLACE_NOWHERE };

struct destination {
	enum place place;
	/* PLACE_POD */
	struct endpoint *pod;
	/* PLACE_NODE */
	__be32 node;
	__u32 ifindex;
};

inlined __be32 block_of(__be32 ip, __u32 prefix)
{
	return prefix == 0 ? 0 : ip & bpf_htonl(~0u << (32 - (prefix & 31 ? prefix : 32)));
}

inlined struct endpoint *find_endpoint(__u32 vni, __be32 ip)
{
	struct endpoint_key key = { .vni = vni, .ip = address_of(ip) };

	return lookup(&endpoints, &key);
}

/* The node that has the block of an address. False: none, or this one. */
inlined int find_route(__u32 domain, __be32 block, struct destination *destination)
{
	struct route_key key = { .domain = domain, .block = address_of(block) };
	struct route *route = lookup(&routes, &key);

	if (!route || ipv4_of(&route->node) == CONFIG.node_ip.words[3])
		return 0;
	destination->place = PLACE_NODE;
	destination->node = ipv4_of(&route->node);
	destination->ifindex = route->ifindex ? route->ifindex : CONFIG.uplink_ifindex;
	return 1;
}

/* What the pod's device gets, as many packets as a large one is cut into. */
inlined __u32 bytes_for_pod(context *ctx, const struct flow *flow)
{
#ifdef HOOK_XDP
	return context_length(ctx);
#else
	__u32 headers = flow->l4 + sizeof(struct tcphdr);

	return ctx->len + (segments_of(ctx, headers) - 1) * headers;
#endif
}

/*
 * The limit of what a pod gets. Nothing waits here: a bucket that may be overdrawn by one packet, so that large ones cost what they are, and is long enough for a
 * TCP that has lost a whole flight. Who understands marks is told first. Returns a drop reason.
 */
static __noinline int spend(context *ctx, struct flow *flow, __u32 shaper)
{
	struct shaper_clock *clock = bpf_map_lookup_elem(&shaper_clocks, &shaper);
	__u64 now = clock_now(), cost, burst, over;
	__u8 ecn;
	int reason;

	if (!flow || !clock || shaper >= SHAPERS_MAX)
		return DROP_NONE;
	ecn = flow->tos & ECN_MASK;
	cost = shaping.shapers[shaper].ingress_cost;
	burst = at_least(INGRESS_BURST, cost, INGRESS_BURST_BYTES_SHIFT);
	over = ahead(read_clock(&clock->ingress), now);
	if (over && (!ecn || over > at_least(INGRESS_DEBT, cost, INGRESS_DEBT_BYTES_SHIFT)))
		return DROP_INGRESS_BANDWIDTH;
	if (over && ecn != ECN_CE) {
		reason = write_ecn(ctx, flow, ECN_CE);
		if (reason != DROP_NONE)
			return reason;
	}
	advance(&clock->ingress, now > burst ? now - burst : 0, cost_of(cost, bytes_for_pod(ctx, flow)));
	return DROP_NONE;
}

inlined int limit_ingress(context *ctx, struct flow *flow, const struct endpoint *pod)
{
	__u32 shaper = pod->shaper;

	return shaper < SHAPERS_MAX && shaping.shapers[shaper].ingress_cost ? spend(ctx, flow, shaper) : DROP_NONE;
}

#ifndef HOOK_XDP
/* Device at whose ingress a pod's packets are; XDP hands frames to the host's end of the veth, which is the same to the pod. */
inlined int deliver_to_pod(context *ctx, struct flow *flow, const struct endpoint *pod, int is_ingress)
{
	__u32 ifindex = pod->ifindex;
	int reason = limit_ingress(ctx, flow, pod);

	if (reason == DROP_NONE)
		reason = write_ethernet(ctx, pod->mac);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	/* Whose it was is no matter of the pod that gets it. */
	ctx->queue_mapping = 0;
	note_target(ifindex);
	if (!is_ingress)
		return bpf_redirect(ifindex, 0);
	/* The pod's device looks at the type and not again at the address. */
	bpf_skb_change_type(ctx, 0 /* PACKET_HOST */);
	return bpf_redirect_peer(ifindex, 0);
}

inlined int deliver_to_host(context *ctx, struct flow *flow)
{
	__u8 gateway[6] = GATEWAY_MAC_BYTES;
	__u32 ifindex = CONFIG.host_ifindex;
	int reason = write_ethernet(ctx, gateway);

	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, EGRESS);
	note_target(ifindex);
	return bpf_redirect(ifindex, BPF_F_INGRESS);
}

/*
 * The host sends on what is for another node with its own address, which that node believes: whoever could speak to the tunnel's port there would speak as this
 * host, with any identity. Neither a pod nor a Service's client has business with it.
 */
inlined int plays_node(const struct flow *flow)
{
	struct node_key key = { .ip = address_of(flow->destination) };

	return flow->protocol == IPPROTO_UDP && flow->destination_port == GENEVE_PORT && lookup(&nodes, &key);
}

/* A service's packet that goes to no pod: to this host's stack, or out of a device to whoever has its destination. */
inlined int leads_past_pods(const struct flow *flow)
{
	return flow->out_ifindex || is_own_address(flow->destination);
}

/* To this host's stack as what it sent to itself: only there it takes a source that is an address of its own (net.ipv4.conf.lo.accept_local). */
inlined int deliver_to_loopback(context *ctx, struct flow *flow)
{
	__u8 nobody[6] = {};
	int reason = write_ethernet(ctx, nobody);

	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, EGRESS);
	note_target(LOOPBACK_IFINDEX);
	return bpf_redirect(LOOPBACK_IFINDEX, BPF_F_INGRESS);
}

inlined int deliver_past_pods(context *ctx, struct flow *flow)
{
	if (flow->out_ifindex == LOOPBACK_IFINDEX)
		return deliver_to_loopback(ctx, flow);
	if (!flow->out_ifindex)
		return deliver_to_host(ctx, flow);
	if (plays_node(flow))
		return DROP(ctx, flow, DROP_SPOOFED_ADDRESS, EGRESS);
	note_target(flow->out_ifindex);
	return bpf_redirect_neigh(flow->out_ifindex, 0, 0, 0);
}

/* Whether the packet, or each segment that it will be cut into, is larger than a tunnel takes. */
inlined int is_too_big(context *ctx, const struct flow *flow)
{
	__u32 headers = sizeof(struct iphdr), segment = ctx->gso_size;
	__u8 offset;

	if (!segment)
		return flow->length > CONFIG.pod_mtu;
	if (flow->protocol == IPPROTO_TCP && bpf_skb_load_bytes(ctx, flow->l4 + 12, &offset, 1) == 0)
		headers += (offset >> 4) * 4;
	else
		headers += sizeof(struct udphdr);
	return headers + segment > CONFIG.pod_mtu;
}

inlined int deliver_to_node(context *ctx, struct flow *flow, const struct tunnel *tunnel)
{
	int reason = encapsulate(ctx, flow, tunnel);

	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, EGRESS);
	note_target(tunnel->ifindex);
	return bpf_redirect_neigh(tunnel->ifindex, 0, 0, 0);
}
#endif
