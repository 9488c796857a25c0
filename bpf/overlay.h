/* SPDX-License-Identifier: Apache-2.0 */
/* The tunnel between hosts: GENEVE (RFC 8926) with one option, the sender's identity. */
#pragma once
#include "rewrite.h"
#include "verdict.h"

/* The high bit of an option's type: who does not understand it must drop the packet. */
#define GENEVE_OPTION_CRITICAL 0x80
/* The sender's egress policies say nothing about pods; or they do, and a receiver that does not know the identity must drop. */
#define GENEVE_OPTION_OPEN 1
#define GENEVE_OPTION_ISOLATED 2
#define GENEVE_ETHERNET 0x6558
#define GENEVE_VERSION_MASK 0xc0
#define GENEVE_OPTION_WORDS_MASK 0x3f
#define GENEVE_FLAG_CONTROL 0x80
/* The header's length allows 63 empty ones. */
#define GENEVE_OPTIONS_MAX 8

#define ECN_MASK 3
#define ECN_CE 3
#define ECN_ECT1 1
#define ECN_ECT0 2

/* Ports are chosen by flow, so that a network that spreads by ports keeps a flow on one way. */
#define TUNNEL_PORT_FIRST 49152
#define TUNNEL_PORTS_MASK 16383

struct geneve_header {
	__u8 version_and_words;
	__u8 flags;
	__be16 protocol;
	/* The upper 24 bits. */
	__be32 vni;
};

struct geneve_option {
	__be16 class;
	__u8 type;
	__u8 words;
};

struct tunnel_header {
	struct iphdr ip;
	struct udphdr udp;
	struct geneve_header geneve;
	struct geneve_option option;
	__be32 identity;
	struct ethhdr ethernet;
} __attribute__((packed));
_Static_assert(sizeof(struct tunnel_header) == TUNNEL_OVERHEAD, "tunnel_header");

struct tunnel {
	__be32 node;
	__u32 ifindex;
	__u32 vni;
	__u32 identity;
	__u8 is_isolated;
	/* Of a pod's level; what it says itself is for the network that it thinks to be in. Without: what the host says. */
	__u8 has_dscp;
	__u8 dscp;
};

inlined __u16 flow_hash(const struct flow *flow)
{
	__u32 hash = flow->source ^ flow->destination ^ (__u32)flow->source_port << 16 ^ flow->destination_port ^ flow->protocol;

	/* The finalizer of MurmurHash3. */
	hash ^= hash >> 16;
	hash *= 0x85ebca6b;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35;
	return hash ^ hash >> 16;
}

#ifndef HOOK_XDP
inlined void fill_tunnel_header(struct tunnel_header *header, const struct flow *flow, const struct tunnel *tunnel)
{
	__u32 length = flow->length + sizeof(*header);
	__u8 gateway[6] = GATEWAY_MAC_BYTES;

	__builtin_memset(header, 0, sizeof(*header));
	header->ip.version = 4;
	header->ip.ihl = 5;
	/* RFC 6040, normal mode. */
	header->ip.tos = tunnel->has_dscp ? tunnel->dscp << 2 | (flow->tos & ECN_MASK) : flow->tos;
	/* More than a packet can say is a packet that will be cut: the length is then the segments' matter. */
	header->ip.tot_len = length > 0xffff ? 0 : bpf_htons(length);
	header->ip.frag_off = bpf_htons(0x4000);
	header->ip.ttl = 64;
	header->ip.protocol = IPPROTO_UDP;
	header->ip.saddr = CONFIG.node_ip.words[3];
	header->ip.daddr = tunnel->node;
	header->ip.check = sum_ipv4(&header->ip);
	header->udp.source = bpf_htons(TUNNEL_PORT_FIRST + (flow_hash(flow) & TUNNEL_PORTS_MASK));
	header->udp.dest = bpf_htons(GENEVE_PORT);
	header->udp.len = length > 0xffff ? 0 : bpf_htons(length - sizeof(header->ip));
	header->geneve.version_and_words = (sizeof(header->option) + sizeof(header->identity)) / 4;
	header->geneve.flags = 0x40; /* has a critical option */
	header->geneve.protocol = bpf_htons(GENEVE_ETHERNET);
	header->geneve.vni = bpf_htonl(tunnel->vni << 8);
	header->option.class = bpf_htons(GENEVE_OPTION_CLASS);
	header->option.type = GENEVE_OPTION_CRITICAL | (tunnel->is_isolated ? GENEVE_OPTION_ISOLATED : GENEVE_OPTION_OPEN);
	header->option.words = sizeof(header->identity) / 4;
	header->identity = bpf_htonl(tunnel->identity);
	__builtin_memcpy(header->ethernet.h_dest, gateway, sizeof(gateway));
	__builtin_memcpy(header->ethernet.h_source, gateway, sizeof(gateway));
	header->ethernet.h_proto = bpf_htons(ETH_P_IP);
}

/* Puts the tunnel's headers before the packet. GSO stays: the segments get them when they are cut. Returns a drop reason. */
inlined int encapsulate(context *ctx, const struct flow *flow, const struct tunnel *tunnel)
{
	struct tunnel_header header __attribute__((aligned(8)));
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
		      BPF_F_ADJ_ROOM_ENCAP_L2(sizeof(struct ethhdr)) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH;

	fill_tunnel_header(&header, flow, tunnel);
	if (bpf_skb_adjust_room(ctx, sizeof(header), BPF_ADJ_ROOM_MAC, flags) < 0)
		return DROP_ENCAPSULATION;
	if (context_store(ctx, sizeof(struct ethhdr), &header, sizeof(header)) < 0)
		return DROP_ENCAPSULATION;
	return DROP_NONE;
}
#endif

/* What a tunnelled packet says of itself. */
struct arrival {
	/* That sent it. */
	__be32 node;
	__u32 vni;
	__u32 identity;
	/* Bytes from the start of the frame to the inner Ethernet header. */
	__u32 inner;
	/* And to the end of the outer packet. */
	__u32 end;
	__u8 is_isolated;
	__u8 has_identity;
	__u8 tos;
};

inlined int is_identity(const struct geneve_option *option)
{
	__u8 type = option->type & ~GENEVE_OPTION_CRITICAL;

	return option->class == bpf_htons(GENEVE_OPTION_CLASS) && (type == GENEVE_OPTION_OPEN || type == GENEVE_OPTION_ISOLATED);
}

inlined void take_identity(struct arrival *arrival, __u8 type, __be32 identity)
{
	arrival->has_identity = 1;
	arrival->identity = bpf_ntohl(identity);
	arrival->is_isolated = (type & ~GENEVE_OPTION_CRITICAL) == GENEVE_OPTION_ISOLATED;
}

/* Options as our own hosts send them: the identity and nothing else. */
struct own_options {
	struct geneve_option option;
	__be32 identity;
};

/* Options from `at` to the inner frame. Returns a drop reason. */
inlined int parse_options(context *ctx, struct arrival *arrival, __u32 at)
{
	const struct own_options *own = at + sizeof(*own) == arrival->inner ? context_at(ctx, at, sizeof(*own)) : NULL;

	if (own && is_identity(&own->option) && (own->option.words & 0x1f) * 4 == sizeof(own->identity)) {
		take_identity(arrival, own->option.type, own->identity);
		return DROP_NONE;
	}
	for (int i = 0; i < GENEVE_OPTIONS_MAX; i++) {
		struct geneve_option option;
		__u32 length;
		__be32 identity;

		if (at == arrival->inner)
			return DROP_NONE;
		if (at + sizeof(option) > arrival->inner || context_load(ctx, at, &option, sizeof(option)) < 0)
			return DROP_TUNNEL_MALFORMED;
		length = (option.words & 0x1f) * 4;
		if (at + sizeof(option) + length > arrival->inner)
			return DROP_TUNNEL_MALFORMED;
		if (is_identity(&option)) {
			if (length != sizeof(identity) || arrival->has_identity || context_load(ctx, at + sizeof(option), &identity, sizeof(identity)) < 0)
				return DROP_TUNNEL_MALFORMED;
			take_identity(arrival, option.type, identity);
		} else if (option.type & GENEVE_OPTION_CRITICAL) {
			return DROP_TUNNEL_OPTION;
		}
		at += sizeof(option) + length;
	}
	return at == arrival->inner ? DROP_NONE : DROP_TUNNEL_MALFORMED;
}

/* RFC 6040, section 4.2: what the inner header must say, or −1 when the packet must be dropped. */
inlined int combine_ecn(__u8 outer, __u8 inner)
{
	outer &= ECN_MASK;
	inner &= ECN_MASK;
	if (outer == ECN_CE)
		return inner == 0 ? -1 : ECN_CE;
	if (outer == ECN_ECT1 && inner == ECN_ECT0)
		return ECN_ECT1;
	return inner;
}

inlined int write_ecn(context *ctx, struct flow *flow, __u8 ecn)
{
	__u8 tos = (flow->tos & ~ECN_MASK) | ecn;

	if (tos == flow->tos)
		return DROP_NONE;
	/* The sum is over words: version and length come before the byte that changes. */
	if (rewrite_sum_l3(ctx, flow, bpf_htons(0x4500 | flow->tos), bpf_htons(0x4500 | tos), sizeof(__be16)) < 0 || context_store(ctx, flow->l3 + 1, &tos, sizeof(tos)) < 0)
		return DROP_MALFORMED;
	flow->tos = tos;
	return DROP_NONE;
}

/* Takes all before the inner frame away; flow's offsets follow. The Ethernet header is the caller's to write. Returns a drop reason. */
inlined int decapsulate(context *ctx, struct flow *flow, const struct arrival *arrival)
{
#ifdef HOOK_XDP
	if (bpf_xdp_adjust_head(ctx, arrival->inner) < 0)
		return DROP_ENCAPSULATION;
#else
	/* Takes from behind the outer Ethernet header, so what remains is one Ethernet header before the inner packet. */
	if (bpf_skb_adjust_room(ctx, -(__s32)arrival->inner, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) < 0)
		return DROP_ENCAPSULATION;
#endif
	flow->l3 -= arrival->inner;
	flow->l4 -= arrival->inner;
	return DROP_NONE;
}
