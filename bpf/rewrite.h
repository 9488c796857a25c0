/* SPDX-License-Identifier: Apache-2.0 */
/* Changes addresses and ports in a packet and its flow together, with all sums. */
#pragma once
#include "sctp.h"

#define GATEWAY_MAC_BYTES { 0x02, 0xce, 0x47, 0x00, 0x00, 0x01 }

enum rewrite_end { REWRITE_SOURCE, REWRITE_DESTINATION };

/* Offset of the checksum in the layer 4 header; -1: has none that covers addresses (SCTP's covers ports alone: see sctp.h). */
inlined int checksum_offset(__u8 protocol)
{
	if (protocol == IPPROTO_TCP)
		return __builtin_offsetof(struct tcphdr, check);
	if (protocol == IPPROTO_UDP)
		return __builtin_offsetof(struct udphdr, check);
	return -1;
}

/* RFC 1624, equation 3. */
inlined __u16 checksum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* Of fields of any type. */
typedef __u16 __attribute__((may_alias)) sum_word;

/* Of a header without options whose own sum is 0; 0 of one whose sum is right (RFC 1071). Ten additions are sooner done than a helper is called. */
inlined __u16 sum_ipv4(const struct iphdr *ip)
{
	const sum_word *words = (const sum_word *)ip;
	__u32 sum = 0;

#pragma unroll
	for (__u32 i = 0; i < sizeof(*ip) / sizeof(*words); i++)
		sum += words[i];
	return checksum_fold(sum);
}

#ifdef HOOK_XDP

inlined long replace_sum(context *ctx, __u32 offset, __be32 from, __be32 to, int is_udp)
{
	__u16 sum;
	__s64 updated;

	if (context_load(ctx, offset, &sum, sizeof(sum)) < 0)
		return -1;
	if (is_udp && sum == 0)
		return 0;
	updated = bpf_csum_diff(&from, sizeof(from), &to, sizeof(to), (__u16)~sum);
	sum = checksum_fold((__u32)updated);
	if (is_udp && sum == 0)
		sum = 0xffff;
	return context_store(ctx, offset, &sum, sizeof(sum));
}
#endif

/* `size`: 2 or 4 bytes that were `from` and are `to`. */
inlined long rewrite_sum_l3(context *ctx, const struct flow *flow, __be32 from, __be32 to, __u32 size)
{
	__u32 offset = flow->l3 + __builtin_offsetof(struct iphdr, check);

#ifdef HOOK_XDP
	return replace_sum(ctx, offset, from, to, 0);
#else
	return bpf_l3_csum_replace(ctx, offset, from, to, size);
#endif
}

/* `pseudo`: BPF_F_PSEUDO_HDR for addresses, 0 for ports. */
inlined long rewrite_sum_l4(context *ctx, const struct flow *flow, __be32 from, __be32 to, __u64 pseudo)
{
	int is_udp = flow->protocol == IPPROTO_UDP;
	int offset = checksum_offset(flow->protocol);

	if (offset < 0 || (flow->flags & FLOW_LATER_FRAGMENT))
		return 0;
#ifdef HOOK_XDP
	return replace_sum(ctx, flow->l4 + offset, from, to, is_udp);
#else
	/* Without BPF_F_MARK_ENFORCE a UDP sum of 0 (none) would get a value. */
	return bpf_l4_csum_replace(ctx, flow->l4 + offset, from, to, (is_udp ? BPF_F_MARK_MANGLED_0 : 0) | pseudo | (pseudo ? 4 : 2));
#endif
}

/* Returns a drop reason. */
inlined int rewrite_address(context *ctx, struct flow *flow, enum rewrite_end end, __be32 to)
{
	__be32 *own = end == REWRITE_SOURCE ? &flow->source : &flow->destination;
	__be32 from = *own;
	__u32 offset = flow->l3 + (end == REWRITE_SOURCE ? __builtin_offsetof(struct iphdr, saddr) : __builtin_offsetof(struct iphdr, daddr));

	if (from == to)
		return DROP_NONE;
	if (rewrite_sum_l4(ctx, flow, from, to, BPF_F_PSEUDO_HDR) < 0 || rewrite_sum_l3(ctx, flow, from, to, sizeof(to)) < 0 || context_store(ctx, offset, &to, sizeof(to)) < 0)
		return DROP_MALFORMED;
	*own = to;
	return DROP_NONE;
}

/* Host byte order. Returns a drop reason. */
inlined int rewrite_port(context *ctx, struct flow *flow, enum rewrite_end end, __u16 to)
{
	__u16 *own = end == REWRITE_SOURCE ? &flow->source_port : &flow->destination_port;
	__be16 from_wire = bpf_htons(*own), to_wire = bpf_htons(to);
	__u32 offset = flow->l4 + (end == REWRITE_SOURCE ? 0 : 2);

	if (*own == to)
		return DROP_NONE;
	*own = to;
	if (flow->flags & FLOW_LATER_FRAGMENT)
		return DROP_NONE;
	if (flow->protocol == PROTOCOL_SCTP && sctp_sum_ports(ctx, flow, (__u32)(from_wire ^ to_wire) << (end == REWRITE_SOURCE ? 0 : 16)) < 0)
		return DROP_SERVICE_TRANSLATION;
	if (rewrite_sum_l4(ctx, flow, from_wire, to_wire, 0) < 0 || context_store(ctx, offset, &to_wire, sizeof(to_wire)) < 0)
		return DROP_MALFORMED;
	return DROP_NONE;
}

/*
 * An address in the header that an ICMP error quotes. The quoted header's own sum takes up the change, so the error's sum stays what it is. `field` is the
 * address' offset in the header.
 */
inlined int rewrite_quoted_address(context *ctx, const struct flow *flow, __u32 field, __be32 to)
{
	__u32 header = flow->l4 + 8, sum_offset = header + __builtin_offsetof(struct iphdr, check);
	__be32 from;
	__u16 sum;
	__u32 changed;

	if (context_load(ctx, header + field, &from, sizeof(from)) < 0 || context_load(ctx, sum_offset, &sum, sizeof(sum)) < 0)
		return DROP_MALFORMED;
	changed = bpf_csum_diff(&from, sizeof(from), &to, sizeof(to), (__u16)~sum);
	sum = checksum_fold(changed);
	if (context_store(ctx, header + field, &to, sizeof(to)) < 0 || context_store(ctx, sum_offset, &sum, sizeof(sum)) < 0)
		return DROP_MALFORMED;
	return DROP_NONE;
}

/* The address that a pod's host knows it by, for the pod's own, or the other way; also where an ICMP error quotes it. */
inlined int translate_host_address(context *ctx, struct flow *flow, enum rewrite_end end, __be32 to)
{
	__u32 quoted = end == REWRITE_SOURCE ? __builtin_offsetof(struct iphdr, daddr) : __builtin_offsetof(struct iphdr, saddr);
	int reason = DROP_NONE;

	if (to == (end == REWRITE_SOURCE ? flow->source : flow->destination))
		return DROP_NONE;
	if (flow->flags & FLOW_ICMP_ERROR)
		reason = rewrite_quoted_address(ctx, flow, quoted, to);
	return reason == DROP_NONE ? rewrite_address(ctx, flow, end, to) : reason;
}

/* The Ethernet header of a frame that goes to a pod or to the host's stack: every way between them is by the gateway's address. */
inlined int write_ethernet(context *ctx, const __u8 *destination)
{
	struct ethhdr eth = { .h_source = GATEWAY_MAC_BYTES, .h_proto = bpf_htons(ETH_P_IP) };
#ifdef HOOK_XDP
	struct ethhdr *at = context_at(ctx, 0, sizeof(eth));
#endif

	__builtin_memcpy(eth.h_dest, destination, sizeof(eth.h_dest));
#ifdef HOOK_XDP
	if (at) {
		*at = eth;
		return DROP_NONE;
	}
#endif
	return context_store(ctx, 0, &eth, sizeof(eth)) < 0 ? DROP_MALFORMED : DROP_NONE;
}
