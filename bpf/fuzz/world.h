/* SPDX-License-Identifier: Apache-2.0 */
/* One host with two pods, one other node, and policies that allow little; the same for every program and every input. */
#pragma once

#define IP(a, b, c, d) bpf_htonl((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define NODE_HERE IP(192, 168, 77, 1)
#define NODE_THERE IP(192, 168, 77, 2)
/* Has pods, which the other node may not play; its own frames are not believed here. */
#define NODE_ELSEWHERE IP(192, 168, 77, 3)
#define HOST_IP IP(10, 244, 1, 1)
#define POD_IP IP(10, 244, 1, 2)
#define NEIGHBOUR_IP IP(10, 244, 1, 3)
#define BLOCK_THERE IP(10, 244, 2, 0)
#define BLOCK_ELSEWHERE IP(10, 244, 3, 0)
#define VNI 1
#define POD_IDENTITY 256
#define FRIEND_IDENTITY 258
#define POD_IFINDEX 10
#define NEIGHBOUR_IFINDEX 11
#define HOST_IFINDEX 5
#define UPLINK_IFINDEX 2
#define POD_MTU 1442
#define POD_SET 1
#define OPEN_SET 2
#define FRIENDS_LIST 7
#define DENY_LIST 8
#define ALLOWED_TCP 80
#define ALLOWED_UDP 53

static const __u8 pod_mac[6] = { 0x0a, 0xce, 10, 244, 1, 2 };
static const __u8 neighbour_mac[6] = { 0x0a, 0xce, 10, 244, 1, 3 };

static void put_pod(__be32 ip, const __u8 *mac, __u32 ifindex, __u32 set)
{
	struct endpoint pod = { .ip = address_of(ip), .host_ip = address_of(ip), .vni = VNI, .ifindex = ifindex };
	struct endpoint_key key = { .vni = VNI, .ip = address_of(ip) };
	struct device_key device = { .ifindex = ifindex };

	pod.identity = POD_IDENTITY;
	pod.policy_set = set;
	pod.block_prefix = 24;
	memcpy(pod.mac, mac, sizeof(pod.mac));
	bpf_map_update_elem(&endpoints, &key, &pod, BPF_ANY);
	key.vni = 0;
	bpf_map_update_elem(&endpoints, &key, &pod, BPF_ANY);
	bpf_map_update_elem(&devices, &device, &pod, BPF_ANY);
}

/* TCP and UDP have one port each that friends may use. */
static void put_lists(void)
{
	struct list friends = { .count = 7 }, deny = { .count = 1 };
	struct list_key friends_key = { .id = FRIENDS_LIST }, deny_key = { .id = DENY_LIST };
	static const struct {
		__u32 start;
		__u8 verdict;
	} segments[] = { { 0, SEGMENT_DENY },
			 { ALLOWED_TCP, SEGMENT_ALLOW },
			 { ALLOWED_TCP + 1, SEGMENT_DENY },
			 { (1 << 16) + ALLOWED_UDP, SEGMENT_ALLOW },
			 { (1 << 16) + ALLOWED_UDP + 1, SEGMENT_DENY },
			 { 2 << 16, SEGMENT_DENY },
			 { 3 << 16, SEGMENT_DENY } };

	for (int i = 0; i < 7; i++) {
		friends.segments[i].start = segments[i].start;
		friends.segments[i].verdict = segments[i].verdict;
	}
	deny.segments[0].verdict = SEGMENT_DENY;
	bpf_map_update_elem(&lists, &friends_key, &friends, BPF_ANY);
	bpf_map_update_elem(&lists, &deny_key, &deny, BPF_ANY);
}

static void put_route(__be32 block, __be32 node)
{
	struct route route = { .node = address_of(node), .ifindex = UPLINK_IFINDEX };
	struct route_key key = { .domain = 0, .block = address_of(block) };

	bpf_map_update_elem(&routes, &key, &route, BPF_ANY);
}

static void put_world(void)
{
	struct node node = {};
	struct node_key node_key = { .ip = address_of(NODE_THERE) };
	struct pair_key pair_key = { .set = POD_SET, .peer = FRIEND_IDENTITY };
	struct pair pair = { .ingress = FRIENDS_LIST };

	state.config.node_ip = address_of(NODE_HERE);
	state.config.host_ip = address_of(HOST_IP);
	state.config.host_ifindex = HOST_IFINDEX;
	state.config.uplink_ifindex = UPLINK_IFINDEX;
	state.config.pod_mtu = POD_MTU;
	state.config.block_prefix = 24;
	state.config.own_address_count = 1;
	state.config.own_addresses[0] = address_of(NODE_HERE);
	state.sets[POD_SET].flags = SET_USED;
	state.sets[POD_SET].ingress_others = DENY_LIST;
	state.sets[OPEN_SET].flags = SET_USED;
	state.sets[OPEN_SET].ingress_others = LIST_OPEN;
	for (int set = POD_SET; set <= OPEN_SET; set++)
		state.sets[set].egress_to_pods = state.sets[set].egress_outside = LIST_OPEN;
	put_pod(POD_IP, pod_mac, POD_IFINDEX, POD_SET);
	put_pod(NEIGHBOUR_IP, neighbour_mac, NEIGHBOUR_IFINDEX, OPEN_SET);
	put_lists();
	put_route(BLOCK_THERE, NODE_THERE);
	put_route(BLOCK_ELSEWHERE, NODE_ELSEWHERE);
	bpf_map_update_elem(&nodes, &node_key, &node, BPF_ANY);
	bpf_map_update_elem(&pairs, &pair_key, &pair, BPF_ANY);
}

static context fuzz_context;

static void set_length(void *ctx, __u32 length)
{
	packet.length = length;
#ifndef HOOK_XDP
	fuzz_context.len = length;
#endif
}

/* Nothing is remembered from one input to the next. */
static void begin(const __u8 *data, size_t size, __u32 ifindex)
{
	static int is_ready;

	if (!is_ready) {
		put_world();
		is_ready = 1;
	}
	table_clear(&ct);
	table_clear(&service_flows);
	table_clear(&fragments);
	table_clear(&rule_hits);
	memset(&redirected, 0, sizeof(redirected));
	memset(&fuzz_context, 0, sizeof(fuzz_context));
	kernel_time += 1;
	packet.start = PACKET_HEADROOM;
	/* The last byte, which no program looks at, says how the buffer lies. */
	packet.first_piece = data[size - 1] & 1 ? data[size - 1] : PACKET_BYTES_MAX;
	memcpy(packet.bytes + packet.start, data, size);
	set_length(&fuzz_context, size);
#ifdef HOOK_XDP
	fuzz_context.ingress_ifindex = ifindex;
#else
	fuzz_context.ifindex = ifindex;
#endif
}
