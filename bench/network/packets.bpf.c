/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A generator of packets, which the kernel runs on frames of its own (BPF_F_TEST_XDP_LIVE_FRAMES), and a sink that counts. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define TEMPLATE_BYTES 256

struct template {
	/* The device that it leaves by. */
	__u32 ifindex;
	__u32 length;
	/* Where two bytes of a port are that change from packet to packet, through so many values; 0: nothing changes. */
	__u32 port_offset;
	__u32 ports;
	__u8 bytes[TEMPLATE_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct template);
	__uint(max_entries, 1);
} templates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 2);
} counts SEC(".maps");

static __u64 count(__u32 at)
{
	__u64 *value = bpf_map_lookup_elem(&counts, &at);

	return value ? (*value)++ : 0;
}

/* Frames come back and are used again, changed by whoever had them: each is written anew. */
SEC("xdp")
int send(struct xdp_md *ctx)
{
	__u32 zero = 0, length;
	struct template *template = bpf_map_lookup_elem(&templates, &zero);
	__be16 port;

	if (!template)
		return XDP_ABORTED;
	length = template->length;
	if (length < 1 || length > TEMPLATE_BYTES || bpf_xdp_store_bytes(ctx, 0, template->bytes, length) < 0)
		return XDP_ABORTED;
	if (template->port_offset) {
		port = bpf_htons(1024 + count(0) % (template->ports ?: 1));
		bpf_xdp_store_bytes(ctx, template->port_offset, &port, sizeof(port));
	}
	return bpf_redirect(template->ifindex, 0);
}

SEC("xdp")
int sink(struct xdp_md *ctx)
{
	count(1);
	return XDP_DROP;
}

/* What bpf_redirect_peer() brings passes no XDP. */
SEC("tc")
int sink_tc(struct __sk_buff *skb)
{
	count(1);
	return 2; /* TC_ACT_SHOT */
}

char _license[] SEC("license") = "Dual BSD/GPL";
