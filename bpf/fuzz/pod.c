/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that a pod sends. */
#include "../from_pod.c"
#include "world.h"
#include "oracle.h"

static int is_arp(struct reading frame)
{
	return frame.size >= 42 && read16(frame.bytes + 12) == ETH_P_ARP && read16(frame.bytes + 20) == 1;
}

/* The tunnel that the program made says who the pod is, and has the pod's packet inside. */
static void check_tunnel(struct reading ip)
{
	struct reading made = { packet_at(0, packet.length), packet.length };
	const __u8 *outer = made.bytes + ETH_HLEN;
	__be32 node = read32(ip.bytes + 16) >> 8 == bpf_ntohl(BLOCK_ELSEWHERE) >> 8 ? NODE_ELSEWHERE : NODE_THERE;

	expect(made.size == ip.size + ETH_HLEN + TUNNEL_OVERHEAD || made.size > ip.size + TUNNEL_OVERHEAD, "the tunnel is cut");
	expect(read32(outer + 12) == bpf_ntohl(NODE_HERE) && read32(outer + 16) == bpf_ntohl(node), "the tunnel leads elsewhere");
	expect(read16(outer + 22) == GENEVE_PORT, "the tunnel has another port");
	expect(read32(outer + 32) >> 8 == VNI, "the tunnel is another network's");
	expect(read32(outer + 40) == POD_IDENTITY, "the tunnel has another identity");
	expect(!memcmp(outer + TUNNEL_OVERHEAD + 12, ip.bytes + 12, ip.size - 12), "the packet inside was changed");
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct reading frame = { data, size }, rest = { data + ETH_HLEN, size - ETH_HLEN }, ip;

	if (size < ETH_HLEN || size > 2000)
		return 0;
	begin(data, size, POD_IFINDEX);
	if (from_pod(&fuzz_context) != REDIRECT_VERDICT)
		return 0;
	expect(!memcmp(data + 6, pod_mac, sizeof(pod_mac)), "its MAC is another");
	if (redirected.ifindex == POD_IFINDEX && is_arp(frame))
		return 0;
	expect(read16(data + 12) == ETH_P_IP, "it is no IPv4");
	expect(read_ipv4(rest, &ip), "its header is wrong");
	expect(read32(ip.bytes + 12) == bpf_ntohl(POD_IP), "its source is another");
	expect(ip.bytes[16] != 0 && ip.bytes[16] != 127 && ip.bytes[16] < 224, "its destination is nobody");
	if (redirected.ifindex == UPLINK_IFINDEX)
		check_tunnel(ip);
	if (redirected.ifindex == NEIGHBOUR_IFINDEX)
		expect(read32(ip.bytes + 16) == bpf_ntohl(NEIGHBOUR_IP), "it is for another pod");
	/* The host would send it on with its own address, which the other node believes. */
	if (redirected.ifindex == HOST_IFINDEX && ip.bytes[9] == 17 && !(read16(ip.bytes + 6) & 0x1fff))
		expect(read32(ip.bytes + 16) != bpf_ntohl(NODE_THERE) || read16(ip.bytes + 22) != GENEVE_PORT, "it plays a node");
	return 0;
}
