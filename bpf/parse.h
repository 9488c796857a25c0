/* SPDX-License-Identifier: Apache-2.0 */
/* From bytes to struct flow. Whatever a packet holds, it gets a verdict: there is no path that goes on without having understood it. */
#pragma once
#include "flow.h"

#define IP_OFFSET_MASK 0x1fff
#define IP_MORE_FRAGMENTS 0x2000
#define IP_DO_NOT_FRAGMENT 0x4000

/* What is used of the headers. linux/icmp.h and the like would pull in the C library. */
struct tcp_head {
	__be16 source, destination;
	__be32 sequence, acknowledgement;
	__u8 offset;
	__u8 flags;
} __attribute__((packed));

struct icmp_head {
	__u8 type, code;
	__be16 checksum;
	__be16 id;
	__be16 sequence;
};

/* RFC 9260: ports, verification tag, checksum, then the first chunk's type. */
struct sctp_head {
	__be16 source, destination;
	__be32 tag, checksum;
	__u8 chunk;
} __attribute__((packed));
#define SCTP_INIT 1

/* RFC 792, RFC 950 and RFC 1122. */
#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER 12
#define ICMP_TIMESTAMP 13
#define ICMP_TIMESTAMP_REPLY 14

inlined int parse_icmp(struct flow *flow, const struct icmp_head *icmp)
{
	switch (icmp->type) {
	case ICMP_ECHO:
	case ICMP_TIMESTAMP:
		flow->source_port = bpf_ntohs(icmp->id);
		flow->flags |= FLOW_OPENING;
		break;
	case ICMP_ECHO_REPLY:
	case ICMP_TIMESTAMP_REPLY:
		flow->destination_port = bpf_ntohs(icmp->id);
		break;
	case ICMP_UNREACHABLE:
	case ICMP_SOURCE_QUENCH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER:
		flow->flags |= FLOW_ICMP_ERROR;
		break;
	}
	return DROP_NONE;
}

/* `room`: bytes that the IP packet has for layer 4; what lies behind it in the frame is not looked at. */
inlined int parse_l4(context *ctx, struct flow *flow, __u32 room)
{
	if (flow->protocol == IPPROTO_TCP) {
		struct tcp_head copy;
		const struct tcp_head *tcp = room < sizeof(struct tcphdr) ? NULL : context_see(ctx, flow->l4, &copy, sizeof(copy));

		if (!tcp)
			return DROP_TRUNCATED;
		if (tcp->offset >> 4 < 5)
			return DROP_MALFORMED;
		flow->source_port = bpf_ntohs(tcp->source);
		flow->destination_port = bpf_ntohs(tcp->destination);
		flow->tcp_flags = tcp->flags;
		if ((tcp->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
			flow->flags |= FLOW_OPENING;
	} else if (flow->protocol == IPPROTO_UDP) {
		struct udphdr copy;
		const struct udphdr *udp = room < sizeof(copy) ? NULL : context_see(ctx, flow->l4, &copy, sizeof(copy));

		if (!udp)
			return DROP_TRUNCATED;
		flow->source_port = bpf_ntohs(udp->source);
		flow->destination_port = bpf_ntohs(udp->dest);
	} else if (flow->protocol == PROTOCOL_SCTP) {
		struct sctp_head sctp;

		if (room < sizeof(sctp) || context_load(ctx, flow->l4, &sctp, sizeof(sctp)) < 0)
			return DROP_TRUNCATED;
		flow->source_port = bpf_ntohs(sctp.source);
		flow->destination_port = bpf_ntohs(sctp.destination);
		if (sctp.chunk == SCTP_INIT)
			flow->flags |= FLOW_OPENING;
	} else if (flow->protocol == IPPROTO_ICMP) {
		struct icmp_head icmp;

		if (room < sizeof(icmp) || context_load(ctx, flow->l4, &icmp, sizeof(icmp)) < 0)
			return DROP_TRUNCATED;
		return parse_icmp(flow, &icmp);
	}
	return DROP_NONE;
}

/* An IPv4 packet whose header is at `l3`. Returns a drop reason. */
separate int parse_ipv4(context *ctx, __u32 l3, struct flow *flow)
{
	const struct iphdr *ip;
	struct iphdr copy;
	__u16 fragment;

	if (!flow)
		return DROP_MALFORMED;
	ip = context_see(ctx, l3, &copy, sizeof(copy));
	if (!ip)
		return DROP_TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5)
		return DROP_MALFORMED;
	/* RFC 7126: source routes and the like have no use in a pod network. */
	if (ip->ihl != 5)
		return DROP_IP_OPTIONS;
	flow->length = bpf_ntohs(ip->tot_len);
	if (flow->length < sizeof(*ip))
		return DROP_MALFORMED;
	if (!context_has(ctx, l3 + flow->length))
		return DROP_TRUNCATED;
	flow->l3 = l3;
	flow->l4 = l3 + sizeof(*ip);
	flow->source = ip->saddr;
	flow->destination = ip->daddr;
	flow->protocol = ip->protocol;
	flow->tos = ip->tos;
	flow->id = bpf_ntohs(ip->id);
	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & IP_DO_NOT_FRAGMENT)
		flow->flags |= FLOW_DONT_FRAGMENT;
	if (fragment & IP_OFFSET_MASK) {
		/* RFC 3128: it would overwrite the TCP flags that the first fragment was judged by. */
		if (flow->protocol == IPPROTO_TCP && (fragment & IP_OFFSET_MASK) == 1)
			return DROP_MALFORMED;
		flow->flags |= FLOW_LATER_FRAGMENT;
		return DROP_NONE;
	}
	if (fragment & IP_MORE_FRAGMENTS)
		flow->flags |= FLOW_FIRST_FRAGMENT;
	return parse_l4(ctx, flow, flow->length - sizeof(*ip));
}

/* Why no packet may go to, or come from, this address; DROP_NONE when it may. */
inlined int check_unicast(__be32 ip)
{
	__u8 first = bpf_ntohl(ip) >> 24;

	if (first == 0 || first == 127)
		return DROP_MARTIAN;
	if (first >= 224)
		return DROP_MULTICAST;
	return DROP_NONE;
}
