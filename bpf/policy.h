/* SPDX-License-Identifier: Apache-2.0 */
/* What policy sets say about a flow, from the side of the end that began it. */
#pragma once
#include "verdict.h"

struct judgement {
	/* Sets of the two ends, as far as they are pods of this host; 0: not ours to say. */
	__u32 egress_set;
	__u32 ingress_set;
	/* Read before the tables: a change in between makes the next packet be judged again. */
	__u32 egress_epoch;
	__u32 ingress_epoch;
	/* Of the end that began. */
	__u32 identity;
	__u32 vni;
	__be32 source;
	__be32 destination;
	__u16 destination_port;
	__u16 length;
	/* CT_TO_POD, CT_ISOLATED. */
	__u16 flags;
	__u8 protocol;
	__u8 pad;
	/* The rule that denied. */
	__u32 rule;
};

/* Place of a protocol and port in a list: see LIST_PROTOCOLS in packages/network/src/layouts. */
inlined __u32 list_place(__u8 protocol, __u16 port)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return port;
	case IPPROTO_UDP:
		return 1 << 16 | port;
	case PROTOCOL_SCTP:
		return 2 << 16 | port;
	default:
		return 3 << 16;
	}
}

inlined void find_segment(const struct list *list, __u32 place, struct segment *found)
{
	__u32 at = 0;

#pragma unroll
	for (__u32 step = LIST_SEGMENTS_MAX / 2; step > 0; step /= 2) {
		__u32 next = at + step;

		if (next < list->count && list->segments[next & (LIST_SEGMENTS_MAX - 1)].start <= place)
			at = next;
	}
	*found = list->segments[at & (LIST_SEGMENTS_MAX - 1)];
}

/* A list that is not there denies: that would be a mistake of the daemon. */
separate int ask_list(__u32 id, __u32 place, struct segment *found)
{
	struct list_key key = { .id = id };
	struct list *list;

	if (!found)
		return 0;
	found->rule = 0;
	found->precedence = PRECEDENCE_LAST;
	found->verdict = id == LIST_OPEN ? SEGMENT_ALLOW : SEGMENT_DENY;
	if (id == LIST_OPEN)
		return 0;
	list = lookup(&lists, &key);
	if (!list)
		return 0;
	find_segment(list, place, found);
	if (found->verdict != SEGMENT_JUMP)
		return 0;
	key.id = found->rule;
	found->rule = 0;
	list = lookup(&lists, &key);
	if (list)
		find_segment(list, place, found);
	return 0;
}

/* What the longest block that has the address says; `fallback` when there is none. */
inlined __u32 find_cidr(__u32 set, __u32 direction, __be32 ip, __u32 fallback)
{
	struct cidr_key key = { .prefix_length = 192, .set = set, .direction = direction, .ip = address_of(ip) };
	struct cidr *cidr = lookup(&cidrs, &key);

	return cidr ? cidr->list : fallback;
}

inlined int decide(struct judgement *j, const struct segment *segment, int reason)
{
	count_rule(segment->rule, j->length);
	if (segment->verdict == SEGMENT_ALLOW)
		return DROP_NONE;
	j->rule = segment->rule;
	return reason;
}

inlined int judge_egress(struct judgement *j, __u32 place)
{
	volatile struct policy_set *set = policy_set_of(j->egress_set);
	__u32 list = j->flags & CT_TO_POD ? set->egress_to_pods : set->egress_outside;
	struct segment found;

	if (!(j->flags & CT_TO_POD) && (set->flags & SET_EGRESS_CIDRS))
		list = find_cidr(j->egress_set, CIDRS_EGRESS, j->destination, list);
	ask_list(list, place, &found);
	return decide(j, &found, DROP_POLICY_EGRESS);
}

inlined int judge_ingress(struct judgement *j, __u32 place)
{
	volatile struct policy_set *set = policy_set_of(j->ingress_set);
	struct pair_key key = { .set = j->ingress_set, .peer = j->identity };
	struct pair *pair = lookup(&pairs, &key);
	__u32 list = set->ingress_others, peer_list = 0, by_address = 0;
	struct segment found, other;

	if (pair) {
		peer_list = pair->egress;
		if (pair->ingress)
			list = pair->ingress;
	} else if (j->flags & CT_ISOLATED) {
		struct identity_key known = { .vni = j->vni, .id = j->identity };

		if (!lookup(&identities, &known))
			return DROP_UNKNOWN_IDENTITY;
	}
	ask_list(list, place, &found);
	if (set->flags & SET_INGRESS_CIDRS)
		by_address = find_cidr(j->ingress_set, CIDRS_INGRESS, j->source, 0);
	if (by_address) {
		ask_list(by_address, place, &other);
		if (other.precedence < found.precedence)
			found = other;
	}
	if (decide(j, &found, DROP_POLICY_INGRESS) != DROP_NONE)
		return DROP_POLICY_INGRESS;
	if (!peer_list)
		return DROP_NONE;
	ask_list(peer_list, place, &found);
	return decide(j, &found, DROP_POLICY_PEER_EGRESS);
}

/* Returns a drop reason. */
separate int judge(struct judgement *j)
{
	__u32 place;
	int reason = DROP_NONE;

	if (!j)
		return DROP_MALFORMED;
	place = list_place(j->protocol, j->destination_port);
	if (j->egress_set)
		reason = judge_egress(j, place);
	if (reason == DROP_NONE && j->ingress_set)
		reason = judge_ingress(j, place);
	return reason;
}
