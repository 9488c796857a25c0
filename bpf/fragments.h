/* SPDX-License-Identifier: Apache-2.0 */
/* Later fragments have no ports: they go where the first one did. One that comes before it is dropped; its sender sends all again. */
#pragma once
#include "verdict.h"

/* RFC 791's upper bound for reassembly is 15 s; Linux keeps 30. */
#define FRAGMENT_SECONDS 30

/* Needs flow->vni. Returns a drop reason. */
inlined int resolve_fragment(struct flow *flow)
{
	struct fragment_key key = {
		.vni = flow->vni,
		.protocol = flow->protocol,
		.source = flow->source,
		.destination = flow->destination,
		.id = flow->id,
	};

	if (flow->flags & FLOW_FIRST_FRAGMENT) {
		struct fragment value = {
			.source_port = flow->source_port,
			.destination_port = flow->destination_port,
			.seen = coarse_seconds(),
		};

		bpf_map_update_elem(&fragments, &key, &value, BPF_ANY);
	} else if (flow->flags & FLOW_LATER_FRAGMENT) {
		struct fragment *first = lookup(&fragments, &key);

		if (!first || coarse_seconds() - first->seen > FRAGMENT_SECONDS)
			return DROP_FRAGMENT_UNKNOWN;
		flow->source_port = first->source_port;
		flow->destination_port = first->destination_port;
	}
	return DROP_NONE;
}
