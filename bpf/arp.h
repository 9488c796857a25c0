/* SPDX-License-Identifier: Apache-2.0 */
/* Programs answer ARP themselves. */
#pragma once
#include "rewrite.h"

#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ARP_ETHERNET 1

/* RFC 826, for Ethernet and IPv4. */
struct arp_packet {
	__be16 hardware, protocol;
	__u8 hardware_length, protocol_length;
	__be16 operation;
	__u8 sender_mac[6];
	__be32 sender_ip;
	__u8 target_mac[6];
	__be32 target_ip;
} __attribute__((packed));

/* Makes an answer of a request: every address is at the gateway. False: nothing to answer. A pod that asks for its own address looks for duplicates. */
inlined int answer_arp(context *ctx, __be32 own)
{
	struct ethhdr eth = { .h_source = GATEWAY_MAC_BYTES, .h_proto = bpf_htons(ETH_P_ARP) };
	struct arp_packet arp;
	__u8 gateway[6] = GATEWAY_MAC_BYTES;
	__be32 asked;

	if (context_load(ctx, sizeof(eth), &arp, sizeof(arp)) < 0)
		return 0;
	if (arp.hardware != bpf_htons(ARP_ETHERNET) || arp.protocol != bpf_htons(ETH_P_IP) || arp.operation != bpf_htons(ARP_REQUEST) || arp.target_ip == own)
		return 0;
	asked = arp.target_ip;
	arp.operation = bpf_htons(ARP_REPLY);
	arp.target_ip = arp.sender_ip;
	__builtin_memcpy(arp.target_mac, arp.sender_mac, sizeof(arp.target_mac));
	arp.sender_ip = asked;
	__builtin_memcpy(arp.sender_mac, gateway, sizeof(gateway));
	__builtin_memcpy(eth.h_dest, arp.target_mac, sizeof(eth.h_dest));
	return context_store(ctx, 0, &eth, sizeof(eth)) == 0 && context_store(ctx, sizeof(eth), &arp, sizeof(arp)) == 0;
}
