/* SPDX-License-Identifier: Apache-2.0 */
/* XDP on an uplink with a driver for it: packets of the tunnel to pods of this host, before an skb exists. The rest is for from_uplink. */
#define HOOK_XDP
#include "uplink.h"

SEC("xdp.frags")
int from_uplink_xdp(context *ctx)
{
	struct arrival arrival = {};
	struct flow flow = {};
	struct endpoint *pod;
	struct outer outer __attribute__((aligned(8)));
	int reason;

	if (context_load(ctx, 0, &outer, sizeof(outer)) < 0 || !is_tunnelled(&outer))
		return VERDICT_PASS;
	reason = receive_tunnelled(ctx, &outer, &arrival, &flow);
	if (reason != DROP_NONE)
		return DROP(ctx, &flow, reason, INGRESS);
	pod = find_endpoint(flow.vni, flow.destination);
	if (!pod)
		return VERDICT_PASS;
	return arrive_at_pod(ctx, &flow, &arrival, pod);
}

char LICENSE[] SEC("license") = "Apache-2.0";
