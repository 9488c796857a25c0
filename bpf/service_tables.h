/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of services and what is asked of them. Who writes them: packages/network/src/services/table-state.ts. */
#pragma once
#include "flow.h"
#include "maps.h"

TABLE(service_frontends, BPF_MAP_TYPE_HASH, struct service_key, struct service_frontend, SERVICE_FRONTENDS_MAX, BPF_F_NO_PREALLOC);
TABLE(service_chunks, BPF_MAP_TYPE_ARRAY, __u32, struct service_chunk, SERVICE_CHUNKS_MAX, 0);
TABLE(service_backends, BPF_MAP_TYPE_ARRAY, __u32, struct service_backend, SERVICE_BACKENDS_MAX, 0);
TABLE(service_sources, BPF_MAP_TYPE_LPM_TRIE, struct service_source_key, struct service_source, SERVICE_SOURCES_MAX, BPF_F_NO_PREALLOC);
TABLE(service_clients, BPF_MAP_TYPE_LRU_HASH, struct service_client_key, struct service_client, SERVICE_CLIENTS_MAX, 0);
TABLE(service_flows, BPF_MAP_TYPE_LRU_HASH, struct service_flow_key, struct service_flow, SERVICE_FLOWS_MAX, 0);

/* Bits of struct service_flow's `flags`. */
#define SERVICE_FLOW_ANSWERS 1 /* what answers become; else what the client's packets become */
#define SERVICE_FLOW_OUTSIDE 2 /* the client is not of the backend's network: world */
#define SERVICE_FLOW_ENDING 4 /* whose packets these are has said that it ends (TCP) */

/* How the source of a new flow changes. */
enum source_kind { SOURCE_KEPT, SOURCE_NODE, SOURCE_HAIRPIN };

/* What is decided of a new flow. */
struct service_choice {
	/* Of the services' state, read before anything was looked up. */
	__u32 epoch;
	__u32 index;
	__u32 generation;
	/* Of the backend. */
	__be32 ip;
	__u16 port;
	__u8 is_outside;
	__u8 source_kind;
	/* What the source becomes, and the first of the ports that it may get. */
	__be32 source;
	__u32 first_port;
	__u32 hash;
	/* Networks of the translated packet and of its answers, and devices that lead there. */
	__u32 vni;
	__u32 ifindex;
	__u32 answers_vni;
	__u32 answers_ifindex;
};

/* Room of a CPU's own, since the stack has none: programs run with bottom halves off, so that none comes between. */
struct service_scratch {
	struct service_flow_key asked;
	struct service_flow_key answers;
	struct service_flow_key other;
	struct service_flow entry;
	struct service_choice choice;
	struct service_key frontend;
	struct service_source_key source;
	struct service_client_key client_key;
	struct service_client client;
	struct node_key node;
	struct network_key network;
	struct flow quoted;
	/* A refusal: the two addresses of its Ethernet header, swapped, and what follows its IP header. */
	__u8 macs[16];
	__be32 answer[9];
};
TABLE(service_scratches, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct service_scratch, 1, 0);

inlined struct service_scratch *service_scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&service_scratches, &zero);
}

/* Reading it is no look-up. Written by the daemon. */
volatile struct service_state service_state SEC(".data.services");

/* In every network namespace (include/net/net_namespace.h). */
#define LOOPBACK_IFINDEX 1
/* Source of packets whose sender would see its own address as that of who asks: a pod or host that reaches itself. Answers to it come through our programs. */
#define HAIRPIN_ADDRESS bpf_htonl(0xa9fe2a01) /* 169.254.42.1 */
/*
 * Given to translated sources. On the network between hosts they are above the ports that Linux gives out by default (ip_local_port_range), so that an answer to
 * this host's own connection is never taken for one of these; in a pod network this host itself has another address.
 */
#define SERVICE_PORTS_FIRST 61000
#define SERVICE_POD_PORTS_FIRST 1024

inlined int has_bit(volatile __u64 *words, __u32 bit)
{
	return (words[(bit >> 6) & (SERVICE_FILTER_WORDS - 1)] >> (bit & 63)) & 1;
}

/* "No" is sure. The hash is serviceAddressBit's in keys.ts. */
inlined int may_be_service(__be32 ip)
{
	return has_bit(service_state.addresses, (bpf_ntohl(ip) * 0x9e3779b1U) >> 16);
}

inlined int is_node_port(__u16 port)
{
	return has_bit(service_state.node_ports, port);
}

inlined void fill_service_flow_key(struct service_flow_key *key, const struct flow *flow, __u32 vni)
{
	key->vni = vni;
	key->protocol = flow->protocol;
	key->source = flow->source;
	key->destination = flow->destination;
	key->source_port = flow->source_port;
	key->destination_port = flow->destination_port;
}

inlined struct service_frontend *frontend_of(struct service_scratch *s, __u32 vni, __be32 ip, __u16 port, __u8 protocol)
{
	__builtin_memset(&s->frontend, 0, sizeof(s->frontend));
	s->frontend.vni = vni;
	s->frontend.ip = address_of(ip);
	s->frontend.port = port;
	s->frontend.protocol = protocol;
	return lookup(&service_frontends, &s->frontend);
}

inlined __u32 mix(__u32 hash, __u32 word)
{
	/* MurmurHash3's step. */
	word *= 0xcc9e2d51U;
	word = (word << 15) | (word >> 17);
	hash ^= word * 0x1b873593U;
	hash = (hash << 13) | (hash >> 19);
	return hash * 5 + 0xe6546b64U;
}

inlined __u32 finish(__u32 hash)
{
	hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;
	hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
	return hash ^ (hash >> 16);
}

/* Equal on every host, so that one that takes a flow over sends it to the same backend. */
inlined __u32 service_hash(const struct flow *flow)
{
	__u32 hash = mix(mix(0, flow->source), flow->destination);

	return finish(mix(mix(hash, ((__u32)flow->source_port << 16) | flow->destination_port), flow->protocol));
}

inlined __u32 client_hash(const struct flow *flow)
{
	return finish(mix(0, flow->source));
}
