/* SPDX-License-Identifier: Apache-2.0 */
/* Turns a packet into the answer that nobody serves there: a reset for TCP (RFC 9293, 3.5.2), else an ICMP error (RFC 792: port unreachable). */
#pragma once
#include "parse.h"
#include "service_tables.h"

/* IP header and as much of what follows as the error must quote. */
#define QUOTED_BYTES (sizeof(struct iphdr) + 8)
#define ANSWER_TTL 64
#define ICMP_PORT_UNREACHABLE 3

inlined __u16 sum_of(const void *from, __u32 length, __u32 start)
{
	__u32 sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)from, length, start);

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

inlined void fill_answer_head(struct iphdr *ip, const struct flow *flow, __u32 protocol, __u32 room)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(sizeof(*ip) + room);
	ip->ttl = ANSWER_TTL;
	ip->protocol = protocol;
	ip->saddr = flow->destination;
	ip->daddr = flow->source;
	ip->check = sum_of(ip, sizeof(*ip), 0);
}

/* Ethernet and IP headers, and the answer behind them. */
separate int write_answer(context *ctx, const struct flow *flow, struct service_scratch *s, __u32 protocol)
{
	__u32 room = protocol == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(s->answer);
	struct iphdr ip;

	if (!flow || !s)
		return -1;
	fill_answer_head(&ip, flow, protocol, room);
	if (flow->l3 != ETH_HLEN || bpf_skb_load_bytes(ctx, 0, s->macs, ETH_ALEN) < 0 || bpf_skb_load_bytes(ctx, ETH_ALEN, s->macs + 8, ETH_ALEN) < 0)
		return -1;
	if (bpf_skb_change_tail(ctx, ETH_HLEN + sizeof(ip) + room, 0) < 0 || bpf_skb_store_bytes(ctx, 0, s->macs + 8, ETH_ALEN, 0) < 0 ||
	    bpf_skb_store_bytes(ctx, ETH_ALEN, s->macs, ETH_ALEN, 0) < 0 || bpf_skb_store_bytes(ctx, ETH_HLEN, &ip, sizeof(ip), 0) < 0)
		return -1;
	if (protocol == IPPROTO_TCP)
		return bpf_skb_store_bytes(ctx, ETH_HLEN + sizeof(ip), s->answer, sizeof(struct tcphdr), 0);
	return bpf_skb_store_bytes(ctx, ETH_HLEN + sizeof(ip), s->answer, sizeof(s->answer), 0);
}

/*
 * The packet may have come with its sum still to be made (CHECKSUM_PARTIAL, from a pod or a virtual machine): then a device makes it over what stands in the
 * sum's place, and no helper says or changes that. So the answer is one for which both come to the same: the sum's place has the sum of the pseudo header, as for
 * such packets, and the window, which means nothing in a reset, makes that the right sum as well. In the error for UDP a device writes into a field that is unused,
 * and 0xffff for 0, which is the same to the sum.
 */
inlined int write_reset(context *ctx, const struct flow *flow, struct service_scratch *s)
{
	struct tcphdr *reset = (struct tcphdr *)s->answer;
	__be32 pseudo[3] = { flow->destination, flow->source, bpf_htonl(((__u32)IPPROTO_TCP << 16) | sizeof(*reset)) };
	struct tcphdr tcp;
	__u32 payload;

	if (bpf_skb_load_bytes(ctx, flow->l4, &tcp, sizeof(tcp)) < 0)
		return -1;
	__builtin_memset(reset, 0, sizeof(*reset));
	reset->source = tcp.dest;
	reset->dest = tcp.source;
	reset->doff = sizeof(*reset) / 4;
	reset->rst = 1;
	if (tcp.ack) {
		reset->seq = tcp.ack_seq;
	} else {
		payload = flow->length - sizeof(struct iphdr) - tcp.doff * 4;
		reset->ack = 1;
		reset->ack_seq = bpf_htonl(bpf_ntohl(tcp.seq) + payload + tcp.syn + tcp.fin);
	}
	reset->check = ~sum_of(pseudo, sizeof(pseudo), 0);
	reset->window = sum_of(reset, sizeof(*reset), reset->check);
	return write_answer(ctx, flow, s, IPPROTO_TCP);
}

inlined int write_unreachable(context *ctx, const struct flow *flow, struct service_scratch *s)
{
	struct icmp_head *icmp = (struct icmp_head *)s->answer;

	_Static_assert(sizeof(s->answer) == sizeof(*icmp) + QUOTED_BYTES, "answer");
	if (bpf_skb_load_bytes(ctx, flow->l3, s->answer + 2, QUOTED_BYTES) < 0)
		return -1;
	s->answer[0] = 0;
	s->answer[1] = 0;
	icmp->type = ICMP_UNREACHABLE;
	icmp->code = ICMP_PORT_UNREACHABLE;
	icmp->checksum = sum_of(s->answer, sizeof(s->answer), 0);
	return write_answer(ctx, flow, s, IPPROTO_ICMP);
}

/* What gets no answer: a reset, since two would go on for ever, and a later fragment, since its first one had one (RFC 1122, 3.2.2). */
inlined int may_be_refused(const struct flow *flow)
{
	return !(flow->flags & FLOW_LATER_FRAGMENT) && !(flow->protocol == IPPROTO_TCP && (flow->tcp_flags & TCP_RST));
}
