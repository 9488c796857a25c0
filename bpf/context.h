/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between the hooks, so that everything else is one source: tcx programs see an skb, XDP programs (built with -DHOOK_XDP) a frame before one
 * exists. Headers that every packet has are read where they lie, if they lie in the buffer's first piece, since each call of a helper costs 15 to 25 ns. All else
 * is read and written by copy, because that works for any layout of the buffer and leaves the verifier nothing to prove.
 */
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include "generated/layouts.h"

#define inlined static __always_inline
/* Verified once, by itself, and not again at every call: for what has so many ways through that a program's would be multiplied. */
#define separate __noinline

#ifdef HOOK_XDP
typedef struct xdp_md context;
#define VERDICT_DROP XDP_DROP
/* The next hook, and in the end the host's own stack, goes on with it. */
#define VERDICT_PASS XDP_PASS
#else
typedef struct __sk_buff context;
/* Values of enum tcx_action_base (linux/bpf.h of 6.6), equal to those of TC_ACT. */
#define VERDICT_DROP TC_ACT_SHOT
#define VERDICT_PASS TC_ACT_UNSPEC
#endif

inlined __u32 context_length(context *ctx)
{
#ifdef HOOK_XDP
	return (__u32)bpf_xdp_get_buff_len(ctx);
#else
	return ctx->len;
#endif
}

/* Negative: the packet is shorter. */
inlined long context_load(context *ctx, __u32 offset, void *to, __u32 length)
{
#ifdef HOOK_XDP
	return bpf_xdp_load_bytes(ctx, offset, to, length);
#else
	return bpf_skb_load_bytes(ctx, offset, to, length);
#endif
}

/* Where bytes of the packet lie; NULL: not in its first piece. Holds until a helper changes the packet. */
#ifndef context_at
/* What the verifier takes for an offset. */
#define DIRECT_BYTES_MAX 0x7fff

inlined void *context_at(context *ctx, __u32 offset, __u32 length)
{
	void *start = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (offset > DIRECT_BYTES_MAX || start + offset + length > end)
		return NULL;
	return start + offset;
}
#endif

/* As context_at(), or copied to `room`. NULL: the packet is shorter. */
inlined const void *context_see(context *ctx, __u32 offset, void *room, __u32 length)
{
	void *at = context_at(ctx, offset, length);

	if (at)
		return at;
	return context_load(ctx, offset, room, length) < 0 ? NULL : room;
}

/* Whether the packet has so many bytes. */
inlined int context_has(context *ctx, __u32 length)
{
#ifdef HOOK_XDP
	if (context_at(ctx, length, 0))
		return 1;
#endif
	return length <= context_length(ctx);
}

/* Sums are the caller's matter: see rewrite.h. */
inlined long context_store(context *ctx, __u32 offset, const void *from, __u32 length)
{
#ifdef HOOK_XDP
	return bpf_xdp_store_bytes(ctx, offset, (void *)from, length);
#else
	return bpf_skb_store_bytes(ctx, offset, from, length, 0);
#endif
}
