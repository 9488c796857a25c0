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

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct reading frame = { data, size }, inner;
	unsigned vni, identity;

	if (size < ETH_HLEN || size > 2000)
		return 0;
	begin(data, size, UPLINK_IFINDEX);
	if (PROGRAM(&fuzz_context) != REDIRECT_VERDICT || redirected.ifindex == HOST_IFINDEX)
		return 0;
	expect(redirected.ifindex == POD_IFINDEX || redirected.ifindex == NEIGHBOUR_IFINDEX, "it goes to no pod");
	expect(read_tunnel(frame, &vni, &identity, &inner), "its tunnel is not right");
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
