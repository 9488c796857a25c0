/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The chain of look-ups that Mizar makes for one packet of a pod under policy, in the worst case that is not a denial: its maps' types, key and
 * value sizes and order, written anew from its published design (docs/design/dp_network_policy.md, src/xdp/conntrack_common.h of
 * CentaurusInfra/mizar). Each packet asks for a random one of `entries` pods, so that caches are as warm as with so many pods.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ENTRIES_MAX 65536
#define FLOWS_MAX 50000

volatile __u32 entries = 1000;

struct pod_key { __u64 vni; __u32 ip; } __attribute__((packed));
struct port_key { __u64 vni; __u32 ip; __u8 protocol; __u16 port; } __attribute__((packed));
struct label_key { __u64 vni; __u32 label; } __attribute__((packed));
struct labels_key { __u64 vni; __u32 label; __u32 namespace_label; } __attribute__((packed));
struct block_key { __u32 prefix; __u64 vni; __u32 ip; __u32 remote; } __attribute__((packed));
struct flow_key { __u64 vni; __u32 from; __u32 to; __u16 from_port; __u16 to_port; __u8 protocol; } __attribute__((packed));

#define MAP(NAME, TYPE, KEY, VALUE, MAX, FLAGS) \
	struct { \
		__uint(type, TYPE); \
		__type(key, KEY); \
		__type(value, VALUE); \
		__uint(max_entries, MAX); \
		__uint(map_flags, FLAGS); \
	} NAME SEC(".maps")

MAP(enforce, BPF_MAP_TYPE_HASH, struct pod_key, __u8, ENTRIES_MAX, 0);
MAP(port, BPF_MAP_TYPE_HASH, struct port_key, __u64, ENTRIES_MAX, 0);
MAP(pod_label, BPF_MAP_TYPE_HASH, struct label_key, __u64, ENTRIES_MAX, 0);
MAP(namespace_label, BPF_MAP_TYPE_HASH, struct label_key, __u64, ENTRIES_MAX, 0);
MAP(both_labels, BPF_MAP_TYPE_HASH, struct labels_key, __u64, ENTRIES_MAX, 0);
MAP(block, BPF_MAP_TYPE_LPM_TRIE, struct block_key, __u64, ENTRIES_MAX, BPF_F_NO_PREALLOC);
MAP(block_with_except, BPF_MAP_TYPE_LPM_TRIE, struct block_key, __u64, ENTRIES_MAX, BPF_F_NO_PREALLOC);
MAP(except, BPF_MAP_TYPE_LPM_TRIE, struct block_key, __u64, ENTRIES_MAX, BPF_F_NO_PREALLOC);
MAP(flows, BPF_MAP_TYPE_LRU_HASH, struct flow_key, __u8, FLOWS_MAX, 0);

static __u64 bits(const __u64 *value)
{
	return value ? *value : 0;
}

static struct flow_key flow_of(__u32 pod)
{
	struct flow_key key = { .vni = 1, .from = 1, .to = pod, .from_port = 40000, .to_port = 80, .protocol = 6 };
	return key;
}

/** Fills the maps; run it once a pod, with `next` counting up. */
volatile __u32 next_pod;

SEC("xdp")
int mizar_fill(struct xdp_md *ctx)
{
	__u32 pod = next_pod++;
	struct pod_key at = { .vni = 1, .ip = pod };
	struct port_key any = { .vni = 1, .ip = pod }, http = { .vni = 1, .ip = pod, .protocol = 6, .port = 80 };
	struct label_key label = { .vni = 1, .label = pod };
	struct labels_key labels = { .vni = 1, .label = pod, .namespace_label = 1 };
	struct block_key remote = { .prefix = 128, .vni = 1, .ip = pod, .remote = 1 };
	struct flow_key flow = flow_of(pod);
	__u64 first = 1, last = 1ull << 63;
	__u8 one = 1;

	bpf_map_update_elem(&enforce, &at, &one, BPF_ANY);
	bpf_map_update_elem(&port, &any, &first, BPF_ANY);
	bpf_map_update_elem(&port, &http, &first, BPF_ANY);
	/* labels and blocks answer with rules that this port does not have, so that every look-up is made */
	bpf_map_update_elem(&pod_label, &label, &last, BPF_ANY);
	bpf_map_update_elem(&namespace_label, &label, &last, BPF_ANY);
	bpf_map_update_elem(&both_labels, &labels, &last, BPF_ANY);
	bpf_map_update_elem(&block, &remote, &last, BPF_ANY);
	bpf_map_update_elem(&block_with_except, &remote, &first, BPF_ANY);
	bpf_map_update_elem(&except, &remote, &last, BPF_ANY);
	bpf_map_update_elem(&flows, &flow, &one, BPF_ANY);
	return XDP_PASS;
}

/** What choosing a random pod costs; taken off the other figure. */
SEC("xdp")
int mizar_baseline(struct xdp_md *ctx)
{
	return bpf_get_prandom_u32() % (entries ?: 1) == ENTRIES_MAX ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int mizar_chain(struct xdp_md *ctx)
{
	__u32 pod = bpf_get_prandom_u32() % (entries ?: 1);
	struct pod_key at = { .vni = 1, .ip = pod };
	struct port_key any = { .vni = 1, .ip = pod }, http = { .vni = 1, .ip = pod, .protocol = 6, .port = 80 };
	struct label_key label = { .vni = 1, .label = pod };
	struct labels_key labels = { .vni = 1, .label = pod, .namespace_label = 1 };
	struct block_key remote = { .prefix = 128, .vni = 1, .ip = pod, .remote = 1 };
	struct flow_key flow = flow_of(pod);
	__u64 rules;
	__u8 one = 1;

	bpf_map_lookup_elem(&flows, &flow);
	if (!bpf_map_lookup_elem(&enforce, &at))
		return XDP_ABORTED;
	rules = bits(bpf_map_lookup_elem(&port, &any)) | bits(bpf_map_lookup_elem(&port, &http));
	if (!rules)
		return XDP_ABORTED;
	if (!(rules & bits(bpf_map_lookup_elem(&pod_label, &label))) &&
	    !(rules & bits(bpf_map_lookup_elem(&namespace_label, &label))) &&
	    !(rules & bits(bpf_map_lookup_elem(&both_labels, &labels))) &&
	    !(rules & bits(bpf_map_lookup_elem(&block, &remote))) &&
	    !(rules & bits(bpf_map_lookup_elem(&block_with_except, &remote)) &
	      ~bits(bpf_map_lookup_elem(&except, &remote))))
		return XDP_ABORTED;
	bpf_map_update_elem(&flows, &flow, &one, BPF_ANY);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
