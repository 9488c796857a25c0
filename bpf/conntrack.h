/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows that policies let begin. An entry is written when its state changes, or when its time is so old that it matters; what it says of policies holds as
 * long as the sets that judged are the same, in the same epoch.
 */
#pragma once
#include "parse.h"
#include "policy.h"

/* Time-outs by class, in coarse seconds. Linux' conntrack: 120, 432,000, 120, 10, 30, 120, 30, 600; five days would only fill the table. */
#define CT_TCP_OPENING_SECONDS 60
#define CT_TCP_ESTABLISHED_SECONDS 21600
#define CT_TCP_HALF_CLOSED_SECONDS 300
#define CT_TCP_CLOSED_SECONDS 10
#define CT_UNANSWERED_SECONDS 30
#define CT_ANSWERED_SECONDS 180
/* An entry's time is never staler than this, nor than an eighth of its time-out. */
#define CT_STALE_SECONDS 8

/* What policies depend on beside addresses, ports and identity. An address may get a pod while a flow to it goes on. */
#define CT_JUDGED_FLAGS (CT_ISOLATED | CT_TO_POD)

/* Where a packet goes and who of this host may judge it. */
struct path {
	/* Policy sets of pods of this host; 0 also when a pod has none yet. */
	__u32 source_set;
	__u32 destination_set;
	/* Devices of pods of this host, else 0. */
	__u32 source_device;
	__u32 destination_device;
	/* CT_… for an entry that has to be made. */
	__u16 flags;
};

struct found {
	/* NULL: no flow that is known and alive. */
	struct ct_entry *entry;
	/* coarse_seconds(): asking once a packet is enough. */
	__u32 now;
	/* The packet goes as the first one did. */
	__u8 is_forward;
	__u8 source_is_low;
	/* An ICMP error about the flow. */
	__u8 is_related;
};

inlined int source_is_low(const struct flow *flow)
{
	__u32 source = bpf_ntohl(flow->source), destination = bpf_ntohl(flow->destination);

	if (source != destination)
		return source < destination;
	return flow->source_port <= flow->destination_port;
}

inlined void fill_ct_key(struct ct_key *key, const struct flow *flow)
{
	int low = source_is_low(flow);

	key->vni = flow->vni;
	key->protocol = flow->protocol;
	key->low = low ? flow->source : flow->destination;
	key->high = low ? flow->destination : flow->source;
	key->low_port = low ? flow->source_port : flow->destination_port;
	key->high_port = low ? flow->destination_port : flow->source_port;
}

inlined __u32 ct_timeout(__u8 protocol, const struct ct_entry *entry)
{
	if (protocol != IPPROTO_TCP)
		return entry->flags & CT_ANSWERED ? CT_ANSWERED_SECONDS : CT_UNANSWERED_SECONDS;
	switch (entry->state) {
	case CT_OPENING:
		return CT_TCP_OPENING_SECONDS;
	case CT_ESTABLISHED:
		return CT_TCP_ESTABLISHED_SECONDS;
	case CT_CLOSED:
		return CT_TCP_CLOSED_SECONDS;
	default:
		return CT_TCP_HALF_CLOSED_SECONDS;
	}
}

/* The header that an ICMP error carries, as a flow. Returns 0 when it can't be one of ours. */
inlined int parse_quoted(context *ctx, const struct flow *flow, struct flow *quoted)
{
	struct {
		struct iphdr ip;
		__be16 words[4];
	} __attribute__((packed)) head;
	__u8 type;

	if (context_load(ctx, flow->l4 + sizeof(struct icmp_head), &head, sizeof(head)) < 0 || head.ip.version != 4 || head.ip.ihl != 5)
		return 0;
	/* An error goes to who sent the packet that it quotes. */
	if (head.ip.saddr != flow->destination)
		return 0;
	quoted->vni = flow->vni;
	quoted->source = head.ip.saddr;
	quoted->destination = head.ip.daddr;
	quoted->protocol = head.ip.protocol;
	if (head.ip.protocol == IPPROTO_TCP || head.ip.protocol == IPPROTO_UDP || head.ip.protocol == PROTOCOL_SCTP) {
		quoted->source_port = bpf_ntohs(head.words[0]);
		quoted->destination_port = bpf_ntohs(head.words[1]);
	} else if (head.ip.protocol == IPPROTO_ICMP) {
		type = bpf_ntohs(head.words[0]) >> 8;
		if (type == ICMP_ECHO || type == ICMP_TIMESTAMP)
			quoted->source_port = bpf_ntohs(head.words[2]);
		else if (type == ICMP_ECHO_REPLY || type == ICMP_TIMESTAMP_REPLY)
			quoted->destination_port = bpf_ntohs(head.words[2]);
	}
	return 1;
}

inlined int is_alive(const struct ct_entry *entry, __u8 protocol, __u32 now)
{
	return now - entry->seen <= ct_timeout(protocol, entry);
}

/* The flow of a packet, or the one that an ICMP error is about. */
inlined void find_flow(context *ctx, const struct flow *flow, struct found *found)
{
	struct flow quoted = {};
	struct ct_key key;
	struct ct_entry *entry;

	__builtin_memset(found, 0, sizeof(*found));
	found->now = coarse_seconds();
	found->source_is_low = source_is_low(flow);
	if ((flow->flags & FLOW_ICMP_ERROR) && parse_quoted(ctx, flow, &quoted)) {
		fill_ct_key(&key, &quoted);
		entry = lookup(&ct, &key);
		if (entry && is_alive(entry, quoted.protocol, found->now)) {
			found->entry = entry;
			found->is_related = 1;
			found->is_forward = source_is_low(&quoted) != !!(entry->flags & CT_LOW_BEGAN);
			return;
		}
	}
	fill_ct_key(&key, flow);
	entry = lookup(&ct, &key);
	if (!entry || !is_alive(entry, flow->protocol, found->now))
		return;
	found->is_forward = found->source_is_low == !!(entry->flags & CT_LOW_BEGAN);
	/* Whoever asks for a flow is judged as who begins it; and a port that is used again begins a new one. */
	if ((flow->flags & FLOW_OPENING) && (!found->is_forward || entry->state >= CT_HALF_CLOSED_LOW))
		return;
	found->entry = entry;
}

inlined void advance_flow(const struct flow *flow, const struct found *found)
{
	struct ct_entry *entry = found->entry;
	__u8 state = entry->state, flags = flow->tcp_flags;
	__u32 now = found->now, age = now - entry->seen, limit;

	if (!found->is_forward && !(entry->flags & CT_ANSWERED))
		entry->flags |= CT_ANSWERED;
	if (flow->protocol == IPPROTO_TCP) {
		__u8 half = found->source_is_low ? CT_HALF_CLOSED_LOW : CT_HALF_CLOSED_HIGH;

		if (flags & TCP_RST)
			state = CT_CLOSED;
		else if ((flags & TCP_FIN) && state != CT_CLOSED)
			state = state >= CT_HALF_CLOSED_LOW && state != half ? CT_CLOSED : half;
		else if (state == CT_OPENING && found->is_forward && (entry->flags & CT_ANSWERED) && (flags & TCP_ACK))
			state = CT_ESTABLISHED;
		if (state != entry->state) {
			entry->state = state;
			entry->seen = now;
			return;
		}
		/* What still comes of a closed flow keeps nothing open. */
		if (state == CT_CLOSED)
			return;
	}
	limit = ct_timeout(flow->protocol, entry) / 8;
	if (age > (limit < CT_STALE_SECONDS ? limit : CT_STALE_SECONDS))
		entry->seen = now;
}

inlined int is_current(__u32 set, __u32 entry_set, __u32 entry_epoch)
{
	return set == entry_set && (!set || policy_set_of(set)->epoch == entry_epoch);
}

/* Whether what was judged of the flow holds: by the sets that it has now, as they are now, of the same peer. */
inlined int holds_judgement(const struct flow *flow, const struct path *path, const struct found *found)
{
	const struct ct_entry *entry = found->entry;
	__u32 egress_set = found->is_forward ? path->source_set : path->destination_set;
	__u32 ingress_set = found->is_forward ? path->destination_set : path->source_set;

	if (found->is_forward && (flow->identity != entry->identity || ((path->flags ^ entry->flags) & CT_JUDGED_FLAGS)))
		return 0;
	return is_current(egress_set, entry->egress_set, entry->egress_epoch) && is_current(ingress_set, entry->ingress_set, entry->ingress_epoch);
}

inlined void fill_judgement(struct judgement *j, const struct flow *flow, const struct path *path, const struct found *found)
{
	int is_forward = !found->entry || found->is_forward;

	__builtin_memset(j, 0, sizeof(*j));
	j->egress_set = is_forward ? path->source_set : path->destination_set;
	j->ingress_set = is_forward ? path->destination_set : path->source_set;
	j->egress_epoch = policy_set_of(j->egress_set)->epoch;
	j->ingress_epoch = policy_set_of(j->ingress_set)->epoch;
	j->identity = is_forward ? flow->identity : found->entry->identity;
	j->flags = is_forward ? path->flags : found->entry->flags;
	j->vni = flow->vni;
	j->source = is_forward ? flow->source : flow->destination;
	j->destination = is_forward ? flow->destination : flow->source;
	j->destination_port = is_forward ? flow->destination_port : flow->source_port;
	j->length = flow->length;
	j->protocol = flow->protocol;
}

inlined int begin_flow(struct flow *flow, const struct path *path, const struct found *found, const struct judgement *j)
{
	struct ct_key key;
	struct ct_entry entry = {
		.seen = found->now,
		.egress_set = j->egress_set,
		.egress_epoch = j->egress_epoch,
		.ingress_set = j->ingress_set,
		.ingress_epoch = j->ingress_epoch,
		.low_device = found->source_is_low ? path->source_device : path->destination_device,
		.high_device = found->source_is_low ? path->destination_device : path->source_device,
		.identity = flow->identity,
		.flags = path->flags | (found->source_is_low ? CT_LOW_BEGAN : 0),
		.state = flow->protocol == IPPROTO_TCP && (flow->tcp_flags & TCP_RST) ? CT_CLOSED : CT_OPENING,
	};

	fill_ct_key(&key, flow);
	bpf_map_update_elem(&ct, &key, &entry, BPF_ANY);
	return DROP_NONE;
}

/* Whether the pods at the ends are still those of the flow; `destination_device` 0 may also mean that it isn't known yet. */
inlined void forget_flow_of_others(struct found *found, __u32 source_device, __u32 destination_device)
{
	struct ct_entry *entry = found->entry;
	__u32 source, destination;

	if (!entry || found->is_related)
		return;
	source = found->source_is_low ? entry->low_device : entry->high_device;
	destination = found->source_is_low ? entry->high_device : entry->low_device;
	if (source != source_device || (destination_device && destination != destination_device))
		found->entry = 0;
}

/* Whether policies let the packet pass; keeps its flow. Returns a drop reason. */
inlined int admit(struct flow *flow, const struct path *path, struct found *found)
{
	struct ct_entry *entry;
	struct judgement j;
	int reason;

	if (found->is_related)
		return DROP_NONE;
	forget_flow_of_others(found, path->source_device, path->destination_device);
	entry = found->entry;
	if (entry && (entry->flags & CT_EXEMPT)) {
		advance_flow(flow, found);
		return DROP_NONE;
	}
	if (!entry && (path->flags & CT_EXEMPT)) {
		__builtin_memset(&j, 0, sizeof(j));
		return begin_flow(flow, path, found, &j);
	}
	if ((path->source_device && !path->source_set) || (path->destination_device && !path->destination_set))
		return DROP_NOT_READY;
	if (entry && holds_judgement(flow, path, found)) {
		advance_flow(flow, found);
		return DROP_NONE;
	}
	fill_judgement(&j, flow, path, found);
	reason = judge(&j);
	flow->rule = j.rule;
	if (reason != DROP_NONE)
		return reason;
	if (!entry)
		return begin_flow(flow, path, found, &j);
	entry->egress_epoch = j.egress_epoch;
	entry->egress_set = j.egress_set;
	entry->ingress_epoch = j.ingress_epoch;
	entry->ingress_set = j.ingress_set;
	entry->identity = j.identity;
	entry->flags = (entry->flags & ~CT_JUDGED_FLAGS) | (j.flags & CT_JUDGED_FLAGS);
	advance_flow(flow, found);
	return DROP_NONE;
}
