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

/* Whether a block of this host's stack stands for the address' own: see alias_key. */
inlined int is_alias(__be32 ip)
{
	return bpf_ntohl(ip) >> 24 == ALIAS_BYTE;
}

/* Network 0: from what the stack knows to the pod's own. */
inlined struct alias *find_alias(__u32 vni, __be32 ip)
{
	struct alias_key key = { .vni = vni, .block = address_of(block_of(ip, VPC_BLOCK_PREFIX)) };

	return lookup(&aliases, &key);
}

/* Returns a drop reason. */
inlined int translate_alias(context *ctx, struct flow *flow, enum rewrite_end end, const struct alias *alias)
{
	__be32 ip = end == REWRITE_SOURCE ? flow->source : flow->destination;

	return translate_host_address(ctx, flow, end, ipv4_of(&alias->block) | (ip ^ block_of(ip, VPC_BLOCK_PREFIX)));
}

inlined int deliver_to_world(context *ctx, struct flow *flow, __u32 vni)
{
	ctx->mark = EGRESS_MARK | vni;
	return deliver_to_host(ctx, flow);
}
