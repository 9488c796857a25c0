/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sum of SCTP packets whose ports change. SCTP has no pseudo header, so addresses change nothing (RFC 9260, 6.8). Ports do, and the sum is a CRC over the
 * whole packet; but a CRC is linear, so the change of four bytes and the length tell its change, and the payload need not be read: some 2 µs.
 */
#pragma once
#include "flow.h"

/* CRC-32C, bits reversed as the CRC has them (RFC 9260, appendix A). */
#define CRC32C_POLYNOMIAL 0x82f63b78U
/* The polynomial x^8. */
#define CRC32C_BYTE 0x00800000U
#define CRC32C_ONE 0x80000000U

/* a × b modulo the polynomial. Without branches: the verifier would follow each. */
separate __u32 crc32c_multiply(__u32 a, __u32 b)
{
	__u32 product = 0;

	for (int bit = 31; bit >= 0; bit--) {
		product ^= b & -((a >> bit) & 1);
		b = (b >> 1) ^ (CRC32C_POLYNOMIAL & -(b & 1));
	}
	return product;
}

/* x^(8 × bytes) */
separate __u32 crc32c_shift(__u32 bytes)
{
	__u32 power = CRC32C_BYTE, product = CRC32C_ONE;

	for (int bit = 0; bit < 16; bit++) {
		__u32 longer = crc32c_multiply(product, power);
		__u32 mask = -((bytes >> bit) & 1);

		product = (longer & mask) | (product & ~mask);
		power = crc32c_multiply(power, power);
	}
	return product;
}

/* `change`: old ports XOR new ones, as the first four bytes of the header read in this machine's (little endian) order. */
inlined long sctp_sum_ports(context *ctx, const struct flow *flow, __u32 change)
{
	__u32 offset = flow->l4 + 8, sum;

	/* Only the first fragment has a header, and the whole length is not known. */
	if (flow->flags & FLOW_FIRST_FRAGMENT)
		return -1;
	if (context_load(ctx, offset, &sum, sizeof(sum)) < 0)
		return -1;
	/* A sum that is still to be made when the packet leaves (CHECKSUM_PARTIAL: net/sctp/output.c leaves 0). */
	if (sum == 0)
		return 0;
	sum ^= crc32c_multiply(crc32c_shift(flow->length - sizeof(struct iphdr)), change);
	return context_store(ctx, offset, &sum, sizeof(sum));
}
