/* SPDX-License-Identifier: Apache-2.0 */
/* tcx ingress on the host's end of a pod's veth: everything that leaves the pod. */
#include "arp.h"
#include "egress.h"
#include "too_big.h"

/* The first address of a block is its node's own. */
#define BLOCK_HOST bpf_htonl(1)

/*
 * Whether a pod of another network is behind the address, by which its host knows it: the host would take the packet there as the world's. A pod reaches pods
 * by its own network alone.
 */
inlined int is_foreign_pod(const struct endpoint *pod, __be32 destination)
{
	__be32 block = block_of(destination, CONFIG.block_prefix);
	struct destination elsewhere;

	if (find_endpoint(0, destination))
		return 1;
	return pod->route_domain && find_route(0, block, &elsewhere) && destination != (block | BLOCK_HOST);
}

/* An address of a network with a CIDR of its own means nothing outside of it: what no pod has must not leave for whoever has it there. */
inlined int is_inside(const struct endpoint *pod, __be32 ip)
{
	struct network_key key = { .vni = pod->vni };
	struct network *network = pod->route_domain ? lookup(&networks, &key) : 0;

	return network && network->prefix && block_of(ip, network->prefix) == ipv4_of(&network->ip);
}

/* Where the pod's packet goes, and what that says of a new flow. */
inlined void find_destination(const struct endpoint *pod, const struct flow *flow, struct destination *to, struct path *path)
{
	struct network_key key = { .vni = flow->vni };
	/* A Service of another network leads into that one. */
	int is_own = flow->vni == pod->vni;
	struct network *other = is_own ? 0 : lookup(&networks, &key);
	__u32 domain = is_own ? pod->route_domain : other ? flow->vni : 0;
	__u32 prefix = is_own ? pod->block_prefix : other ? other->block_prefix : CONFIG.block_prefix;
	__be32 block = block_of(flow->destination, prefix);
	int is_near = is_own && block == block_of(ipv4_of(&pod->ip), prefix);

	to->place = pod->flags & ENDPOINT_EGRESS ? PLACE_WORLD : PLACE_HOST;
	path->flags = 0;
	path->destination_set = 0;
	path->destination_device = 0;
	if (!is_near && find_route(domain, block, to)) {
		if (flow->destination != (block | BLOCK_HOST) || domain)
			path->flags = CT_TO_POD;
		return;
	}
	to->pod = find_endpoint(flow->vni, flow->destination);
	if (to->pod) {
		to->place = PLACE_POD;
		path->destination_device = to->pod->ifindex;
		path->destination_set = to->pod->policy_set;
		path->flags = CT_TO_POD | (flow->destination == ipv4_of(&pod->ip) ? CT_EXEMPT : 0);
	} else if (flow->destination != CONFIG.host_ip.words[3] &&
		   (is_near || is_inside(pod, flow->destination) || is_foreign_pod(pod, flow->destination))) {
		to->place = PLACE_NOWHERE;
	}
}

/* Answers to a flow that came from this host's stack, or from a node itself, go back there, whatever their address would mean in the pod's network. */
inlined int find_way_back(const struct flow *flow, const struct found *found, struct destination *to)
{
	if (!found->entry || found->is_forward)
		return 0;
	if (found->entry->flags & CT_VIA_HOST) {
		to->place = PLACE_HOST;
		return 1;
	}
	if (found->entry->flags & CT_VIA_NODE) {
		to->place = PLACE_NODE;
		to->node = flow->destination;
		to->ifindex = CONFIG.uplink_ifindex;
		return 1;
	}
	return 0;
}

inlined int send_to_node(context *ctx, struct flow *flow, const struct endpoint *pod, const struct destination *to)
{
	struct tunnel tunnel = {
		.node = to->node,
		.ifindex = to->ifindex,
		.vni = flow->vni,
		.identity = flow->identity,
		.is_isolated = !!(policy_set_of(pod->policy_set)->flags & SET_EGRESS_ISOLATED),
		.dscp = shaping.levels[level_of(pod->shaper)].dscp,
		.has_dscp = 1,
	};
	int reason;

	if (!is_too_big(ctx, flow))
		return deliver_to_node(ctx, flow, &tunnel);
	if (!(flow->flags & FLOW_DONT_FRAGMENT) || ctx->gso_size)
		return DROP(ctx, flow, DROP_TOO_BIG, EGRESS);
	reason = answer_too_big(ctx, flow);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, EGRESS);
	note_target(device_of(ctx));
	return bpf_redirect(device_of(ctx), 0);
}

/* The host's stack knows pods by other addresses when theirs may be anybody's. Returns a drop reason. */
inlined int become_host_address(context *ctx, struct flow *flow, const struct endpoint *pod)
{
	if (flow->source != ipv4_of(&pod->ip))
		return DROP_NONE;
	return translate_host_address(ctx, flow, REWRITE_SOURCE, ipv4_of(&pod->host_ip));
}

inlined int send_to_host(context *ctx, struct flow *flow, const struct endpoint *pod)
{
	int reason;

	if (flow->out_ifindex)
		return deliver_past_pods(ctx, flow);
	if (plays_node(flow))
		return DROP(ctx, flow, DROP_SPOOFED_ADDRESS, EGRESS);
	reason = become_host_address(ctx, flow, pod);
	return reason == DROP_NONE ? deliver_to_host(ctx, flow) : DROP(ctx, flow, reason, EGRESS);
}

/* Whether what is for this address is no affair of the world: nodes, what the host itself has, pods' networks and Services. */
inlined int stays_inside(__be32 ip)
{
	struct own_block_key block = { .prefix_length = 128, .ip = address_of(ip) };
	struct node_key node = { .ip = address_of(ip) };

	return is_own_address(ip) || lookup(&own_blocks, &block) || lookup(&nodes, &node);
}

/* By the host that has an address for the pod's network. While there is none, nothing leaves: another address would be a lie. */
inlined int send_to_world(context *ctx, struct flow *flow, const struct endpoint *pod)
{
	struct destination to = { .place = PLACE_NODE, .ifindex = CONFIG.uplink_ifindex };
	struct egress *egress;
	int reason;

	if (flow->out_ifindex || stays_inside(flow->destination))
		return send_to_host(ctx, flow, pod);
	egress = find_egress(pod->vni);
	if (!egress || !ipv4_of(&egress->node))
		return DROP(ctx, flow, DROP_NO_EGRESS, EGRESS);
	to.node = ipv4_of(&egress->node);
	if (to.node == CONFIG.node_ip.words[3]) {
		reason = egress->flags & EGRESS_HERE ? become_host_address(ctx, flow, pod) : DROP_NO_EGRESS;
		return reason == DROP_NONE ? deliver_to_world(ctx, flow, pod->vni) : DROP(ctx, flow, reason, EGRESS);
	}
	flow->vni = pod->vni;
	return send_to_node(ctx, flow, pod, &to);
}

inlined int send(context *ctx, struct flow *flow, const struct endpoint *pod, const struct destination *to)
{
	switch (to->place) {
	case PLACE_POD:
		return to->pod ? deliver_to_pod(ctx, flow, to->pod, 1) : DROP(ctx, flow, DROP_NO_ENDPOINT, EGRESS);
	case PLACE_NODE:
		return send_to_node(ctx, flow, pod, to);
	case PLACE_HOST:
		return send_to_host(ctx, flow, pod);
	case PLACE_WORLD:
		return send_to_world(ctx, flow, pod);
	default:
		return DROP(ctx, flow, DROP_NO_ENDPOINT, EGRESS);
	}
}

inlined int route_packet(context *ctx, struct flow *flow, const struct endpoint *pod, int is_translated)
{
	struct destination to = {};
	struct path path = { .source_set = pod->policy_set, .source_device = pod->ifindex };
	struct found found;
	__be32 judged = flow->destination;
	int reason;

	find_flow(ctx, flow, &found);
	forget_flow_of_others(&found, pod->ifindex, 0);
	if (!find_way_back(flow, &found, &to))
		find_destination(pod, flow, &to, &path);
	if (to.place == PLACE_NOWHERE)
		return DROP(ctx, flow, DROP_NO_ENDPOINT, EGRESS);
	if (is_translated)
		path.flags |= CT_TRANSLATED;
	if (policy_set_of(pod->policy_set)->flags & SET_EGRESS_ISOLATED)
		path.flags |= CT_ISOLATED;
	reason = admit(flow, &path, &found);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, EGRESS);
	if (found.entry && !found.is_forward && (found.entry->flags & CT_TRANSLATED)) {
		if (service_reverse(ctx, flow) == SERVICE_DROP)
			return drop(ctx, flow, EGRESS);
		if (flow->out_ifindex)
			return deliver_past_pods(ctx, flow);
		if (flow->destination != judged)
			find_destination(pod, flow, &to, &path);
		/* What asked came by this host. */
		if (to.place == PLACE_WORLD)
			to.place = PLACE_HOST;
	}
	return send(ctx, flow, pod, &to);
}

/* So that an uplink knows whose the packet is, whatever its headers say there. The mapping outlives the host's stack, and no queue has such a number. */
inlined void name_shaper(context *ctx, const struct endpoint *pod)
{
	__u16 mapping = SHAPER_TAG | (pod->shaper ? pod->shaper : DEFAULT_LEVEL + 1);

	ctx->queue_mapping = mapping;
#ifdef TRACE
	trace.mapping = mapping;
#endif
}

inlined int is_same_mac(const __u8 *a, const __u8 *b)
{
	int differs = 0;

#pragma unroll
	for (int i = 0; i < ETH_ALEN; i++)
		differs |= a[i] ^ b[i];
	return !differs;
}

/* Checks that the frame is the pod's own IPv4 packet, and reads it. Returns a drop reason. */
inlined int receive(context *ctx, struct flow *flow, const struct endpoint *pod, const struct ethhdr *eth)
{
	int reason;

	if (ctx->vlan_present || eth->h_proto == bpf_htons(ETH_P_8021Q) || eth->h_proto == bpf_htons(ETH_P_8021AD))
		return DROP_VLAN;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return DROP_IPV6;
	if (eth->h_proto != bpf_htons(ETH_P_IP))
		return DROP_ETHER_TYPE;
	reason = parse_ipv4(ctx, sizeof(*eth), flow);
	if (reason != DROP_NONE)
		return reason;
	if (flow->source != ipv4_of(&pod->ip))
		return DROP_SPOOFED_ADDRESS;
	reason = check_unicast(flow->destination);
	return reason == DROP_NONE ? resolve_fragment(flow) : reason;
}

SEC("tc")
int from_pod(context *ctx)
{
	struct device_key key = { .ifindex = device_of(ctx) };
	struct endpoint *pod = lookup(&devices, &key);
	struct flow flow = {};
	const struct ethhdr *eth;
	struct ethhdr copy;
	int reason;

	if (!pod)
		return DROP(ctx, &flow, DROP_UNKNOWN_DEVICE, EGRESS);
	flow.vni = pod->vni;
	flow.identity = pod->identity;
	name_shaper(ctx, pod);
	eth = context_see(ctx, 0, &copy, sizeof(copy));
	if (!eth)
		return DROP(ctx, &flow, DROP_TRUNCATED, EGRESS);
	if (!is_same_mac(eth->h_source, pod->mac))
		return DROP(ctx, &flow, DROP_SPOOFED_MAC, EGRESS);
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		/* Whatever else ARP says has no use here and no harm: not worth an account. */
		note_target(device_of(ctx));
		return answer_arp(ctx, ipv4_of(&pod->ip)) ? bpf_redirect(device_of(ctx), 0) : VERDICT_DROP;
	}
	reason = receive(ctx, &flow, pod, eth);
	if (reason != DROP_NONE)
		return DROP(ctx, &flow, reason, EGRESS);
	switch (service_forward(ctx, &flow, SERVICE_FROM_POD)) {
	case SERVICE_DROP:
		return drop(ctx, &flow, EGRESS);
	case SERVICE_ANSWERED:
		note_target(device_of(ctx));
		return bpf_redirect(device_of(ctx), 0);
	case SERVICE_TRANSLATED:
		return route_packet(ctx, &flow, pod, 1);
	default:
		return route_packet(ctx, &flow, pod, 0);
	}
}

char LICENSE[] SEC("license") = "Apache-2.0";
