/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Services: from the address that a client asked for to a backend, and back.
 *
 * Agreed with the programs that call it (this block goes away when both are there):
 *
 * Called with the parsed flow, l3 and l4 offsets, protocol, ports, TCP flags, whether it is a fragment:
 *   int service_forward(struct __sk_buff *skb, struct flow *flow, __u32 origin);   origin: SERVICE_FROM_POD, _FROM_HOST, _FROM_WORLD
 *     before conntrack and policy. Returns SERVICE_PASS (no service: nothing touched, no map look-up unless its address is in a bitmap),
 *     SERVICE_TRANSLATED (packet and flow, also flow->vni, have the backend's address now; go on with conntrack and policy as usual, set CT_TRANSLATED
 *     in the entry; origin _FROM_WORLD: identity stays world also when the source has become the node's), SERVICE_DROP (flow->reason says why), SERVICE_ANSWERED
 *     (the skb has become an ICMP error or a reset that goes back to where it came from).
 *   int service_reverse(void *ctx, struct flow *flow);
 *     after conntrack said "established" with CT_TRANSLATED, for the direction of answers (a no-op in the other): source becomes the service again. Afterwards
 *     flow->vni 0 and flow->out_ifindex != 0 mean: not to a pod but out of that uplink by bpf_redirect_neigh (the source is this host's address, the host stack would take it for a martian).
 *     Also for ICMP errors that conntrack found to be about such a flow.
 * Wishes:
 *   - ct value: one flag bit CT_TRANSLATED, set when the packet that made or used the entry was translated; survives policy re-evaluation.
 *   - from_uplink (tcx): what is not GENEVE goes through service_forward(…, SERVICE_FROM_WORLD) first; PASS → host stack as now.
 *   - from_uplink: decapsulated, inner destination is this host's address: service_reverse() before it goes to the host stack (answers of node ports whose backend is on another host).
 *   - from_pod: an answer whose flow came by GENEVE from a node's address that is no pod's (node port on another host): back by GENEVE to that node, not to the host stack.
 *   - from_host on lo's tcx egress too (or a program `from_loopback`): node ports asked by this host itself; PASS → TC_ACT_UNSPEC at once.
 *   - a global with this host's own addresses or a flag for it in `nodes`: is_own_address(ip).
 *   - hairpin: service_forward makes the source 169.254.42.1; anti-spoof before it; the answer has that as destination, service_reverse makes it the pod's own.
 */
#pragma once
#include "flow.h"
#include "maps.h"
#include "rewrite.h"

enum service_origin { SERVICE_FROM_POD, SERVICE_FROM_HOST, SERVICE_FROM_WORLD };
enum service_outcome { SERVICE_PASS, SERVICE_TRANSLATED, SERVICE_DROP, SERVICE_ANSWERED };

/* Until the owner of this file fills them: there are no services. */
#ifndef HOOK_XDP
inlined int service_forward(context *ctx, struct flow *flow, enum service_origin origin)
{
	return SERVICE_PASS;
}
#endif

inlined int service_reverse(context *ctx, struct flow *flow)
{
	return SERVICE_PASS;
}
