/* SPDX-License-Identifier: Apache-2.0 */
/* tcx ingress of an uplink: the tunnel, and what the world sends to node ports. Everything else is the host's. */
#include "egress.h"
#include "too_big.h"
#include "uplink.h"

/* Conntrack knows nothing of the host's own flows: each packet is asked that no Service's flow knows. */
inlined int may_send_to_host(const struct arrival *arrival, const struct flow *flow)
{
	struct network_key key = { .vni = arrival->vni };
	struct network *network = arrival->vni ? lookup(&networks, &key) : 0;
	__u32 prefix = CONFIG.block_prefix;

	if (network)
		return may_send(arrival, flow, arrival->vni, network->block_prefix, 0);
	return may_send(arrival, flow, 0, prefix, block_of(CONFIG.host_ip.words[3], prefix));
}

/* Answers to what this host, or the world by way of it, asked of pods elsewhere; or a pod of this host, by an external address of another network's Service. */
inlined int arrive_at_host(context *ctx, struct flow *flow, const struct arrival *arrival)
{
	struct endpoint *pod;
	int reason;

	/* One that is not known is for the host's stack to put together. */
	resolve_fragment(flow);
	reason = unwrap(ctx, flow, arrival);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	switch (service_reverse(ctx, flow)) {
	case SERVICE_PASS:
		if (!may_send_to_host(arrival, flow))
			return DROP(ctx, flow, DROP_SPOOFED_ADDRESS, INGRESS);
		break;
	case SERVICE_DROP:
		return drop(ctx, flow, INGRESS);
	case SERVICE_TRANSLATED:
		pod = flow->vni ? find_endpoint(flow->vni, flow->destination) : 0;
		if (pod)
			return deliver_to_pod(ctx, flow, pod, 1);
	}
	return deliver_past_pods(ctx, flow);
}

/* Whether the address is of the pods' networks, as hosts share them. */
inlined int is_of_pods(__be32 ip)
{
	__be32 block = block_of(ip, CONFIG.block_prefix);
	struct destination elsewhere;

	return block == block_of(CONFIG.host_ip.words[3], CONFIG.block_prefix) || find_endpoint(0, ip) || find_route(0, block, &elsewhere);
}

/* Whether the sender is in a block of the host that sends: answers find the way back by it. */
inlined int is_of_sender(const struct flow *flow, const struct arrival *arrival, const struct network *network)
{
	__u32 prefix = network ? network->block_prefix : CONFIG.block_prefix;
	struct destination from = {};

	return find_route(network ? flow->vni : 0, block_of(flow->source, prefix), &from) && from.node == arrival->node;
}

/* What another host's pod sends to the world by an address of this host. Its own host has asked its policies. */
inlined int arrive_for_world(context *ctx, struct flow *flow, const struct arrival *arrival)
{
	struct egress *egress = find_egress(flow->vni);
	struct network_key key = { .vni = flow->vni };
	struct network *network = egress ? lookup(&networks, &key) : 0;
	struct alias *alias = network ? find_alias(flow->vni, flow->source) : 0;
	int reason;

	if (!egress || is_of_pods(flow->destination))
		return DROP(ctx, flow, DROP_NO_ENDPOINT, INGRESS);
	if (!(egress->flags & EGRESS_HERE))
		return DROP(ctx, flow, DROP_NO_EGRESS, INGRESS);
	if (!is_of_sender(flow, arrival, network))
		return DROP(ctx, flow, DROP_SPOOFED_ADDRESS, INGRESS);
	/* Its block is too new for this host. */
	if (network && !alias)
		return DROP(ctx, flow, DROP_NO_EGRESS, INGRESS);
	reason = resolve_fragment(flow);
	if (reason == DROP_NONE && plays_node(flow))
		reason = DROP_SPOOFED_ADDRESS;
	if (reason == DROP_NONE)
		reason = unwrap(ctx, flow, arrival);
	if (reason == DROP_NONE && alias)
		reason = translate_alias(ctx, flow, REWRITE_SOURCE, alias);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	return deliver_to_world(ctx, flow, flow->vni);
}

/* Tells the world the size that fits: an error about the packet as we sent it on becomes one about what the client sent. */
inlined int refuse_too_big(context *ctx, struct flow *flow)
{
	__u32 vni = flow->vni;
	int reason;

	if (!(flow->flags & FLOW_DONT_FRAGMENT) || ctx->gso_size)
		return DROP(ctx, flow, DROP_TOO_BIG, INGRESS);
	reason = answer_too_big(ctx, flow);
	if (reason == DROP_NONE) {
		__builtin_memset(flow, 0, sizeof(*flow));
		reason = parse_ipv4(ctx, ETH_HLEN, flow);
	}
	if (reason == DROP_NONE)
		reason = rewrite_address(ctx, flow, REWRITE_SOURCE, CONFIG.node_ip.words[3]);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	flow->vni = vni;
	if (service_reverse(ctx, flow) != SERVICE_TRANSLATED)
		return DROP(ctx, flow, DROP_TOO_BIG, INGRESS);
	return deliver_past_pods(ctx, flow);
}

/* A Service's backend on another host. */
inlined int pass_on(context *ctx, struct flow *flow)
{
	struct network_key key = { .vni = flow->vni };
	struct network *network = lookup(&networks, &key);
	struct destination to = {};
	struct tunnel tunnel = {};
	__u32 domain = network ? flow->vni : 0, prefix = network ? network->block_prefix : CONFIG.block_prefix;

	if (!find_route(domain, block_of(flow->destination, prefix), &to))
		return DROP(ctx, flow, DROP_NO_ROUTE, INGRESS);
	if (is_too_big(ctx, flow))
		return refuse_too_big(ctx, flow);
	tunnel.node = to.node;
	tunnel.ifindex = to.ifindex;
	tunnel.vni = flow->vni;
	tunnel.identity = IDENTITY_WORLD;
	return deliver_to_node(ctx, flow, &tunnel);
}

inlined int serve_world(context *ctx, struct flow *flow)
{
	struct path path = { .flags = CT_TRANSLATED | CT_VIA_HOST };
	struct endpoint *pod = find_endpoint(flow->vni, flow->destination);
	struct found found;
	int reason;

	flow->identity = IDENTITY_WORLD;
	if (leads_past_pods(flow))
		return deliver_past_pods(ctx, flow);
	if (!pod)
		return pass_on(ctx, flow);
	path.destination_set = pod->policy_set;
	path.destination_device = pod->ifindex;
	find_flow(ctx, flow, &found);
	reason = admit(flow, &path, &found);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	return deliver_to_pod(ctx, flow, pod, 1);
}

/* Not of the tunnel. What is no Service's goes to the host as if nobody had looked. The two ways are functions since one stack has no room for both. */
static __noinline int arrive_from_world(context *ctx, const struct ethhdr *eth)
{
	struct flow flow = {};

	if (eth->h_proto != bpf_htons(ETH_P_IP) || parse_ipv4(ctx, sizeof(*eth), &flow) != DROP_NONE ||
	    resolve_fragment(&flow) != DROP_NONE)
		return VERDICT_PASS;
	switch (service_forward(ctx, &flow, SERVICE_FROM_WORLD)) {
	case SERVICE_DROP:
		return drop(ctx, &flow, INGRESS);
	case SERVICE_ANSWERED:
		note_target(device_of(ctx));
		return bpf_redirect_neigh(device_of(ctx), 0, 0, 0);
	case SERVICE_TRANSLATED:
		return serve_world(ctx, &flow);
	default:
		return VERDICT_PASS;
	}
}

static __noinline int arrive_by_tunnel(context *ctx, const struct outer *outer)
{
	struct arrival arrival = {};
	struct flow flow = {};
	struct endpoint *pod;
	int reason = receive_tunnelled(ctx, outer, &arrival, &flow);

	if (reason != DROP_NONE)
		return DROP(ctx, &flow, reason, INGRESS);
	pod = find_endpoint(flow.vni, flow.destination);
	if (pod)
		return arrive_at_pod(ctx, &flow, &arrival, pod);
	if (is_own_address(flow.destination))
		return arrive_at_host(ctx, &flow, &arrival);
	return arrive_for_world(ctx, &flow, &arrival);
}

SEC("tc")
int from_uplink(context *ctx)
{
	const struct ethhdr *eth;
	const struct outer *outer;
	struct outer copy;

	/* Frames of a VLAN are not of this network, though they show their tag only here. */
	if (ctx->vlan_present)
		return VERDICT_PASS;
	outer = context_see(ctx, 0, &copy, sizeof(copy));
	if (outer && is_tunnelled(outer))
		return arrive_by_tunnel(ctx, outer);
	eth = context_see(ctx, 0, &copy.eth, sizeof(copy.eth));
	return eth ? arrive_from_world(ctx, eth) : VERDICT_PASS;
}

char LICENSE[] SEC("license") = "Apache-2.0";
