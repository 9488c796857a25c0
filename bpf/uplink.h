/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives from other hosts. One source for both hooks; what XDP has no means for, it leaves to tcx untouched. */
#pragma once
#include "deliver.h"

struct outer {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
} __attribute__((packed));

/* Whether the frame is of the tunnel and to this node. */
inlined int is_tunnelled(const struct outer *outer)
{
	return outer->eth.h_proto == bpf_htons(ETH_P_IP) && outer->ip.version == 4 && outer->ip.ihl == 5 && outer->ip.protocol == IPPROTO_UDP &&
	       !(outer->ip.frag_off & bpf_htons(0x1fff)) && outer->udp.dest == bpf_htons(GENEVE_PORT) && outer->ip.daddr == CONFIG.node_ip.words[3];
}

/* Returns a drop reason. */
inlined int parse_tunnel(context *ctx, const struct outer *outer, struct arrival *arrival)
{
	struct node_key key = { .ip = address_of(outer->ip.saddr) };

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
	struct ethhdr eth;
	int reason;

	if (context_load(ctx, arrival->inner, &eth, sizeof(eth)) < 0)
		return DROP_TRUNCATED;
	if (eth.h_proto == bpf_htons(ETH_P_IPV6))
		return DROP_IPV6;
	if (eth.h_proto != bpf_htons(ETH_P_IP))
		return DROP_ETHER_TYPE;
	reason = parse_ipv4(ctx, arrival->inner + sizeof(eth), flow);
	if (reason != DROP_NONE)
		return reason;
	flow->vni = arrival->vni;
	/* Network 0 is the hosts' own: no identity of a tenant means anything there. */
	flow->identity = arrival->vni || arrival->identity <= IDENTITY_WORLD ? arrival->identity : IDENTITY_UNKNOWN;
	return check_unicast(flow->destination);
}

inlined int hand_to_pod(context *ctx, struct flow *flow, const struct endpoint *pod)
{
#ifdef HOOK_XDP
	int reason = write_ethernet(ctx, pod->mac);

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
	reason = admit(flow, &path, &found);
	if (reason == DROP_NONE)
		reason = unwrap(ctx, flow, arrival);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	if (found.entry && !found.is_forward && (found.entry->flags & CT_TRANSLATED) && service_reverse(ctx, flow) == SERVICE_DROP)
		return drop(ctx, flow, INGRESS);
	return hand_to_pod(ctx, flow, pod);
}
