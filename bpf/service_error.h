/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors about translated flows: the header that they quote is translated as well, or its receiver would not know what they are about (RFC 5508). */
#pragma once
#include "parse.h"
#include "rewrite.h"
#include "service_tables.h"

inlined long rewrite_quoted_port(context *ctx, const struct flow *flow, __u32 offset, __u16 from, __u16 to)
{
	__be16 from_wire = bpf_htons(from), to_wire = bpf_htons(to);
	__u32 sum = flow->l4 + __builtin_offsetof(struct icmp_head, checksum);

	if (from == to)
		return 0;
#ifdef HOOK_XDP
	if (replace_sum(ctx, sum, from_wire, to_wire, 0) < 0)
		return -1;
#else
	if (bpf_l4_csum_replace(ctx, sum, from_wire, to_wire, sizeof(to_wire)) < 0)
		return -1;
#endif
	return context_store(ctx, offset, &to_wire, sizeof(to_wire));
}

/* `to`: what the answer to the quoted packet becomes. Returns a drop reason. A UDP sum in the quoted header stays as it was: nobody checks it. */
inlined int rewrite_quoted(context *ctx, struct flow *flow, const struct flow *quoted, const struct service_flow *to)
{
	__u32 ports = flow->l4 + sizeof(struct icmp_head) + sizeof(struct iphdr);
	int reason = rewrite_quoted_address(ctx, flow, __builtin_offsetof(struct iphdr, saddr), to->destination);

	if (reason == DROP_NONE)
		reason = rewrite_quoted_address(ctx, flow, __builtin_offsetof(struct iphdr, daddr), to->source);
	if (reason == DROP_NONE && (rewrite_quoted_port(ctx, flow, ports, quoted->source_port, to->destination_port) < 0 ||
				    rewrite_quoted_port(ctx, flow, ports + 2, quoted->destination_port, to->source_port) < 0))
		reason = DROP_MALFORMED;
	/* The error of a router on the way keeps its own source. */
	if (reason == DROP_NONE && flow->source == quoted->destination)
		reason = rewrite_address(ctx, flow, REWRITE_SOURCE, to->source);
	return reason == DROP_NONE ? rewrite_address(ctx, flow, REWRITE_DESTINATION, to->destination) : reason;
}
