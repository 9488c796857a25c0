/* SPDX-License-Identifier: Apache-2.0 */
/* tcx egress of the host's end of the pod network: what this host's stack sends, or forwards, to pods and Services. */
#include "arp.h"
#include "egress.h"
#include "host.h"

/* Answers of the world to a pod of another host, by the address that this host's stack has for it. */
inlined int send_to_alias(context *ctx, struct flow *flow)
{
	struct alias *alias = find_alias(0, flow->destination);
	int reason = alias ? translate_alias(ctx, flow, REWRITE_DESTINATION, alias) : DROP_NO_ENDPOINT;

	if (reason != DROP_NONE || !alias)
		return DROP(ctx, flow, reason, INGRESS);
	flow->vni = alias->vni;
	return send_away(ctx, flow);
}

/* What may be for a Service at an address outside of the cluster: OUTSIDE_MAC of packages/network/src/layouts. */
inlined int is_for_outside(const struct ethhdr *eth)
{
	const __u8 outside[6] = { 0x02, 0xce, 0x47, 0x00, 0x00, 0x03 };
	int differs = 0;

#pragma unroll
	for (int i = 0; i < ETH_ALEN; i++)
		differs |= eth->h_dest[i] ^ outside[i];
	return !differs;
}

/* It is for no port of a Service: whoever else has the address is asked, as if there were no Service. */
inlined int leave_for_outside(context *ctx, struct flow *flow)
{
	if (!CONFIG.uplink_ifindex)
		return DROP(ctx, flow, DROP_NO_ROUTE, INGRESS);
	note_target(CONFIG.uplink_ifindex);
	return bpf_redirect_neigh(CONFIG.uplink_ifindex, 0, 0, 0);
}

SEC("tc")
int from_host(context *ctx)
{
	struct flow flow = {};
	struct endpoint *pod;
	const struct ethhdr *eth;
	struct ethhdr copy;
	int reason, is_outside;

	eth = context_see(ctx, 0, &copy, sizeof(copy));
	if (!eth)
		return DROP(ctx, &flow, DROP_TRUNCATED, INGRESS);
	if (eth->h_proto == bpf_htons(ETH_P_ARP)) {
		note_target(CONFIG.host_ifindex);
		return answer_arp(ctx, 0) ? bpf_redirect(CONFIG.host_ifindex, BPF_F_INGRESS) : VERDICT_DROP;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return DROP(ctx, &flow, DROP_IPV6, INGRESS);
	if (eth->h_proto != bpf_htons(ETH_P_IP) || ctx->vlan_present)
		return DROP(ctx, &flow, DROP_ETHER_TYPE, INGRESS);
	is_outside = is_for_outside(eth);
	reason = parse_ipv4(ctx, sizeof(*eth), &flow);
	if (reason == DROP_NONE && !is_alias(flow.destination))
		reason = check_unicast(flow.destination);
	if (reason == DROP_NONE)
		reason = resolve_fragment(&flow);
	if (reason != DROP_NONE)
		return DROP(ctx, &flow, reason, INGRESS);
	if (is_alias(flow.destination))
		return send_to_alias(ctx, &flow);
	/* What the stack forwards is of somebody whose own network says what Services there are. */
	switch (is_own_packet(ctx) ? service_forward(ctx, &flow, SERVICE_FROM_HOST) : SERVICE_PASS) {
	case SERVICE_DROP:
		return drop(ctx, &flow, INGRESS);
	case SERVICE_ANSWERED:
		note_target(CONFIG.host_ifindex);
		return bpf_redirect(CONFIG.host_ifindex, BPF_F_INGRESS);
	case SERVICE_TRANSLATED:
		return send_translated(ctx, &flow);
	}
	if (is_outside)
		return leave_for_outside(ctx, &flow);
	pod = find_endpoint(0, flow.destination);
	return pod ? send_to_own_pod(ctx, &flow, pod, 0) : send_away(ctx, &flow);
}

char LICENSE[] SEC("license") = "Apache-2.0";
