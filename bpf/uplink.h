/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives from other hosts. One source for both hooks; what XDP has no means for, it leaves to tcx untouched. */
#pragma once
#include "deliver.h"

struct outer {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
} __attribute__((packed, aligned(2)));

/* Whether the frame is of the tunnel and to this node. */
inlined int is_tunnelled(const struct outer *outer)
{
	return outer->eth.h_proto == bpf_htons(ETH_P_IP) && outer->ip.version == 4 && outer->ip.ihl == 5 && outer->ip.protocol == IPPROTO_UDP &&
	       !(outer->ip.frag_off & bpf_htons(0x1fff)) && outer->udp.dest == bpf_htons(GENEVE_PORT) && outer->ip.daddr == CONFIG.node_ip.words[3];
}

/*
 * Whether what the outer headers say of themselves is true. Ethernet may have made the frame longer, nothing may have made it shorter. Hosts send no UDP sum
 * (RFC 8926, 3.3): one that is there can't be taken unchecked (RFC 1122, 4.1.3.4), and is of no host. Returns a drop reason.
 */
inlined int check_outer(context *ctx, const struct outer *outer, struct arrival *arrival)
{
	__u32 length = bpf_ntohs(outer->ip.tot_len);

	/* Nobody has looked yet: both hooks are before the stack, and a network card need not. */
	if (sum_ipv4(&outer->ip) || outer->udp.check)
		return DROP_TUNNEL_CHECKSUM;
	arrival->end = ETH_HLEN + length;
#ifndef HOOK_XDP
	/* Not cut yet into the segments that have lengths: see fill_tunnel_header(). */
	if (!length && ctx->gso_size) {
		arrival->end = ctx->len;
		return DROP_NONE;
	}
#endif
	if (!context_has(ctx, arrival->end))
		return DROP_TRUNCATED;
	return bpf_ntohs(outer->udp.len) + sizeof(outer->ip) == length ? DROP_NONE : DROP_TUNNEL_MALFORMED;
}

/* What is dropped before it is known what is inside is a packet between two hosts. */
inlined void fill_outer_flow(struct flow *flow, const struct outer *outer)
{
	flow->source = outer->ip.saddr;
	flow->destination = outer->ip.daddr;
	flow->source_port = bpf_ntohs(outer->udp.source);
	flow->destination_port = bpf_ntohs(outer->udp.dest);
	flow->length = bpf_ntohs(outer->ip.tot_len);
	flow->protocol = IPPROTO_UDP;
}

/* Returns a drop reason. */
inlined int parse_tunnel(context *ctx, const struct outer *outer, struct arrival *arrival)
{
	struct node_key key = { .ip = address_of(outer->ip.saddr) };
	int reason = check_outer(ctx, outer, arrival);

	if (reason != DROP_NONE)
		return reason;
	if (!lookup(&nodes, &key))
		return DROP_UNKNOWN_NODE;
	if ((outer->geneve.version_and_words & GENEVE_VERSION_MASK) || (outer->geneve.flags & GENEVE_FLAG_CONTROL) ||
	    outer->geneve.protocol != bpf_htons(GENEVE_ETHERNET) || (outer->ip.frag_off & bpf_htons(0x2000)))
		return DROP_TUNNEL_MALFORMED;
	arrival->node = outer->ip.saddr;
	arrival->vni = bpf_ntohl(outer->geneve.vni) >> 8;
	arrival->tos = outer->ip.tos;
	arrival->inner = sizeof(*outer) + (outer->geneve.version_and_words & GENEVE_OPTION_WORDS_MASK) * 4;
	return parse_options(ctx, arrival, sizeof(*outer));
}

/* The packet inside. Returns a drop reason. */
inlined int parse_inner(context *ctx, struct arrival *arrival, struct flow *flow)
{
	const struct ethhdr *eth;
	struct ethhdr copy;
	int reason;

	eth = context_see(ctx, arrival->inner, &copy, sizeof(copy));
	if (!eth)
		return DROP_TRUNCATED;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return DROP_IPV6;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return DROP_ETHER_TYPE;
	reason = parse_ipv4(ctx, arrival->inner + sizeof(*eth), flow);
	if (reason != DROP_NONE)
		return reason;
	if (flow->l3 + flow->length > arrival->end)
		return DROP_TRUNCATED;
	flow->vni = arrival->vni;
	/* Network 0 is the hosts' own: no identity of a tenant means anything there. */
	flow->identity = arrival->vni || arrival->identity <= IDENTITY_WORLD ? arrival->identity : IDENTITY_UNKNOWN;
	reason = check_unicast(flow->source);
	return reason == DROP_NONE ? check_unicast(flow->destination) : reason;
}

/* The packet and what is inside. Returns a drop reason. */
inlined int receive_tunnelled(context *ctx, const struct outer *outer, struct arrival *arrival, struct flow *flow)
{
	int reason = parse_tunnel(ctx, outer, arrival);

	flow->node = outer->ip.saddr;
	if (reason == DROP_NONE)
		return parse_inner(ctx, arrival, flow);
	fill_outer_flow(flow, outer);
	return reason;
}

/*
 * Whether a node may send what is from an address of `domain`: its own pods', and whatever is no pod's and not of this host, since that may be the world, which
 * it forwards. `near`: this host's block. Costs a look-up, two for the world; so only what begins a flow is asked, and the rest is of flows that were.
 */
inlined int may_send(const struct arrival *arrival, const struct flow *flow, __u32 domain, __u32 prefix, __be32 near)
{
	struct route_key key = { .domain = domain, .block = address_of(block_of(flow->source, prefix)) };
	struct route *route;

	if (flow->source == arrival->node)
		return 1;
	if (ipv4_of(&key.block) == near || is_own_address(flow->source))
		return 0;
	route = lookup(&routes, &key);
	return route ? ipv4_of(&route->node) == arrival->node : !find_endpoint(arrival->vni, flow->source);
}

inlined int may_send_to_pod(const struct arrival *arrival, const struct flow *flow, const struct endpoint *pod)
{
	__u32 is_network = arrival->vni, prefix = is_network ? pod->block_prefix : CONFIG.block_prefix;

	return may_send(arrival, flow, is_network ? pod->route_domain : 0, prefix,
			block_of(is_network ? ipv4_of(&pod->ip) : CONFIG.host_ip.words[3], prefix));
}

inlined int hand_to_pod(context *ctx, struct flow *flow, const struct endpoint *pod)
{
#ifdef HOOK_XDP
	int reason = limit_ingress(ctx, flow, pod);

	if (reason == DROP_NONE)
		reason = write_ethernet(ctx, pod->mac);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	note_target(pod->ifindex);
	return bpf_redirect(pod->ifindex, 0);
#else
	return deliver_to_pod(ctx, flow, pod, 1);
#endif
}

/* Takes the packet out of the tunnel, with the marks of the way. Returns a drop reason. */
inlined int unwrap(context *ctx, struct flow *flow, const struct arrival *arrival)
{
	int ecn = combine_ecn(arrival->tos, flow->tos), reason;

	if (ecn < 0)
		return DROP_ECN;
	reason = write_ecn(ctx, flow, ecn);
	return reason == DROP_NONE ? decapsulate(ctx, flow, arrival) : reason;
}

inlined int arrive_at_pod(context *ctx, struct flow *flow, const struct arrival *arrival, const struct endpoint *pod)
{
	struct path path = { .destination_device = pod->ifindex, .destination_set = pod->policy_set };
	struct found found;
	int reason;

	flow->vni = pod->vni;
	reason = resolve_fragment(flow);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	if (arrival->is_isolated)
		path.flags |= CT_ISOLATED;
	if (flow->source == arrival->node)
		path.flags |= CT_VIA_NODE;
	find_flow(ctx, flow, &found);
	forget_flow_of_others(&found, 0, pod->ifindex);
	if (!found.entry && !may_send_to_pod(arrival, flow, pod))
		return DROP(ctx, flow, DROP_SPOOFED_ADDRESS, INGRESS);
	reason = admit(flow, &path, &found);
	if (reason == DROP_NONE)
		reason = unwrap(ctx, flow, arrival);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	if (found.entry && !found.is_forward && (found.entry->flags & CT_TRANSLATED) && service_reverse(ctx, flow) == SERVICE_DROP)
		return drop(ctx, flow, INGRESS);
	return hand_to_pod(ctx, flow, pod);
}
