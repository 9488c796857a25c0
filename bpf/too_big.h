/* SPDX-License-Identifier: Apache-2.0 */
/* Tells a pod that its packet does not fit the tunnel. */
#pragma once
#include "parse.h"
#include "rewrite.h"
#include "verdict.h"

#define ICMP_FRAGMENTATION_NEEDED 4
/* Source of what the gateway itself says: the next hop in every pod's routes. */
#define GATEWAY_IP bpf_htonl(0xa9fe0101) /* 169.254.1.1 */

/* RFC 792 and RFC 1191: the head of the packet that was too big, and the size that fits. */
struct icmp_error {
	struct iphdr ip;
	__u8 type, code;
	__be16 checksum;
	__be16 unused;
	__be16 mtu;
	struct iphdr quoted;
	__be32 quoted_words[2];
};
_Static_assert(sizeof(struct icmp_error) == 56, "icmp_error");

/* Makes the packet an ICMP error that tells its sender the size that fits. Returns a drop reason. */
static __noinline int answer_too_big(context *ctx, struct flow *flow)
{
	struct icmp_error error = {};
	struct ethhdr eth;
	__u8 gateway[6] = GATEWAY_MAC_BYTES;

	if (context_load(ctx, flow->l3, &error.quoted, sizeof(error.quoted) + sizeof(error.quoted_words)) < 0 || context_load(ctx, 0, &eth, sizeof(eth)) < 0)
		return DROP_TOO_BIG;
	error.ip.version = 4;
	error.ip.ihl = 5;
	error.ip.tot_len = bpf_htons(sizeof(error));
	error.ip.ttl = 64;
	error.ip.protocol = IPPROTO_ICMP;
	error.ip.saddr = GATEWAY_IP;
	error.ip.daddr = flow->source;
	error.ip.check = sum_ipv4(&error.ip);
	error.type = ICMP_UNREACHABLE;
	error.code = ICMP_FRAGMENTATION_NEEDED;
	error.mtu = bpf_htons(CONFIG.pod_mtu);
	error.checksum = checksum_fold(bpf_csum_diff(0, 0, (__be32 *)&error.type, sizeof(error) - sizeof(error.ip), 0));
	__builtin_memcpy(eth.h_dest, eth.h_source, sizeof(eth.h_dest));
	__builtin_memcpy(eth.h_source, gateway, sizeof(gateway));
	if (bpf_skb_change_tail(ctx, sizeof(eth) + sizeof(error), 0) < 0)
		return DROP_TOO_BIG;
	if (context_store(ctx, 0, &eth, sizeof(eth)) < 0 || context_store(ctx, sizeof(eth), &error, sizeof(error)) < 0)
		return DROP_TOO_BIG;
	return DROP_NONE;
}
