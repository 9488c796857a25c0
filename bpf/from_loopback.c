/* SPDX-License-Identifier: Apache-2.0 */
/* tcx egress of the loopback device: what this host asks of Services at an address of its own, such as node ports. All else passes after one look at it. */
#include "host.h"

SEC("tc")
int from_loopback(context *ctx)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
	} __attribute__((packed)) head;
	struct flow flow = {};

	if (context_load(ctx, 0, &head, sizeof(head)) < 0 || head.eth.h_proto != bpf_htons(ETH_P_IP))
		return VERDICT_PASS;
	if (!is_own_address(head.ip.daddr) && !may_be_service(head.ip.daddr))
		return VERDICT_PASS;
	if (parse_ipv4(ctx, sizeof(head.eth), &flow) != DROP_NONE || resolve_fragment(&flow) != DROP_NONE)
		return VERDICT_PASS;
	switch (service_forward(ctx, &flow, SERVICE_FROM_HOST)) {
	case SERVICE_DROP:
		return drop(ctx, &flow, INGRESS);
	case SERVICE_ANSWERED:
		return deliver_to_loopback(ctx, &flow);
	case SERVICE_TRANSLATED:
		return send_translated(ctx, &flow);
	default:
		return VERDICT_PASS;
	}
}

char LICENSE[] SEC("license") = "Apache-2.0";
