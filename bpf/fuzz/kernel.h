/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of the kernel as the programs use, in user space: one packet, tables that are short lists, and helpers that do what bpf-helpers(7) says, so that
 * a fuzzer can run the programs' own sources with every check of its compiler.
 */
#pragma once
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>

#define SEC(name)
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define __noinline __attribute__((noinline))

#define PACKET_BYTES_MAX 4096
#define PACKET_HEADROOM 256
#define TABLE_ENTRIES_MAX 64
#define TABLE_TABLES_MAX 24
#define TABLE_BYTES_MAX 1024

static struct {
	__u8 bytes[PACKET_HEADROOM + PACKET_BYTES_MAX];
	__u32 start;
	__u32 length;
	/* Bytes from the start on that a program may read where they lie. */
	__u32 first_piece;
} packet;

/* Where the last redirect leads. */
static struct {
	__u32 ifindex;
	int is_neigh;
} redirected;

static __u64 kernel_time;

static void *packet_at(__u32 offset, __u32 length)
{
	if (length > packet.length || offset > packet.length - length)
		return NULL;
	return packet.bytes + packet.start + offset;
}

static long packet_load(__u32 offset, void *to, __u32 length)
{
	void *from = packet_at(offset, length);

	if (!from)
		return -EFAULT;
	memcpy(to, from, length);
	return 0;
}

static long packet_store(__u32 offset, const void *from, __u32 length)
{
	void *to = packet_at(offset, length);

	if (!to)
		return -EFAULT;
	memcpy(to, from, length);
	return 0;
}

static void *packet_piece(__u32 offset, __u32 length)
{
	return offset + length <= packet.first_piece ? packet_at(offset, length) : NULL;
}

static void set_length(void *ctx, __u32 length);

#define context_at(ctx, offset, length) packet_piece(offset, length)

#define bpf_skb_load_bytes(ctx, offset, to, length) packet_load(offset, to, length)
#define bpf_skb_store_bytes(ctx, offset, from, length, flags) packet_store(offset, from, length)
#define bpf_xdp_load_bytes(ctx, offset, to, length) packet_load(offset, to, length)
#define bpf_xdp_store_bytes(ctx, offset, from, length) packet_store(offset, from, length)
#define bpf_xdp_get_buff_len(ctx) packet.length

__attribute__((unused)) static long bpf_xdp_adjust_head(void *ctx, int delta)
{
	if (delta < 0 ? (__u32)-delta > packet.start : (__u32)delta + ETH_HLEN > packet.length)
		return -EINVAL;
	packet.start += delta;
	packet.length -= delta;
	return 0;
}

/* Between the Ethernet header and what follows. */
__attribute__((unused)) static long bpf_skb_adjust_room(void *ctx, int delta, __u32 mode, __u64 flags)
{
	__u8 *head = packet.bytes + packet.start;

	if (delta < 0 ? ETH_HLEN + 20 + (__u32)-delta > packet.length : (__u32)delta > packet.start)
		return -EINVAL;
	memmove(head - delta, head, ETH_HLEN);
	packet.start -= delta;
	set_length(ctx, packet.length + delta);
	if (delta > 0)
		memset(packet.bytes + packet.start + ETH_HLEN, 0, delta);
	return 0;
}

__attribute__((unused)) static long bpf_skb_change_tail(void *ctx, __u32 length, __u64 flags)
{
	if (length > PACKET_BYTES_MAX || length < ETH_HLEN)
		return -EINVAL;
	if (length > packet.length)
		memset(packet.bytes + packet.start + packet.length, 0, length - packet.length);
	set_length(ctx, length);
	return 0;
}

#define bpf_skb_change_type(ctx, type) 0

#ifdef HOOK_XDP
#define REDIRECT_VERDICT XDP_REDIRECT
#else
#define REDIRECT_VERDICT 7
#endif

__attribute__((unused)) static long bpf_redirect(__u32 ifindex, __u64 flags)
{
	redirected.ifindex = ifindex;
	redirected.is_neigh = 0;
	return REDIRECT_VERDICT;
}

#define bpf_redirect_peer(ifindex, flags) bpf_redirect(ifindex, flags)

__attribute__((unused)) static long bpf_redirect_neigh(__u32 ifindex, void *params, int length, __u64 flags)
{
	bpf_redirect(ifindex, flags);
	redirected.is_neigh = 1;
	return REDIRECT_VERDICT;
}

static __u32 sum_words(const void *from, __u32 length, __u32 sum)
{
	const __u8 *bytes = from;
	__u64 total = sum;

	for (__u32 i = 0; i + 1 < length; i += 2)
		total += bytes[i] | bytes[i + 1] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return total;
}

__attribute__((unused)) static __s64 bpf_csum_diff(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __u32 seed)
{
	__u32 removed = from_size ? ~sum_words(from, from_size, 0) & 0xffff : 0;

	return sum_words(to, to_size, sum_words(&seed, sizeof(seed), removed));
}

/* RFC 1624. Sums in the fuzzer's packets are not looked at; what counts is that nothing outside of the packet is touched. */
__attribute__((unused)) static long replace_checksum(__u32 offset, __u64 from, __u64 to)
{
	__u16 sum;

	if (packet_load(offset, &sum, sizeof(sum)) < 0)
		return -EFAULT;
	sum = ~(sum_words(&to, sizeof(to), (~sum_words(&from, sizeof(from), 0) & 0xffff) + (__u16)~sum));
	return packet_store(offset, &sum, sizeof(sum));
}

#define bpf_l3_csum_replace(ctx, offset, from, to, flags) replace_checksum(offset, from, to)
#define bpf_l4_csum_replace(ctx, offset, from, to, flags) replace_checksum(offset, from, to)

#define bpf_ktime_get_coarse_ns() kernel_time
#define bpf_ktime_get_ns() kernel_time
#define bpf_get_prandom_u32() ((__u32)rand())

static __u8 ring_record[TABLE_BYTES_MAX] __attribute__((aligned(8)));
#define bpf_ringbuf_reserve(ring, size, flags) ((void *)ring_record)
#define bpf_ringbuf_submit(record, flags) ((void)(record))

/* Tables by the address of their definition. */
static struct table {
	const void *map;
	__u32 count;
	__u8 keys[TABLE_ENTRIES_MAX][TABLE_BYTES_MAX] __attribute__((aligned(8)));
	__u8 values[TABLE_ENTRIES_MAX][TABLE_BYTES_MAX] __attribute__((aligned(8)));
} tables[TABLE_TABLES_MAX];

static struct table *table_of(const void *map)
{
	for (int i = 0; i < TABLE_TABLES_MAX; i++) {
		if (!tables[i].map)
			tables[i].map = map;
		if (tables[i].map == map)
			return &tables[i];
	}
	abort();
}

static void *table_lookup(const void *map, const void *key, size_t key_size)
{
	struct table *table = table_of(map);

	for (__u32 i = 0; i < table->count; i++)
		if (!memcmp(table->keys[i], key, key_size))
			return table->values[i];
	return NULL;
}

static long table_update(const void *map, const void *key, size_t key_size, const void *value, size_t value_size, __u64 flags)
{
	struct table *table = table_of(map);
	void *found = table_lookup(map, key, key_size);

	if (found && flags == BPF_NOEXIST)
		return -EEXIST;
	if (found) {
		memcpy(found, value, value_size);
		return 0;
	}
	if (table->count == TABLE_ENTRIES_MAX)
		return -E2BIG;
	memcpy(table->keys[table->count], key, key_size);
	memcpy(table->values[table->count++], value, value_size);
	return 0;
}

/* The last entry takes the place. */
__attribute__((unused)) static long table_delete(const void *map, const void *key, size_t key_size)
{
	struct table *table = table_of(map);

	for (__u32 i = 0; i < table->count; i++) {
		if (memcmp(table->keys[i], key, key_size))
			continue;
		table->count--;
		memcpy(table->keys[i], table->keys[table->count], TABLE_BYTES_MAX);
		memcpy(table->values[i], table->values[table->count], TABLE_BYTES_MAX);
		return 0;
	}
	return -ENOENT;
}

static void table_clear(const void *map)
{
	table_of(map)->count = 0;
}

#define bpf_map_lookup_elem(map, key_) ((typeof((map)->value))table_lookup(map, key_, sizeof(*(map)->key)))
#define bpf_map_update_elem(map, key_, value_, flags) table_update(map, key_, sizeof(*(map)->key), value_, sizeof(*(map)->value), flags)
#define bpf_map_delete_elem(map, key_) table_delete(map, key_, sizeof(*(map)->key))
