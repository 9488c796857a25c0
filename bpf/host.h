/* SPDX-License-Identifier: Apache-2.0 */
/* What this host's stack sends, or forwards, to pods and Services. */
#pragma once
#include "deliver.h"

/* A packet that the stack forwards has a device that it came in by; one of its own has none. */
inlined int is_own_packet(context *ctx)
{
	return ctx->ingress_ifindex == 0;
}

/* Who sends. A pod of this host that comes back by the stack (host ports) is itself to its own network, and the world to others. */
inlined __u32 find_identity(context *ctx, const struct flow *flow, __u32 vni)
{
	struct node_key key = { .ip = address_of(flow->source) };
	struct endpoint *pod;

	if (is_own_packet(ctx))
		return IDENTITY_HOST;
	if (ctx->ingress_ifindex == CONFIG.host_ifindex) {
		pod = find_endpoint(0, flow->source);
		return pod && pod->vni == vni ? pod->identity : IDENTITY_WORLD;
	}
	return lookup(&nodes, &key) ? IDENTITY_HOST : IDENTITY_WORLD;
}

inlined int send_to_own_pod(context *ctx, struct flow *flow, const struct endpoint *pod, int is_translated)
{
	struct path path = { .destination_device = pod->ifindex, .destination_set = pod->policy_set, .flags = CT_VIA_HOST };
	struct found found;
	int reason = DROP_NONE;

	if (!flow->vni)
		reason = translate_host_address(ctx, flow, REWRITE_DESTINATION, ipv4_of(&pod->ip));
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	flow->vni = pod->vni;
	flow->identity = find_identity(ctx, flow, pod->vni);
	if (is_own_packet(ctx))
		path.flags |= CT_EXEMPT;
	if (is_translated)
		path.flags |= CT_TRANSLATED;
	find_flow(ctx, flow, &found);
	reason = admit(flow, &path, &found);
	if (reason != DROP_NONE)
		return DROP(ctx, flow, reason, INGRESS);
	if (found.entry && !found.is_forward && (found.entry->flags & CT_TRANSLATED) && service_reverse(ctx, flow) == SERVICE_DROP)
		return drop(ctx, flow, INGRESS);
	return deliver_to_pod(ctx, flow, pod, 0);
}

/* The domain of routes that a network's pods have, and the length of its blocks. */
inlined int find_remote(const struct flow *flow, struct destination *to)
{
	struct network_key key = { .vni = flow->vni };
	struct network *network = flow->vni ? lookup(&networks, &key) : 0;

	if (network)
		return find_route(flow->vni, block_of(flow->destination, network->block_prefix), to);
	return find_route(0, block_of(flow->destination, CONFIG.block_prefix), to);
}

inlined int send_away(context *ctx, struct flow *flow)
{
	struct destination to = {};
	struct tunnel tunnel = {};

	if (!find_remote(flow, &to))
		return DROP(ctx, flow, DROP_NO_ROUTE, INGRESS);
	if (is_too_big(ctx, flow))
		return DROP(ctx, flow, DROP_TOO_BIG, INGRESS);
	tunnel.node = to.node;
	tunnel.ifindex = to.ifindex;
	tunnel.vni = flow->vni;
	tunnel.identity = is_own_packet(ctx) ? IDENTITY_HOST : IDENTITY_WORLD;
	return deliver_to_node(ctx, flow, &tunnel);
}

/* A packet that a service made another one. */
inlined int send_translated(context *ctx, struct flow *flow)
{
	struct endpoint *pod;

	if (leads_past_pods(flow))
		return deliver_past_pods(ctx, flow);
	pod = find_endpoint(flow->vni, flow->destination);
	return pod ? send_to_own_pod(ctx, flow, pod, 1) : send_away(ctx, flow);
}
