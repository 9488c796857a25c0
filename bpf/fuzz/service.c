/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that a pod sends to Services, and answers to those that it serves. Whatever sums a packet had, right or wrong, translation keeps them so. */
#include "../from_pod.c"
#include "world.h"
#include "oracle.h"

#define SERVICE_IP IP(10, 96, 0, 10)
#define SERVICE_PORT 80
#define EMPTY_PORT 81
#define BACKEND_PORT 8080

static void put_bit(volatile __u64 *words, __u32 bit)
{
	words[bit >> 6] |= 1ULL << (bit & 63);
}

static void put_frontend(__u32 vni, __be32 ip, __u16 port, __u8 protocol, __u32 slots)
{
	struct service_key key = { .vni = vni, .ip = address_of(ip), .port = port, .protocol = protocol };
	struct service_frontend frontend = { .service = 1, .vni = VNI, .slots = slots, .external_slots = slots, .affinity = port & 1 };

	bpf_map_update_elem(&service_frontends, &key, &frontend, BPF_ANY);
}

static void put_services(void)
{
	static const __be32 ips[] = { NEIGHBOUR_IP, BLOCK_THERE | IP(0, 0, 0, 9), POD_IP };
	static const __u8 protocols[] = { IPPROTO_TCP, IPPROTO_UDP, PROTOCOL_SCTP };
	struct service_scratch scratch = {};
	struct service_chunk chunk = {};
	__u32 zero = 0;

	for (__u32 i = 0; i < 3; i++) {
		struct service_backend backend = { .ip = address_of(ips[i]), .port = BACKEND_PORT, .flags = BACKEND_KNOWN | BACKEND_CHOSEN | BACKEND_SERVES };

		chunk.backends[i] = i;
		bpf_map_update_elem(&service_backends, &i, &backend, BPF_ANY);
		put_frontend(VNI, SERVICE_IP, SERVICE_PORT, protocols[i], 3);
		put_frontend(VNI, SERVICE_IP, EMPTY_PORT, protocols[i], 0);
		put_frontend(0, 0, 30080, protocols[i], 3);
	}
	put_frontend(VNI, SERVICE_IP, 0, 0, 0);
	put_bit(service_state.addresses, (bpf_ntohl(SERVICE_IP) * 0x9e3779b1U) >> 16);
	put_bit(service_state.node_ports, 30080);
	bpf_map_update_elem(&service_chunks, &zero, &chunk, BPF_ANY);
	bpf_map_update_elem(&service_scratches, &zero, &scratch, BPF_ANY);
}

/* 0 and 0xffff are one number in one's complement. */
static unsigned residue(__u32 sum)
{
	return sum % 0xffff;
}

static unsigned header_residue(const __u8 *ip)
{
	return residue(sum_words(ip, 20, 0));
}

/* Of what a UDP datagram or TCP segment has its sum over. */
static unsigned transport_residue(const __u8 *ip)
{
	__u32 length = read16(ip + 2) - 20;

	return residue(sum_words(ip + 20, length & ~1u, sum_words(ip + 12, 8, 0)));
}

static void check_sums(struct reading before, const __u8 *after)
{
	expect(header_residue(before.bytes) == header_residue(after), "the sum of its header is another");
	if (read16(before.bytes + 6) & 0x3fff)
		return;
	if (before.bytes[9] == 6 || (before.bytes[9] == 17 && read16(before.bytes + 26)))
		expect(transport_residue(before.bytes) == transport_residue(after), "its sum is another");
}

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size)
{
	struct reading rest = { data + ETH_HLEN, size - ETH_HLEN }, ip;
	static int is_ready;

	if (size < ETH_HLEN || size > 2000)
		return 0;
	begin(data, size, POD_IFINDEX);
	if (!is_ready) {
		put_services();
		is_ready = 1;
	}
	/* Twice: the second packet finds what the first one left. */
	for (int i = 0; i < 2; i++) {
		packet.start = PACKET_HEADROOM;
		memcpy(packet.bytes + packet.start, data, size);
		set_length(&fuzz_context, size);
		if (from_pod(&fuzz_context) != REDIRECT_VERDICT || !read_ipv4(rest, &ip))
			return 0;
		expect(read32(ip.bytes + 12) == bpf_ntohl(POD_IP) || read16(data + 12) != ETH_P_IP, "its source is another");
		if (redirected.ifindex == NEIGHBOUR_IFINDEX && packet.length == size)
			check_sums(ip, packet_at(ETH_HLEN, 20));
		if (redirected.ifindex == UPLINK_IFINDEX && packet.length == size + TUNNEL_OVERHEAD)
			check_sums(ip, packet_at(ETH_HLEN + TUNNEL_OVERHEAD, 20));
	}
	return 0;
}
