/* Made by `node packages/network/src/layouts/write.ts` from packages/network/src/layouts: do not edit. */
#pragma once

struct address {
	__be32 words[4];
};

#define ALIAS_BYTE 240
#define BACKEND_CHOSEN 2
#define BACKEND_CHOSEN_EXTERNAL 4
#define BACKEND_KNOWN 1
#define BACKEND_SERVES 8
#define CIDRS_EGRESS 1
#define CIDRS_INGRESS 0
#define CLOCK_SHIFT 5
#define COST_SHIFT 19
#define CT_ANSWERED 2
#define CT_CLOSED 4
#define CT_ESTABLISHED 1
#define CT_EXEMPT 128
#define CT_HALF_CLOSED_HIGH 3
#define CT_HALF_CLOSED_LOW 2
#define CT_ISOLATED 32
#define CT_LOW_BEGAN 1
#define CT_OPENING 0
#define CT_TO_POD 64
#define CT_TRANSLATED 4
#define CT_VIA_HOST 8
#define CT_VIA_NODE 16
#define DEFAULT_LEVEL 7
#define EGRESS_HERE 1
#define EGRESS_MARK 3456106496
#define ENDPOINT_EGRESS 1
#define GENEVE_OPTION_CLASS 371
#define GENEVE_PORT 6081
#define HOST_LEVEL 9
#define IDENTITY_HOST 1
#define IDENTITY_UNKNOWN 0
#define IDENTITY_WORLD 2
#define LIST_OPEN 4294967295
#define LIST_SEGMENTS_MAX 64
#define OWN_ADDRESSES_MAX 16
#define POD_LEVELS 9
#define POLICY_SETS_MAX 16384
#define PRECEDENCE_LAST 65535
#define SEGMENT_ALLOW 1
#define SEGMENT_DENY 0
#define SEGMENT_JUMP 2
#define SERVICE_BACKENDS_MAX 65536
#define SERVICE_CHUNKS_MAX 32768
#define SERVICE_CHUNK_SLOTS 64
#define SERVICE_CLIENTS_MAX 16384
#define SERVICE_EMPTY_DROPS 8
#define SERVICE_EXTERNAL 1
#define SERVICE_EXTERNAL_EMPTY_DROPS 16
#define SERVICE_FILTER_WORDS 1024
#define SERVICE_FLOWS_MAX 65536
#define SERVICE_FRONTENDS_MAX 131072
#define SERVICE_KEEPS_SOURCE 2
#define SERVICE_SOURCES_MAX 65536
#define SERVICE_SOURCE_RANGES 4
#define SET_EGRESS_CIDRS 4
#define SET_EGRESS_ISOLATED 8
#define SET_INGRESS_CIDRS 2
#define SET_USED 1
#define SHAPERS_MAX 4112
#define SHAPERS_RESERVED 16
#define SHAPER_FLOWS 32
#define SHAPER_TAG 32768
#define SHAPER_USED 1
#define SHAPING_CLASSES 2
#define SHAPING_LEVELS 10
#define SHAPING_NONE 0
#define SHAPING_STAMPS 1
#define TUNNEL_OVERHEAD 58
#define VPC_BLOCK_PREFIX 26

enum drop_reason {
	DROP_NONE = 0,
	DROP_POLICY_INGRESS = 1,
	DROP_POLICY_EGRESS = 2,
	DROP_POLICY_PEER_EGRESS = 3,
	DROP_NOT_READY = 4,
	DROP_UNKNOWN_IDENTITY = 5,
	DROP_SPOOFED_ADDRESS = 6,
	DROP_SPOOFED_MAC = 7,
	DROP_NO_ENDPOINT = 8,
	DROP_NO_ROUTE = 9,
	DROP_UNKNOWN_NODE = 10,
	DROP_UNKNOWN_DEVICE = 11,
	DROP_IPV6 = 12,
	DROP_VLAN = 13,
	DROP_ETHER_TYPE = 14,
	DROP_IP_OPTIONS = 15,
	DROP_MULTICAST = 16,
	DROP_MARTIAN = 17,
	DROP_TRUNCATED = 18,
	DROP_MALFORMED = 19,
	DROP_FRAGMENT_UNKNOWN = 20,
	DROP_TOO_BIG = 21,
	DROP_TUNNEL_MALFORMED = 22,
	DROP_TUNNEL_OPTION = 23,
	DROP_ECN = 24,
	DROP_SERVICE_NO_BACKEND = 25,
	DROP_SERVICE_TRANSLATION = 26,
	DROP_ENCAPSULATION = 27,
	DROP_SERVICE_SOURCE = 28,
	DROP_SERVICE_PORTS = 29,
	DROP_NO_EGRESS = 30,
	DROP_EGRESS_BANDWIDTH = 31,
	DROP_INGRESS_BANDWIDTH = 32,
	DROP_UPLINK_FULL = 33,
	DROP_TUNNEL_CHECKSUM = 34,
};
#define DROP_REASONS_COUNT 35

struct alias {
	struct address block;
	__u32 vni;
};
_Static_assert(sizeof(struct alias) == 20, "struct alias");
_Static_assert(__builtin_offsetof(struct alias, block) == 0, "struct alias");
_Static_assert(__builtin_offsetof(struct alias, vni) == 16, "struct alias");

struct alias_key {
	__u32 vni;
	struct address block;
};
_Static_assert(sizeof(struct alias_key) == 20, "struct alias_key");
_Static_assert(__builtin_offsetof(struct alias_key, vni) == 0, "struct alias_key");
_Static_assert(__builtin_offsetof(struct alias_key, block) == 4, "struct alias_key");

struct cidr {
	__u32 list;
};
_Static_assert(sizeof(struct cidr) == 4, "struct cidr");
_Static_assert(__builtin_offsetof(struct cidr, list) == 0, "struct cidr");

struct cidr_key {
	__u32 prefix_length;
	__u32 set;
	__u32 direction;
	struct address ip;
};
_Static_assert(sizeof(struct cidr_key) == 28, "struct cidr_key");
_Static_assert(__builtin_offsetof(struct cidr_key, prefix_length) == 0, "struct cidr_key");
_Static_assert(__builtin_offsetof(struct cidr_key, set) == 4, "struct cidr_key");
_Static_assert(__builtin_offsetof(struct cidr_key, direction) == 8, "struct cidr_key");
_Static_assert(__builtin_offsetof(struct cidr_key, ip) == 12, "struct cidr_key");

struct counter {
	__u64 packets;
	__u64 bytes;
};
_Static_assert(sizeof(struct counter) == 16, "struct counter");
_Static_assert(__builtin_offsetof(struct counter, packets) == 0, "struct counter");
_Static_assert(__builtin_offsetof(struct counter, bytes) == 8, "struct counter");

struct ct_entry {
	__u32 seen;
	__u32 egress_epoch;
	__u32 ingress_epoch;
	__u16 egress_set;
	__u16 ingress_set;
	__u32 low_device;
	__u32 high_device;
	__u32 identity;
	__u16 flags;
	__u8 state;
	__u8 pad[1];
};
_Static_assert(sizeof(struct ct_entry) == 32, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, seen) == 0, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, egress_epoch) == 4, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, ingress_epoch) == 8, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, egress_set) == 12, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, ingress_set) == 14, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, low_device) == 16, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, high_device) == 20, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, identity) == 24, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, flags) == 28, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, state) == 30, "struct ct_entry");
_Static_assert(__builtin_offsetof(struct ct_entry, pad) == 31, "struct ct_entry");

struct ct_key {
	__u32 vni : 24;
	__u32 protocol : 8;
	__be32 low;
	__be32 high;
	__u16 low_port;
	__u16 high_port;
};
_Static_assert(sizeof(struct ct_key) == 16, "struct ct_key");
_Static_assert(__builtin_offsetof(struct ct_key, low) == 4, "struct ct_key");
_Static_assert(__builtin_offsetof(struct ct_key, high) == 8, "struct ct_key");
_Static_assert(__builtin_offsetof(struct ct_key, low_port) == 12, "struct ct_key");
_Static_assert(__builtin_offsetof(struct ct_key, high_port) == 14, "struct ct_key");

struct device_key {
	__u32 ifindex;
};
_Static_assert(sizeof(struct device_key) == 4, "struct device_key");
_Static_assert(__builtin_offsetof(struct device_key, ifindex) == 0, "struct device_key");

struct drop_event {
	__u32 reason;
	__u32 rule;
	__u32 vni;
	__u32 identity;
	struct address source;
	struct address destination;
	struct address node;
	__u16 source_port;
	__u16 destination_port;
	__u8 protocol;
	__u8 direction;
	__u8 pad[2];
	__u32 length;
};
_Static_assert(sizeof(struct drop_event) == 76, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, reason) == 0, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, rule) == 4, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, vni) == 8, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, identity) == 12, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, source) == 16, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, destination) == 32, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, node) == 48, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, source_port) == 64, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, destination_port) == 66, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, protocol) == 68, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, direction) == 69, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, pad) == 70, "struct drop_event");
_Static_assert(__builtin_offsetof(struct drop_event, length) == 72, "struct drop_event");

struct egress {
	struct address node;
	__u32 flags;
};
_Static_assert(sizeof(struct egress) == 20, "struct egress");
_Static_assert(__builtin_offsetof(struct egress, node) == 0, "struct egress");
_Static_assert(__builtin_offsetof(struct egress, flags) == 16, "struct egress");

struct egress_key {
	__u32 vni;
};
_Static_assert(sizeof(struct egress_key) == 4, "struct egress_key");
_Static_assert(__builtin_offsetof(struct egress_key, vni) == 0, "struct egress_key");

struct endpoint {
	struct address ip;
	struct address host_ip;
	__u32 vni;
	__u32 ifindex;
	__u32 identity;
	__u32 policy_set;
	__u32 route_domain;
	__u8 mac[6];
	__u8 block_prefix;
	__u8 flags;
	__u16 shaper;
	__u8 pad[2];
};
_Static_assert(sizeof(struct endpoint) == 64, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, ip) == 0, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, host_ip) == 16, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, vni) == 32, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, ifindex) == 36, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, identity) == 40, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, policy_set) == 44, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, route_domain) == 48, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, mac) == 52, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, block_prefix) == 58, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, flags) == 59, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, shaper) == 60, "struct endpoint");
_Static_assert(__builtin_offsetof(struct endpoint, pad) == 62, "struct endpoint");

struct endpoint_key {
	__u32 vni;
	struct address ip;
};
_Static_assert(sizeof(struct endpoint_key) == 20, "struct endpoint_key");
_Static_assert(__builtin_offsetof(struct endpoint_key, vni) == 0, "struct endpoint_key");
_Static_assert(__builtin_offsetof(struct endpoint_key, ip) == 4, "struct endpoint_key");

struct fragment {
	__u16 source_port;
	__u16 destination_port;
	__u32 seen;
};
_Static_assert(sizeof(struct fragment) == 8, "struct fragment");
_Static_assert(__builtin_offsetof(struct fragment, source_port) == 0, "struct fragment");
_Static_assert(__builtin_offsetof(struct fragment, destination_port) == 2, "struct fragment");
_Static_assert(__builtin_offsetof(struct fragment, seen) == 4, "struct fragment");

struct fragment_key {
	__u32 vni : 24;
	__u32 protocol : 8;
	__be32 source;
	__be32 destination;
	__u16 id;
	__u8 pad[2];
};
_Static_assert(sizeof(struct fragment_key) == 16, "struct fragment_key");
_Static_assert(__builtin_offsetof(struct fragment_key, source) == 4, "struct fragment_key");
_Static_assert(__builtin_offsetof(struct fragment_key, destination) == 8, "struct fragment_key");
_Static_assert(__builtin_offsetof(struct fragment_key, id) == 12, "struct fragment_key");
_Static_assert(__builtin_offsetof(struct fragment_key, pad) == 14, "struct fragment_key");

struct host_config {
	struct address node_ip;
	struct address host_ip;
	__u32 host_ifindex;
	__u32 uplink_ifindex;
	__u32 pod_mtu;
	__u32 block_prefix;
	__u32 log_per_second;
	__u32 own_address_count;
	struct address own_addresses[16];
};
_Static_assert(sizeof(struct host_config) == 312, "struct host_config");
_Static_assert(__builtin_offsetof(struct host_config, node_ip) == 0, "struct host_config");
_Static_assert(__builtin_offsetof(struct host_config, host_ip) == 16, "struct host_config");
_Static_assert(__builtin_offsetof(struct host_config, host_ifindex) == 32, "struct host_config");
_Static_assert(__builtin_offsetof(struct host_config, uplink_ifindex) == 36, "struct host_config");
_Static_assert(__builtin_offsetof(struct host_config, pod_mtu) == 40, "struct host_config");
_Static_assert(__builtin_offsetof(struct host_config, block_prefix) == 44, "struct host_config");
_Static_assert(__builtin_offsetof(struct host_config, log_per_second) == 48, "struct host_config");
_Static_assert(__builtin_offsetof(struct host_config, own_address_count) == 52, "struct host_config");
_Static_assert(__builtin_offsetof(struct host_config, own_addresses) == 56, "struct host_config");

struct policy_set {
	__u32 epoch;
	__u32 flags;
	__u32 ingress_others;
	__u32 egress_to_pods;
	__u32 egress_outside;
	__u8 digest[16];
};
_Static_assert(sizeof(struct policy_set) == 36, "struct policy_set");
_Static_assert(__builtin_offsetof(struct policy_set, epoch) == 0, "struct policy_set");
_Static_assert(__builtin_offsetof(struct policy_set, flags) == 4, "struct policy_set");
_Static_assert(__builtin_offsetof(struct policy_set, ingress_others) == 8, "struct policy_set");
_Static_assert(__builtin_offsetof(struct policy_set, egress_to_pods) == 12, "struct policy_set");
_Static_assert(__builtin_offsetof(struct policy_set, egress_outside) == 16, "struct policy_set");
_Static_assert(__builtin_offsetof(struct policy_set, digest) == 20, "struct policy_set");

struct host_state {
	struct host_config config;
	struct policy_set sets[16384];
};
_Static_assert(sizeof(struct host_state) == 590136, "struct host_state");
_Static_assert(__builtin_offsetof(struct host_state, config) == 0, "struct host_state");
_Static_assert(__builtin_offsetof(struct host_state, sets) == 312, "struct host_state");

struct identity {
	__u32 known;
};
_Static_assert(sizeof(struct identity) == 4, "struct identity");
_Static_assert(__builtin_offsetof(struct identity, known) == 0, "struct identity");

struct identity_key {
	__u32 vni;
	__u32 id;
};
_Static_assert(sizeof(struct identity_key) == 8, "struct identity_key");
_Static_assert(__builtin_offsetof(struct identity_key, vni) == 0, "struct identity_key");
_Static_assert(__builtin_offsetof(struct identity_key, id) == 4, "struct identity_key");

struct level_config {
	__u64 cost;
	__u64 bandwidth;
	__u32 priority;
	__u8 dscp;
	__u8 pad[3];
};
_Static_assert(sizeof(struct level_config) == 24, "struct level_config");
_Static_assert(__builtin_offsetof(struct level_config, cost) == 0, "struct level_config");
_Static_assert(__builtin_offsetof(struct level_config, bandwidth) == 8, "struct level_config");
_Static_assert(__builtin_offsetof(struct level_config, priority) == 16, "struct level_config");
_Static_assert(__builtin_offsetof(struct level_config, dscp) == 20, "struct level_config");
_Static_assert(__builtin_offsetof(struct level_config, pad) == 21, "struct level_config");

struct segment {
	__u32 start;
	__u32 rule;
	__u16 precedence;
	__u8 verdict;
	__u8 pad[1];
};
_Static_assert(sizeof(struct segment) == 12, "struct segment");
_Static_assert(__builtin_offsetof(struct segment, start) == 0, "struct segment");
_Static_assert(__builtin_offsetof(struct segment, rule) == 4, "struct segment");
_Static_assert(__builtin_offsetof(struct segment, precedence) == 8, "struct segment");
_Static_assert(__builtin_offsetof(struct segment, verdict) == 10, "struct segment");
_Static_assert(__builtin_offsetof(struct segment, pad) == 11, "struct segment");

struct list {
	__u32 count;
	struct segment segments[64];
};
_Static_assert(sizeof(struct list) == 772, "struct list");
_Static_assert(__builtin_offsetof(struct list, count) == 0, "struct list");
_Static_assert(__builtin_offsetof(struct list, segments) == 4, "struct list");

struct list_key {
	__u32 id;
};
_Static_assert(sizeof(struct list_key) == 4, "struct list_key");
_Static_assert(__builtin_offsetof(struct list_key, id) == 0, "struct list_key");

struct log_budget {
	__u32 second;
	__u32 used;
};
_Static_assert(sizeof(struct log_budget) == 8, "struct log_budget");
_Static_assert(__builtin_offsetof(struct log_budget, second) == 0, "struct log_budget");
_Static_assert(__builtin_offsetof(struct log_budget, used) == 4, "struct log_budget");

struct network {
	struct address ip;
	__u32 block_prefix;
	__u32 prefix;
};
_Static_assert(sizeof(struct network) == 24, "struct network");
_Static_assert(__builtin_offsetof(struct network, ip) == 0, "struct network");
_Static_assert(__builtin_offsetof(struct network, block_prefix) == 16, "struct network");
_Static_assert(__builtin_offsetof(struct network, prefix) == 20, "struct network");

struct network_key {
	__u32 vni;
};
_Static_assert(sizeof(struct network_key) == 4, "struct network_key");
_Static_assert(__builtin_offsetof(struct network_key, vni) == 0, "struct network_key");

struct node {
	__u32 flags;
};
_Static_assert(sizeof(struct node) == 4, "struct node");
_Static_assert(__builtin_offsetof(struct node, flags) == 0, "struct node");

struct node_key {
	struct address ip;
};
_Static_assert(sizeof(struct node_key) == 16, "struct node_key");
_Static_assert(__builtin_offsetof(struct node_key, ip) == 0, "struct node_key");

struct own_block {
	__u32 flags;
};
_Static_assert(sizeof(struct own_block) == 4, "struct own_block");
_Static_assert(__builtin_offsetof(struct own_block, flags) == 0, "struct own_block");

struct own_block_key {
	__u32 prefix_length;
	struct address ip;
};
_Static_assert(sizeof(struct own_block_key) == 20, "struct own_block_key");
_Static_assert(__builtin_offsetof(struct own_block_key, prefix_length) == 0, "struct own_block_key");
_Static_assert(__builtin_offsetof(struct own_block_key, ip) == 4, "struct own_block_key");

struct pair {
	__u32 ingress;
	__u32 egress;
};
_Static_assert(sizeof(struct pair) == 8, "struct pair");
_Static_assert(__builtin_offsetof(struct pair, ingress) == 0, "struct pair");
_Static_assert(__builtin_offsetof(struct pair, egress) == 4, "struct pair");

struct pair_key {
	__u32 set;
	__u32 peer;
};
_Static_assert(sizeof(struct pair_key) == 8, "struct pair_key");
_Static_assert(__builtin_offsetof(struct pair_key, set) == 0, "struct pair_key");
_Static_assert(__builtin_offsetof(struct pair_key, peer) == 4, "struct pair_key");

struct route {
	struct address node;
	__u32 ifindex;
};
_Static_assert(sizeof(struct route) == 20, "struct route");
_Static_assert(__builtin_offsetof(struct route, node) == 0, "struct route");
_Static_assert(__builtin_offsetof(struct route, ifindex) == 16, "struct route");

struct route_key {
	__u32 domain;
	struct address block;
};
_Static_assert(sizeof(struct route_key) == 20, "struct route_key");
_Static_assert(__builtin_offsetof(struct route_key, domain) == 0, "struct route_key");
_Static_assert(__builtin_offsetof(struct route_key, block) == 4, "struct route_key");

struct rule_key {
	__u32 rule;
};
_Static_assert(sizeof(struct rule_key) == 4, "struct rule_key");
_Static_assert(__builtin_offsetof(struct rule_key, rule) == 0, "struct rule_key");

struct service_backend {
	struct address ip;
	__u16 port;
	__u16 flags;
	__u32 generation;
	__u32 service;
};
_Static_assert(sizeof(struct service_backend) == 28, "struct service_backend");
_Static_assert(__builtin_offsetof(struct service_backend, ip) == 0, "struct service_backend");
_Static_assert(__builtin_offsetof(struct service_backend, port) == 16, "struct service_backend");
_Static_assert(__builtin_offsetof(struct service_backend, flags) == 18, "struct service_backend");
_Static_assert(__builtin_offsetof(struct service_backend, generation) == 20, "struct service_backend");
_Static_assert(__builtin_offsetof(struct service_backend, service) == 24, "struct service_backend");

struct service_chunk {
	__u32 backends[64];
};
_Static_assert(sizeof(struct service_chunk) == 256, "struct service_chunk");
_Static_assert(__builtin_offsetof(struct service_chunk, backends) == 0, "struct service_chunk");

struct service_client {
	__u32 backend;
	__u32 generation;
	__u32 seen;
};
_Static_assert(sizeof(struct service_client) == 12, "struct service_client");
_Static_assert(__builtin_offsetof(struct service_client, backend) == 0, "struct service_client");
_Static_assert(__builtin_offsetof(struct service_client, generation) == 4, "struct service_client");
_Static_assert(__builtin_offsetof(struct service_client, seen) == 8, "struct service_client");

struct service_client_key {
	__u32 service;
	__u32 vni;
	struct address ip;
};
_Static_assert(sizeof(struct service_client_key) == 24, "struct service_client_key");
_Static_assert(__builtin_offsetof(struct service_client_key, service) == 0, "struct service_client_key");
_Static_assert(__builtin_offsetof(struct service_client_key, vni) == 4, "struct service_client_key");
_Static_assert(__builtin_offsetof(struct service_client_key, ip) == 8, "struct service_client_key");

struct service_flow {
	__be32 source;
	__be32 destination;
	__u16 source_port;
	__u16 destination_port;
	__u32 vni;
	__u32 backend;
	__u32 generation;
	__u32 epoch;
	__u32 ifindex;
	__u32 seen;
	__u32 flags;
};
_Static_assert(sizeof(struct service_flow) == 40, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, source) == 0, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, destination) == 4, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, source_port) == 8, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, destination_port) == 10, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, vni) == 12, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, backend) == 16, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, generation) == 20, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, epoch) == 24, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, ifindex) == 28, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, seen) == 32, "struct service_flow");
_Static_assert(__builtin_offsetof(struct service_flow, flags) == 36, "struct service_flow");

struct service_flow_key {
	__u32 vni : 24;
	__u32 protocol : 8;
	__be32 source;
	__be32 destination;
	__u16 source_port;
	__u16 destination_port;
};
_Static_assert(sizeof(struct service_flow_key) == 16, "struct service_flow_key");
_Static_assert(__builtin_offsetof(struct service_flow_key, source) == 4, "struct service_flow_key");
_Static_assert(__builtin_offsetof(struct service_flow_key, destination) == 8, "struct service_flow_key");
_Static_assert(__builtin_offsetof(struct service_flow_key, source_port) == 12, "struct service_flow_key");
_Static_assert(__builtin_offsetof(struct service_flow_key, destination_port) == 14, "struct service_flow_key");

struct service_frontend {
	__u32 service;
	__u32 vni;
	__u32 chunk;
	__u32 slots;
	__u32 external_chunk;
	__u32 external_slots;
	__u32 affinity;
	__u32 flags;
};
_Static_assert(sizeof(struct service_frontend) == 32, "struct service_frontend");
_Static_assert(__builtin_offsetof(struct service_frontend, service) == 0, "struct service_frontend");
_Static_assert(__builtin_offsetof(struct service_frontend, vni) == 4, "struct service_frontend");
_Static_assert(__builtin_offsetof(struct service_frontend, chunk) == 8, "struct service_frontend");
_Static_assert(__builtin_offsetof(struct service_frontend, slots) == 12, "struct service_frontend");
_Static_assert(__builtin_offsetof(struct service_frontend, external_chunk) == 16, "struct service_frontend");
_Static_assert(__builtin_offsetof(struct service_frontend, external_slots) == 20, "struct service_frontend");
_Static_assert(__builtin_offsetof(struct service_frontend, affinity) == 24, "struct service_frontend");
_Static_assert(__builtin_offsetof(struct service_frontend, flags) == 28, "struct service_frontend");

struct service_key {
	__u32 vni;
	struct address ip;
	__u16 port;
	__u8 protocol;
	__u8 pad[1];
};
_Static_assert(sizeof(struct service_key) == 24, "struct service_key");
_Static_assert(__builtin_offsetof(struct service_key, vni) == 0, "struct service_key");
_Static_assert(__builtin_offsetof(struct service_key, ip) == 4, "struct service_key");
_Static_assert(__builtin_offsetof(struct service_key, port) == 20, "struct service_key");
_Static_assert(__builtin_offsetof(struct service_key, protocol) == 22, "struct service_key");
_Static_assert(__builtin_offsetof(struct service_key, pad) == 23, "struct service_key");

struct service_source {
	__u32 allowed;
};
_Static_assert(sizeof(struct service_source) == 4, "struct service_source");
_Static_assert(__builtin_offsetof(struct service_source, allowed) == 0, "struct service_source");

struct service_source_key {
	__u32 prefix_length;
	__u32 service;
	struct address ip;
};
_Static_assert(sizeof(struct service_source_key) == 24, "struct service_source_key");
_Static_assert(__builtin_offsetof(struct service_source_key, prefix_length) == 0, "struct service_source_key");
_Static_assert(__builtin_offsetof(struct service_source_key, service) == 4, "struct service_source_key");
_Static_assert(__builtin_offsetof(struct service_source_key, ip) == 8, "struct service_source_key");

struct service_state {
	__u32 epoch;
	__u8 pad[4];
	__u64 addresses[1024];
	__u64 node_ports[1024];
};
_Static_assert(sizeof(struct service_state) == 16392, "struct service_state");
_Static_assert(__builtin_offsetof(struct service_state, epoch) == 0, "struct service_state");
_Static_assert(__builtin_offsetof(struct service_state, pad) == 4, "struct service_state");
_Static_assert(__builtin_offsetof(struct service_state, addresses) == 8, "struct service_state");
_Static_assert(__builtin_offsetof(struct service_state, node_ports) == 8200, "struct service_state");

struct shaper_clock {
	__u64 next;
	__u64 ingress;
	__u64 flows[32];
	__u64 shares[32];
};
_Static_assert(sizeof(struct shaper_clock) == 528, "struct shaper_clock");
_Static_assert(__builtin_offsetof(struct shaper_clock, next) == 0, "struct shaper_clock");
_Static_assert(__builtin_offsetof(struct shaper_clock, ingress) == 8, "struct shaper_clock");
_Static_assert(__builtin_offsetof(struct shaper_clock, flows) == 16, "struct shaper_clock");
_Static_assert(__builtin_offsetof(struct shaper_clock, shares) == 272, "struct shaper_clock");

struct shaper_config {
	__u64 egress_cost;
	__u64 ingress_cost;
	__u64 egress_bandwidth;
	__u64 ingress_bandwidth;
	__u32 level;
	__u32 flags;
};
_Static_assert(sizeof(struct shaper_config) == 40, "struct shaper_config");
_Static_assert(__builtin_offsetof(struct shaper_config, egress_cost) == 0, "struct shaper_config");
_Static_assert(__builtin_offsetof(struct shaper_config, ingress_cost) == 8, "struct shaper_config");
_Static_assert(__builtin_offsetof(struct shaper_config, egress_bandwidth) == 16, "struct shaper_config");
_Static_assert(__builtin_offsetof(struct shaper_config, ingress_bandwidth) == 24, "struct shaper_config");
_Static_assert(__builtin_offsetof(struct shaper_config, level) == 32, "struct shaper_config");
_Static_assert(__builtin_offsetof(struct shaper_config, flags) == 36, "struct shaper_config");

struct shaper_counter {
	__u64 packets;
	__u64 bytes;
	__u64 drops;
	__u64 drop_bytes;
	__u64 marks;
};
_Static_assert(sizeof(struct shaper_counter) == 40, "struct shaper_counter");
_Static_assert(__builtin_offsetof(struct shaper_counter, packets) == 0, "struct shaper_counter");
_Static_assert(__builtin_offsetof(struct shaper_counter, bytes) == 8, "struct shaper_counter");
_Static_assert(__builtin_offsetof(struct shaper_counter, drops) == 16, "struct shaper_counter");
_Static_assert(__builtin_offsetof(struct shaper_counter, drop_bytes) == 24, "struct shaper_counter");
_Static_assert(__builtin_offsetof(struct shaper_counter, marks) == 32, "struct shaper_counter");

struct shaping_config {
	__u32 mode;
	__u32 overhead_bytes;
	__u64 rates_until;
	struct level_config levels[10];
	struct shaper_config shapers[4112];
};
_Static_assert(sizeof(struct shaping_config) == 164736, "struct shaping_config");
_Static_assert(__builtin_offsetof(struct shaping_config, mode) == 0, "struct shaping_config");
_Static_assert(__builtin_offsetof(struct shaping_config, overhead_bytes) == 4, "struct shaping_config");
_Static_assert(__builtin_offsetof(struct shaping_config, rates_until) == 8, "struct shaping_config");
_Static_assert(__builtin_offsetof(struct shaping_config, levels) == 16, "struct shaping_config");
_Static_assert(__builtin_offsetof(struct shaping_config, shapers) == 256, "struct shaping_config");
