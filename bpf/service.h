/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: from the address that a client asked for to a backend, and back.
 *
 * A flow through a service has two entries in `service_flows`: what its packets become, by what they are before; and the same for its answers. They are made
 * for a flow's first packet; then each packet costs one look-up here. Conntrack and policy see what packets have become.
 */
#pragma once
#include "conntrack.h"
#include "rewrite.h"
#include "service_error.h"
#ifndef HOOK_XDP
#include "refuse.h"
#include "service_choose.h"
#endif

enum service_outcome { SERVICE_PASS, SERVICE_TRANSLATED, SERVICE_DROP, SERVICE_ANSWERED };

inlined int service_drop(struct flow *flow, enum drop_reason reason)
{
	flow->reason = reason;
	return SERVICE_DROP;
}

inlined void service_lead(struct flow *flow, const struct service_flow *to)
{
	flow->vni = to->vni;
	flow->out_ifindex = to->ifindex;
	if (to->flags & SERVICE_FLOW_OUTSIDE)
		flow->identity = IDENTITY_WORLD;
}

/* Makes packet and flow what the entry says. */
separate int service_apply(context *ctx, struct flow *flow, struct service_flow *to)
{
	__u32 now = coarse_seconds();
	int reason;

	if (!flow || !to)
		return SERVICE_PASS;
	if ((flow->tcp_flags & (TCP_FIN | TCP_RST)) && !(to->flags & SERVICE_FLOW_ENDING))
		to->flags |= SERVICE_FLOW_ENDING;
	if (now - to->seen > CT_STALE_SECONDS)
		to->seen = now;
	reason = rewrite_address(ctx, flow, REWRITE_SOURCE, to->source);

	if (!reason)
		reason = rewrite_address(ctx, flow, REWRITE_DESTINATION, to->destination);
	if (!reason)
		reason = rewrite_port(ctx, flow, REWRITE_SOURCE, to->source_port);
	if (!reason)
		reason = rewrite_port(ctx, flow, REWRITE_DESTINATION, to->destination_port);
	if (reason)
		return service_drop(flow, reason);
	service_lead(flow, to);
	return SERVICE_TRANSLATED;
}

/* Key of the packet that answers the quoted one. */
inlined void fill_service_answer_key(struct service_flow_key *key, const struct flow *quoted, __u32 vni)
{
	struct flow answer = {
		.source = quoted->destination,
		.destination = quoted->source,
		.source_port = quoted->destination_port,
		.destination_port = quoted->source_port,
		.protocol = quoted->protocol,
	};

	fill_service_flow_key(key, &answer, vni);
}

/* An ICMP error about a flow, from whichever end. `kind`: of the entry that its own packets would use. */
separate int service_apply_error(context *ctx, struct flow *flow, __u32 vni, __u32 kind)
{
	struct service_scratch *s = service_scratch();
	const struct service_flow *to;
	int reason;

	if (!flow)
		return SERVICE_PASS;
	if (!s)
		return service_drop(flow, DROP_SERVICE_TRANSLATION);
	__builtin_memset(&s->quoted, 0, sizeof(s->quoted));
	if (!parse_quoted(ctx, flow, &s->quoted))
		return SERVICE_PASS;
	fill_service_answer_key(&s->other, &s->quoted, vni);
	to = lookup(&service_flows, &s->other);
	if (!to || (to->flags & SERVICE_FLOW_ANSWERS) != kind)
		return SERVICE_PASS;
	reason = rewrite_quoted(ctx, flow, &s->quoted, to);
	if (reason)
		return service_drop(flow, reason);
	service_lead(flow, to);
	return SERVICE_TRANSLATED;
}

/* An answer of a flow that conntrack knows as translated: its source becomes the service again. SERVICE_PASS: it is none. */
separate int service_reverse(context *ctx, struct flow *flow)
{
	struct service_scratch *s = service_scratch();
	struct service_flow *to;

	if (!flow)
		return SERVICE_PASS;
	if (flow->flags & FLOW_ICMP_ERROR)
		return service_apply_error(ctx, flow, flow->vni, SERVICE_FLOW_ANSWERS);
	if (!s)
		return service_drop(flow, DROP_SERVICE_TRANSLATION);
	fill_service_flow_key(&s->asked, flow, flow->vni);
	to = lookup(&service_flows, &s->asked);
	if (!to || !(to->flags & SERVICE_FLOW_ANSWERS))
		return SERVICE_PASS;
	return service_apply(ctx, flow, to);
}

#ifndef HOOK_XDP
separate int service_refuse(context *ctx, struct flow *flow)
{
	struct service_scratch *s = service_scratch();

	if (!flow)
		return SERVICE_PASS;
	if (!s || !may_be_refused(flow))
		return service_drop(flow, DROP_SERVICE_NO_BACKEND);
	if ((flow->protocol == IPPROTO_TCP ? write_reset(ctx, flow, s) : write_unreachable(ctx, flow, s)) < 0)
		return service_drop(flow, DROP_SERVICE_NO_BACKEND);
	return SERVICE_ANSWERED;
}

/* Tries for a port that no other flow to the same backend has. */
#define SERVICE_PORT_TRIES 16

/* Whether packets in either direction may still come for a flow whose answers' entry is `answers`. */
inlined int service_is_alive(const struct service_flow *answers, const struct service_flow *client, __u8 protocol)
{
	__u32 flags = answers->flags | client->flags, now = coarse_seconds();
	__u32 limit = protocol == IPPROTO_UDP ? CT_ANSWERED_SECONDS : flags & SERVICE_FLOW_ENDING ? CT_TCP_OPENING_SECONDS : CT_TCP_ESTABLISHED_SECONDS;

	return now - answers->seen <= limit || now - client->seen <= limit;
}

inlined int is_same_flow(const struct service_flow_key *a, const struct service_flow_key *b)
{
	return a->vni == b->vni && a->source == b->source && a->destination == b->destination &&
	       a->source_port == b->source_port && a->destination_port == b->destination_port;
}

/* Takes the entry for answers, as it is in `s`; fails when another flow needs it. */
separate int service_take_answers(struct service_scratch *s)
{
	const struct service_flow *old, *client;

	if (!s)
		return 0;
	if (bpf_map_update_elem(&service_flows, &s->answers, &s->entry, BPF_NOEXIST) == 0)
		return 1;
	old = lookup(&service_flows, &s->answers);
	if (!old)
		return 0;
	s->other.vni = old->vni;
	s->other.source = old->destination;
	s->other.destination = old->source;
	s->other.source_port = old->destination_port;
	s->other.destination_port = old->source_port;
	s->other.protocol = s->answers.protocol;
	if (!is_same_flow(&s->other, &s->asked)) {
		client = lookup(&service_flows, &s->other);
		if (client && service_is_alive(old, client, s->answers.protocol))
			return 0;
		/* Else its packets would get answers that are not its own. */
		bpf_map_delete_elem(&service_flows, &s->other);
	}
	return bpf_map_update_elem(&service_flows, &s->answers, &s->entry, BPF_ANY) == 0;
}

inlined void service_prepare(struct service_scratch *s)
{
	s->answers.vni = s->choice.answers_vni;
	s->answers.source = s->choice.ip;
	s->answers.destination = s->choice.source;
	s->answers.source_port = s->choice.port;
	s->answers.destination_port = s->asked.source_port;
	s->answers.protocol = s->asked.protocol;
	__builtin_memset(&s->entry, 0, sizeof(s->entry));
	s->entry.source = s->asked.destination;
	s->entry.destination = s->asked.source;
	s->entry.source_port = s->asked.destination_port;
	s->entry.destination_port = s->asked.source_port;
	s->entry.vni = s->asked.vni;
	s->entry.ifindex = s->choice.answers_ifindex;
	s->entry.seen = coarse_seconds();
	s->entry.flags = SERVICE_FLOW_ANSWERS;
}

/* Both entries of a new flow. Returns a drop reason. */
separate int service_keep(struct service_scratch *s)
{
	int i, taken = 0;

	if (!s)
		return DROP_SERVICE_TRANSLATION;
	service_prepare(s);
	if (s->choice.source_kind != SOURCE_NODE)
		taken = service_take_answers(s);
	for (i = 0; i < SERVICE_PORT_TRIES && !taken; i++) {
		s->answers.destination_port = s->choice.first_port + (s->choice.hash + i) % (65536 - s->choice.first_port);
		taken = service_take_answers(s);
	}
	if (!taken)
		return DROP_SERVICE_PORTS;
	s->entry.source = s->answers.destination;
	s->entry.destination = s->answers.source;
	s->entry.source_port = s->answers.destination_port;
	s->entry.destination_port = s->choice.port;
	s->entry.vni = s->choice.vni;
	s->entry.ifindex = s->choice.ifindex;
	s->entry.backend = s->choice.index;
	s->entry.generation = s->choice.generation;
	s->entry.epoch = s->choice.epoch;
	s->entry.flags = s->choice.is_outside ? SERVICE_FLOW_OUTSIDE : 0;
	bpf_map_update_elem(&service_flows, &s->asked, &s->entry, BPF_ANY);
	return DROP_NONE;
}

/* The first packet of a flow, as far as we know. */
separate int service_begin(context *ctx, struct flow *flow, enum service_origin origin, struct service_scratch *s)
{
	struct service_frontend *frontend;
	int reason;

	if (!flow || !s)
		return SERVICE_PASS;
	frontend = service_find(s, flow, origin);
	if (!frontend)
		return SERVICE_PASS;
	s->choice.hash = service_hash(flow);
	s->choice.is_outside = origin == SERVICE_FROM_WORLD || (origin == SERVICE_FROM_POD && frontend->vni != flow->vni);
	if (!has_ports(flow))
		return service_drop(flow, DROP_SERVICE_NO_BACKEND);
	if (!service_allows_source(s, flow, frontend))
		return service_drop(flow, DROP_SERVICE_SOURCE);
	if (!service_choose(s, flow, frontend)) {
		if (frontend->flags & (s->choice.is_outside ? SERVICE_EXTERNAL_EMPTY_DROPS : SERVICE_EMPTY_DROPS))
			return service_drop(flow, DROP_SERVICE_NO_BACKEND);
		return service_refuse(ctx, flow);
	}
	service_route(ctx, s, flow, origin, frontend);
	reason = service_keep(s);
	return reason == DROP_NONE ? service_apply(ctx, flow, &s->entry) : service_drop(flow, reason);
}

/*
 * A packet before conntrack and policy. SERVICE_PASS: it goes to no service, nothing was touched. SERVICE_TRANSLATED: packet and flow have the backend's
 * address and network now. SERVICE_DROP: the flow's reason says why. SERVICE_ANSWERED: it has become a refusal, to be sent back to where it came from.
 */
separate int service_forward(context *ctx, struct flow *flow, enum service_origin origin)
{
	__u32 vni, epoch = service_state.epoch;
	struct service_scratch *s;
	struct service_flow *known;

	if (!flow)
		return SERVICE_PASS;
	vni = origin == SERVICE_FROM_POD ? flow->vni : 0;
	if (!service_is_asked(flow, origin))
		return SERVICE_PASS;
	if (flow->flags & FLOW_ICMP_ERROR)
		return service_apply_error(ctx, flow, vni, 0);
	s = service_scratch();
	if (!s)
		return service_drop(flow, DROP_SERVICE_TRANSLATION);
	s->choice.epoch = epoch;
	fill_service_flow_key(&s->asked, flow, vni);
	known = lookup(&service_flows, &s->asked);
	if (!known)
		return service_begin(ctx, flow, origin, s);
	if (known->flags & SERVICE_FLOW_ANSWERS)
		return origin == SERVICE_FROM_POD ? SERVICE_PASS : service_apply(ctx, flow, known);
	if (known->epoch == epoch && !(flow->flags & FLOW_OPENING))
		return service_apply(ctx, flow, known);
	if (!((flow->flags & FLOW_OPENING) && (known->flags & SERVICE_FLOW_ENDING)) && backend_keeps(flow, known)) {
		known->epoch = epoch;
		return service_apply(ctx, flow, known);
	}
	bpf_map_delete_elem(&service_flows, &s->asked);
	if (flow->protocol == IPPROTO_UDP || (flow->flags & FLOW_OPENING))
		return service_begin(ctx, flow, origin, s);
	if (flow->protocol == IPPROTO_TCP)
		return service_refuse(ctx, flow);
	return service_drop(flow, DROP_SERVICE_NO_BACKEND);
}
#endif
