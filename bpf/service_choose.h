/* SPDX-License-Identifier: Apache-2.0 */
/* Which backend a new flow gets, and what becomes of its source. */
#pragma once
#include "service_tables.h"
#include "verdict.h"

enum service_origin { SERVICE_FROM_POD, SERVICE_FROM_HOST, SERVICE_FROM_WORLD };

inlined const struct service_backend *backend_at(__u32 index)
{
	return bpf_map_lookup_elem(&service_backends, &index);
}

/* Whether a flow may stay with its backend. Flows without connections go where one serves; others end only with their endpoint (KEP-1669). */
inlined int backend_keeps(const struct flow *flow, const struct service_flow *known)
{
	const struct service_backend *backend = backend_at(known->backend);
	__u16 needed = flow->protocol == IPPROTO_UDP ? BACKEND_SERVES : BACKEND_KNOWN;

	if ((flow->flags & FLOW_OPENING))
		needed = known->flags & SERVICE_FLOW_OUTSIDE ? BACKEND_CHOSEN_EXTERNAL : BACKEND_CHOSEN;
	return backend && backend->generation == known->generation && (backend->flags & needed);
}

inlined int is_node_address(struct service_scratch *s, __be32 ip)
{
	s->node.ip = address_of(ip);
	return is_own_address(ip) || lookup(&nodes, &s->node) != NULL;
}

/* Whether the destination may be a service. Look-ups only for what the bitmaps cannot exclude. */
inlined int service_is_asked(const struct flow *flow, enum service_origin origin)
{
	if (may_be_service(flow->destination))
		return 1;
	if (origin == SERVICE_FROM_HOST && flow->destination == HAIRPIN_ADDRESS)
		return 1;
	if (flow->flags & FLOW_ICMP_ERROR)
		return origin == SERVICE_FROM_WORLD && is_own_address(flow->destination);
	/* The port first, which says no of most packets by one bit. */
	return (is_node_port(flow->destination_port) || (origin != SERVICE_FROM_POD && flow->destination_port >= SERVICE_PORTS_FIRST)) &&
	       is_own_address(flow->destination);
}

inlined int has_ports(const struct flow *flow)
{
	return flow->protocol == IPPROTO_TCP || flow->protocol == IPPROTO_UDP || flow->protocol == PROTOCOL_SCTP;
}

inlined struct service_frontend *service_find(struct service_scratch *s, const struct flow *flow, enum service_origin origin)
{
	__u32 vni = origin == SERVICE_FROM_POD ? flow->vni : 0;
	struct service_frontend *frontend = NULL;

	if (may_be_service(flow->destination)) {
		frontend = frontend_of(s, vni, flow->destination, flow->destination_port, flow->protocol);
		/* An external address of another network's service: asked as the world asks. */
		if (!frontend && vni) {
			frontend = frontend_of(s, 0, flow->destination, flow->destination_port, flow->protocol);
			if (frontend && !(frontend->flags & SERVICE_EXTERNAL))
				frontend = NULL;
		}
		if (!frontend) /* another port of a ClusterIP */
			frontend = frontend_of(s, vni, flow->destination, 0, 0);
	}
	if (!frontend && is_own_address(flow->destination) && is_node_port(flow->destination_port))
		frontend = frontend_of(s, 0, 0, flow->destination_port, flow->protocol);
	if (frontend && origin == SERVICE_FROM_WORLD && !(frontend->flags & SERVICE_EXTERNAL))
		return NULL;
	return frontend;
}

inlined int service_allows_source(struct service_scratch *s, const struct flow *flow, const struct service_frontend *frontend)
{
	if (!(frontend->flags & SERVICE_SOURCE_RANGES))
		return 1;
	s->source.prefix_length = 32 + 128;
	s->source.service = frontend->service;
	s->source.ip = address_of(flow->source);
	return lookup(&service_sources, &s->source) != NULL;
}

inlined void service_take(struct service_choice *choice, __u32 index, const struct service_backend *backend)
{
	choice->index = index;
	choice->generation = backend->generation;
	choice->ip = ipv4_of(&backend->ip);
	choice->port = backend->port;
}

/* Whether the client has a backend that it must stay with. */
inlined int service_affine(const struct service_frontend *frontend, const struct service_client *client, struct service_choice *choice, __u32 now)
{
	__u16 chosen = choice->is_outside ? BACKEND_CHOSEN_EXTERNAL : BACKEND_CHOSEN;
	const struct service_backend *backend;

	if (!client || now - client->seen > frontend->affinity)
		return 0;
	backend = backend_at(client->backend);
	if (!backend || backend->generation != client->generation || !(backend->flags & chosen))
		return 0;
	service_take(choice, client->backend, backend);
	return 1;
}

inlined int service_spread(const struct flow *flow, const struct service_frontend *frontend, struct service_choice *choice)
{
	__u32 slot = (frontend->affinity ? client_hash(flow) : choice->hash) % (choice->is_outside ? frontend->external_slots : frontend->slots);
	__u32 index = (choice->is_outside ? frontend->external_chunk : frontend->chunk) + slot / SERVICE_CHUNK_SLOTS;
	const struct service_chunk *chunk = bpf_map_lookup_elem(&service_chunks, &index);
	const struct service_backend *backend;

	if (!chunk)
		return 0;
	index = chunk->backends[slot % SERVICE_CHUNK_SLOTS];
	backend = backend_at(index);
	if (!backend)
		return 0;
	service_take(choice, index, backend);
	return 1;
}

/* Returns 0 when there is no backend. */
separate int service_choose(struct service_scratch *s, const struct flow *flow, const struct service_frontend *frontend)
{
	struct service_choice *choice;
	__u32 now = coarse_seconds();

	if (!s || !flow || !frontend)
		return 0;
	choice = &s->choice;
	if ((choice->is_outside ? frontend->external_slots : frontend->slots) == 0)
		return 0;
	if (!frontend->affinity)
		return service_spread(flow, frontend, choice);
	s->client_key.service = frontend->service;
	s->client_key.vni = choice->is_outside ? 0 : flow->vni;
	s->client_key.ip = address_of(flow->source);
	if (!service_affine(frontend, lookup(&service_clients, &s->client_key), choice, now) && !service_spread(flow, frontend, choice))
		return 0;
	s->client.backend = choice->index;
	s->client.generation = choice->generation;
	s->client.seen = now;
	bpf_map_update_elem(&service_clients, &s->client_key, &s->client, BPF_ANY);
	return 1;
}

/* A network that has addresses of its own, in which this host's address on the pod network means another one. */
inlined int has_own_addresses(struct service_scratch *s, __u32 vni)
{
	s->network.vni = vni;
	return lookup(&networks, &s->network) != NULL;
}

inlined enum source_kind source_kind_of(const struct flow *flow, enum service_origin origin, const struct service_choice *choice, int is_node, int keeps)
{
	/* Else the pod, or this host, would answer itself past our programs. */
	if (origin == SERVICE_FROM_POD ? choice->ip == flow->source : is_own_address(choice->ip))
		return SOURCE_HAIRPIN;
	if (origin == SERVICE_FROM_WORLD)
		return keeps && !is_node ? SOURCE_KEPT : SOURCE_NODE;
	/* Answers to the host's address on the pod network would not come back from another node; those to another network's pod not at all; nor those to one at another device. */
	if (origin == SERVICE_FROM_HOST && flow->source != CONFIG.node_ip.words[3] && flow->source != CONFIG.host_ip.words[3])
		return SOURCE_NODE;
	return choice->is_outside || (origin == SERVICE_FROM_HOST && is_node) ? SOURCE_NODE : SOURCE_KEPT;
}

/* What becomes of the source, and in which networks packets and answers go on. */
inlined void service_route(context *ctx, struct service_scratch *s, const struct flow *flow, enum service_origin origin, const struct service_frontend *frontend)
{
	struct service_choice *choice = &s->choice;
	/* Pods ask nodes and pods alike in their own network. */
	int is_node = (origin != SERVICE_FROM_POD || choice->is_outside) && is_node_address(s, choice->ip);

	choice->source_kind = source_kind_of(flow, origin, choice, is_node, !!(frontend->flags & SERVICE_KEEPS_SOURCE));
	if (origin == SERVICE_FROM_HOST && choice->source_kind == SOURCE_KEPT && has_own_addresses(s, frontend->vni))
		choice->source_kind = SOURCE_NODE;
	choice->source = choice->source_kind == SOURCE_KEPT ? flow->source : choice->source_kind == SOURCE_NODE ? CONFIG.node_ip.words[3] : HAIRPIN_ADDRESS;
	choice->first_port = is_node ? SERVICE_PORTS_FIRST : SERVICE_POD_PORTS_FIRST;
	choice->vni = is_node ? 0 : frontend->vni;
	choice->answers_vni = choice->vni;
	choice->ifindex = is_node && !is_own_address(choice->ip) ? CONFIG.uplink_ifindex : 0;
	choice->answers_ifindex = origin == SERVICE_FROM_WORLD || device_of(ctx) == LOOPBACK_IFINDEX ? device_of(ctx) : 0;
}
