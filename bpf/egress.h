/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks that the world is to see by addresses of their own. What their pods send there leaves by the host that has the address: its stack translates, and
 * knows the network by the packet's mark (packages/network/src/egress/egress-table.ts).
 */
#pragma once
#include "deliver.h"

inlined struct egress *find_egress(__u32 vni)
{
	struct egress_key key = { .vni = vni };

	return lookup(&egresses, &key);
}

inlined int deliver_to_world(context *ctx, struct flow *flow, __u32 vni)
{
	ctx->mark = EGRESS_MARK | vni;
	return deliver_to_host(ctx, flow);
}
