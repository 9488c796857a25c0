/* SPDX-License-Identifier: Apache-2.0 */
/* Frames from the wire. Built twice: for tcx, and with -DFUZZ_XDP for XDP. */
#ifdef FUZZ_XDP
#include "../from_uplink_xdp.c"
#define PROGRAM from_uplink_xdp
#else
#include "../from_uplink.c"
#define PROGRAM from_uplink
#endif
#include "world.h"
#include "oracle.h"

size_t LLVMFuzzerMutate(__u8 *data, size_t size, size_t size_max);

/* A frame whose outer header has a wrong sum or length gets no further, so most get right ones. */
size_t LLVMFuzzerCustomMutator(__u8 *data, size_t size, size_t size_max, unsigned seed)
{
	__u8 *ip = data + ETH_HLEN;
	__u16 sum, total;

	size = LLVMFuzzerMutate(data, size, size_max);
	if (size < ETH_HLEN + 28 || seed % 8 == 0)
		return size;
	if (seed & 8) {
		total = bpf_htons(size - ETH_HLEN);
		memcpy(ip + 2, &total, sizeof(total));
		total = bpf_htons(size - ETH_HLEN - 20);
		memcpy(ip + 24, &total, sizeof(total));
	}
	memset(ip + 10, 0, sizeof(sum));
	sum = ~sum_words(ip, 20, 0);
	memcpy(ip + 10, &sum, sizeof(sum));
	return size;
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct reading frame = { data, size }, inner;
	unsigned vni, identity;

	if (size < ETH_HLEN || size > 2000)
		return 0;
	begin(data, size, UPLINK_IFINDEX);
	if (PROGRAM(&fuzz_context) != REDIRECT_VERDICT)
		return 0;
	expect(read_tunnel(frame, &vni, &identity, &inner), "its tunnel is not right");
	expect(is_source_of_other_node(read32(inner.bytes + 12)), "its source is not its node's to use");
	if (redirected.ifindex == HOST_IFINDEX)
		return 0;
	expect(redirected.ifindex == POD_IFINDEX || redirected.ifindex == NEIGHBOUR_IFINDEX, "it goes to no pod");
	/* Network 0 is the hosts' own: nobody in it is a pod, whatever the option says. */
	expect(vni == VNI || vni == 0, "its network is another");
	if (vni == 0 && identity > IDENTITY_WORLD)
		identity = IDENTITY_UNKNOWN;
	expect(read32(inner.bytes + 16) == bpf_ntohl(redirected.ifindex == POD_IFINDEX ? POD_IP : NEIGHBOUR_IP), "it is for another pod");
	expect(redirected.ifindex != POD_IFINDEX || identity == FRIEND_IDENTITY, "the identity is no friend's");
	expect(redirected.ifindex != POD_IFINDEX || is_allowed_by_friends_list(inner), "the port is not allowed");
	/* what comes out is what went in: all behind the byte that has ECN, apart from the header's sum */
	expect(packet.length >= ETH_HLEN + inner.size, "it lost its end");
	expect(!memcmp(packet_at(ETH_HLEN + 12, inner.size - 12), inner.bytes + 12, inner.size - 12), "it was changed");
	return 0;
}
