/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of the data plane's programs, many times in one run on the same frame, which is made new before each: so that neither the harness nor caches that a system
 * call has emptied count. HOT_SOURCE is the program's source with its entry made a global function, HOT_PROGRAM.
 */
#include HOT_SOURCE

#define ROUNDS 100
#define FRAME_BYTES 128
/* What a tunnel adds, and takes away. */
#define TUNNEL 58

struct hot {
	__u32 length;
	/* Where a port is that takes so many values, from packet to packet; 0: it stays. */
	__u32 port_offset;
	__u32 ports;
	/* Not 0: all but the program. */
	__u32 is_baseline;
	/* What the program is to answer; others are counted in `wrong`. */
	__s32 verdict;
	__u32 wrong;
	__u32 count;
	/* Bytes by which the program makes the frame longer. */
	__s32 growth;
	__u8 frame[FRAME_BYTES];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct hot);
	__uint(max_entries, 1);
} hot_map SEC(".maps");

static __always_inline long resize(context *ctx, __s32 by)
{
#ifdef HOOK_XDP
	return bpf_xdp_adjust_head(ctx, -by);
#else
	return bpf_skb_adjust_room(ctx, by, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
#endif
}

static __always_inline void hot_once(context *ctx, struct hot *hot)
{
	__u32 length = hot->length;
	__be16 port;

	if (length < 1 || length > FRAME_BYTES || context_store(ctx, 0, hot->frame, length) < 0) {
		hot->wrong++;
		return;
	}
	if (hot->port_offset) {
		port = bpf_htons(1024 + hot->count++ % (hot->ports ?: 1));
		context_store(ctx, hot->port_offset, &port, sizeof(port));
	}
	if (!hot->is_baseline) {
		if (HOT_PROGRAM(ctx) != hot->verdict)
			hot->wrong++;
	} else if (hot->growth && resize(ctx, hot->growth) < 0) {
		hot->wrong++;
	}
	if (hot->growth && resize(ctx, -hot->growth) < 0)
		hot->wrong++;
}

#ifdef HOOK_XDP
SEC("xdp.frags")
#else
SEC("tc")
#endif
int hot(context *ctx)
{
	__u32 zero = 0;
	struct hot *hot = bpf_map_lookup_elem(&hot_map, &zero);

	if (!hot)
		return VERDICT_DROP;
	/* the verifier looks at the program once, because it is global, and walks this loop; a callback would cost stack, of which the programs need nearly all */
#pragma clang loop unroll(disable)
	for (int i = 0; i < ROUNDS; i++)
		hot_once(ctx, hot);
	return VERDICT_PASS;
}
