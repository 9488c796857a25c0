/* SPDX-License-Identifier: Apache-2.0 */
/* XDP on an uplink with a driver for it: packets of the tunnel to pods of this host, before an skb exists. The rest is for from_uplink. */
#define HOOK_XDP
#include "uplink.h"

SEC("xdp.frags")
int from_uplink_xdp(context *ctx)
{
	const struct outer *outer = context_at(ctx, 0, sizeof(*outer));
	struct arrival arrival = {};
	struct flow flow = {};
	struct endpoint *pod;
	int reason;

	if (!outer || !is_tunnelled(outer))
		return VERDICT_PASS;
	reason = receive_tunnelled(ctx, outer, &arrival, &flow);
	if (reason != DROP_NONE)
		return DROP(ctx, &flow, reason, INGRESS);
	pod = find_endpoint(flow.vni, flow.destination);
	/* Drivers put all headers into the first piece of a frame's buffer, and only from there a tunnel's can be taken off. */
	if (!pod || !context_at(ctx, arrival.inner, ETH_HLEN))
		return VERDICT_PASS;
	return arrive_at_pod(ctx, &flow, &arrival, pod);
}

char LICENSE[] SEC("license") = "Apache-2.0";
