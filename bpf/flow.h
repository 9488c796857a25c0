/* SPDX-License-Identifier: Apache-2.0 */
/* What programs know of a packet once it is parsed; everything that decides takes this and no packet. */
#pragma once
#include "context.h"

/* Bits of struct flow's `flags`. */
#define FLOW_FIRST_FRAGMENT 1 /* has ports; others follow */
#define FLOW_LATER_FRAGMENT 2 /* its ports come from the first one; the packet has none */
#define FLOW_DONT_FRAGMENT 4
#define FLOW_ICMP_ERROR 8 /* says something about another flow, whose header it carries */
#define FLOW_OPENING 16 /* asks for a flow to begin, whatever it might look like an answer to */

/* Bits of `tcp_flags`, as in byte 13 of the header. */
#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

struct flow {
	/* Network byte order; IPv4. Keys of maps: address_of(). */
	__be32 source;
	__be32 destination;
	/* Network that both ends are in; 0 until it is known. */
	__u32 vni;
	/* Host byte order. ICMP queries: the identifier on the side of who asks, 0 on the other. 0 for protocols without ports. */
	__u16 source_port;
	__u16 destination_port;
	/* Offsets of the headers from the start of the frame. */
	__u16 l3;
	__u16 l4;
	/* Of the IP packet. */
	__u16 length;
	/* Of the IP packet, host byte order. */
	__u16 id;
	__u8 protocol;
	/* DSCP and ECN. */
	__u8 tos;
	__u8 tcp_flags;
	__u8 flags;
	/* Of the source, as far as it is known and believed. */
	__u32 identity;
	/* Why the packet must be dropped (enum drop_reason), and what rule says so. */
	__u32 reason;
	__u32 rule;
	/* Not 0: the packet leaves by this device to the next hop of its destination, whatever that is. */
	__u32 out_ifindex;
	/* Host that sent it through the tunnel. */
	__be32 node;
};

#define PROTOCOL_SCTP 132

/* An IPv4 address as maps have it. */
inlined struct address address_of(__be32 ip)
{
	struct address address = {};

	address.words[2] = bpf_htonl(0xffff);
	address.words[3] = ip;
	return address;
}

inlined __be32 ipv4_of(const struct address *address)
{
	return address->words[3];
}
