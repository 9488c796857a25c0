/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet says, read a second time and in another way: by one pointer over all of it, with every doubt a refusal. What a program lets pass, this must have
 * understood as well.
 */
#pragma once

struct reading {
	const __u8 *bytes;
	size_t size;
};

static unsigned read16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

static unsigned read32(const __u8 *at)
{
	return read16(at) << 16 | read16(at + 2);
}

#define FORBID(condition) \
	do { \
		if (condition) \
			return 0; \
	} while (0)

/* An IPv4 packet without options; its bytes without what follows it in the frame. */
static int read_ipv4(struct reading frame, struct reading *ip)
{
	FORBID(frame.size < 20 || frame.bytes[0] != 0x45);
	FORBID(read16(frame.bytes + 2) < 20 || read16(frame.bytes + 2) > frame.size);
	ip->bytes = frame.bytes;
	ip->size = read16(frame.bytes + 2);
	return 1;
}

static int is_header_right(const __u8 *header)
{
	unsigned sum = 0;

	for (int i = 0; i < 20; i += 2)
		sum += read16(header + i);
	return sum % 0xffff == 0;
}

/* Whether the other node may send what has this source: not another host's pod, nor this host or its pods, nor what nobody has. */
static int is_source_of_other_node(unsigned ip)
{
	FORBID(ip >> 24 == 0 || ip >> 24 == 127 || ip >> 24 >= 224);
	FORBID(ip == bpf_ntohl(NODE_HERE));
	return ip >> 8 != bpf_ntohl(HOST_IP) >> 8 && ip >> 8 != bpf_ntohl(BLOCK_ELSEWHERE) >> 8;
}

/* Whether a friend may send this packet to the pod: TCP or UDP to its one port, whole or the first fragment. */
static int is_allowed_by_friends_list(struct reading ip)
{
	const __u8 *l4 = ip.bytes + 20;
	size_t room = ip.size - 20;

	FORBID(read16(ip.bytes + 6) & 0x1fff);
	if (ip.bytes[9] == 6)
		return room >= 20 && l4[12] >> 4 >= 5 && read16(l4 + 2) == ALLOWED_TCP;
	if (ip.bytes[9] == 17)
		return room >= 8 && read16(l4 + 2) == ALLOWED_UDP;
	return 0;
}

/* Options: the identity at most once, and nothing critical that is unknown. Without one the sender is unknown. */
static int read_options(const __u8 *at, size_t size, unsigned *identity)
{
	int found = 0;

	*identity = IDENTITY_UNKNOWN;
	while (size > 0) {
		size_t length;
		unsigned type;

		FORBID(size < 4);
		length = 4 + (at[3] & 31) * 4;
		FORBID(length > size);
		type = at[2];
		if (read16(at) == GENEVE_OPTION_CLASS && (type & 127) >= 1 && (type & 127) <= 2) {
			FORBID(found || length != 8);
			*identity = read32(at + 4);
			found = 1;
		} else {
			FORBID(type & 128);
		}
		at += length;
		size -= length;
	}
	return 1;
}

/* A tunnelled frame from the other node for this one; gives what is inside. */
static int read_tunnel(struct reading frame, unsigned *vni, unsigned *identity, struct reading *inner)
{
	struct reading ip, rest;
	const __u8 *geneve;
	size_t options;

	FORBID(frame.size < 14 || read16(frame.bytes + 12) != 0x0800);
	rest.bytes = frame.bytes + 14;
	rest.size = frame.size - 14;
	FORBID(!read_ipv4(rest, &ip) || !is_header_right(ip.bytes));
	FORBID(ip.bytes[9] != 17 || (read16(ip.bytes + 6) & 0x3fff) || ip.size < 20 + 8 + 8);
	FORBID(read32(ip.bytes + 12) != bpf_ntohl(NODE_THERE) || read32(ip.bytes + 16) != bpf_ntohl(NODE_HERE));
	FORBID(read16(ip.bytes + 22) != GENEVE_PORT || read16(ip.bytes + 24) != ip.size - 20 || read16(ip.bytes + 26) != 0);
	geneve = ip.bytes + 28;
	options = (geneve[0] & 63) * 4;
	FORBID(geneve[0] >> 6 || (geneve[1] & 128) || read16(geneve + 2) != 0x6558);
	FORBID(ip.size < 36 + options + 14);
	*vni = read32(geneve + 4) >> 8;
	FORBID(!read_options(geneve + 8, options, identity));
	FORBID(read16(geneve + 8 + options + 12) != 0x0800);
	rest.bytes = geneve + 8 + options + 14;
	rest.size = ip.size - 36 - options - 14;
	return read_ipv4(rest, inner);
}

static void expect(int condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "A packet passed that must not: %s\n", what);
	abort();
}
