/* SPDX-License-Identifier: Apache-2.0 */
/* Tables that all programs share. Each object file declares them; the loader gives all objects the same ones by name. */
#pragma once
#include "context.h"

/*
 * Tables without BPF_F_NO_PREALLOC are taken whole at start; the others grow with use, and a full one refuses writes, which the writer reports. Sizes are the
 * limits of one host.
 */
#define ENDPOINTS_MAX 4096
#define ROUTES_MAX 65536
#define NODES_MAX 16384
#define NETWORKS_MAX 65536
#define EGRESSES_MAX 65536
#define ALIASES_MAX 65536
#define OWN_BLOCKS_MAX 4096
#define PAIRS_MAX 262144
#define LISTS_MAX 32768
#define CIDRS_MAX 65536
#define IDENTITIES_MAX 131072
#define FRAGMENTS_MAX 4096
#define RULES_MAX 16384
#define DROP_LOG_BYTES (256 * 1024)
/* Flows; the least recently used one makes room. The loader may set another number. */
#define CT_MAX 131072

#define TABLE(name, kind, key_type, value_type, size, map_flags_)                                                                                              \
	struct {                                                                                                                                               \
		__uint(type, kind);                                                                                                                            \
		__type(key, key_type);                                                                                                                         \
		__type(value, value_type);                                                                                                                     \
		__uint(max_entries, size);                                                                                                                     \
		__uint(map_flags, map_flags_);                                                                                                                 \
	} name SEC(".maps")

TABLE(endpoints, BPF_MAP_TYPE_HASH, struct endpoint_key, struct endpoint, ENDPOINTS_MAX, BPF_F_NO_PREALLOC);
TABLE(devices, BPF_MAP_TYPE_HASH, struct device_key, struct endpoint, ENDPOINTS_MAX, BPF_F_NO_PREALLOC);
TABLE(routes, BPF_MAP_TYPE_HASH, struct route_key, struct route, ROUTES_MAX, BPF_F_NO_PREALLOC);
TABLE(nodes, BPF_MAP_TYPE_HASH, struct node_key, struct node, NODES_MAX, BPF_F_NO_PREALLOC);
TABLE(pairs, BPF_MAP_TYPE_HASH, struct pair_key, struct pair, PAIRS_MAX, BPF_F_NO_PREALLOC);
TABLE(lists, BPF_MAP_TYPE_HASH, struct list_key, struct list, LISTS_MAX, BPF_F_NO_PREALLOC);
TABLE(cidrs, BPF_MAP_TYPE_LPM_TRIE, struct cidr_key, struct cidr, CIDRS_MAX, BPF_F_NO_PREALLOC);
TABLE(identities, BPF_MAP_TYPE_HASH, struct identity_key, struct identity, IDENTITIES_MAX, BPF_F_NO_PREALLOC);
TABLE(networks, BPF_MAP_TYPE_HASH, struct network_key, struct network, NETWORKS_MAX, BPF_F_NO_PREALLOC);
TABLE(egresses, BPF_MAP_TYPE_HASH, struct egress_key, struct egress, EGRESSES_MAX, BPF_F_NO_PREALLOC);
TABLE(aliases, BPF_MAP_TYPE_HASH, struct alias_key, struct alias, ALIASES_MAX, BPF_F_NO_PREALLOC);
TABLE(own_blocks, BPF_MAP_TYPE_LPM_TRIE, struct own_block_key, struct own_block, OWN_BLOCKS_MAX, BPF_F_NO_PREALLOC);
TABLE(ct, BPF_MAP_TYPE_LRU_HASH, struct ct_key, struct ct_entry, CT_MAX, 0);
TABLE(fragments, BPF_MAP_TYPE_LRU_HASH, struct fragment_key, struct fragment, FRAGMENTS_MAX, 0);
TABLE(rule_hits, BPF_MAP_TYPE_PERCPU_HASH, struct rule_key, struct counter, RULES_MAX, BPF_F_NO_PREALLOC);
TABLE(drops, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct counter, DROP_REASONS_COUNT, 0);

TABLE(log_budgets, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct log_budget, 1, 0);

/* Written by programs alone. Arrays: an index is no look-up. */
TABLE(level_clocks, BPF_MAP_TYPE_ARRAY, __u32, struct shaper_clock, SHAPING_LEVELS, 0);
TABLE(shaper_clocks, BPF_MAP_TYPE_ARRAY, __u32, struct shaper_clock, SHAPERS_MAX, 0);
TABLE(level_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct shaper_counter, SHAPING_LEVELS, 0);
TABLE(shaper_counters, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, struct shaper_counter, SHAPERS_MAX, 0);

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, DROP_LOG_BYTES);
} drop_log SEC(".maps");

/* Reading it is no look-up. Written by the daemon through mmap(2), so every read must be volatile. */
volatile struct host_state state SEC(".data.state");

/* As above. */
volatile struct shaping_config shaping SEC(".data.shaping");

#define CONFIG (state.config)

inlined volatile struct policy_set *policy_set_of(__u32 set)
{
	return &state.sets[set & (POLICY_SETS_MAX - 1)];
}

inlined int is_own_address(__be32 ip)
{
#pragma unroll
	for (int i = 0; i < OWN_ADDRESSES_MAX; i++)
		if (state.config.own_addresses[i].words[3] == ip)
			return ip != 0;
	return 0;
}

#ifdef TRACE
/* Builds for tests: how one run went. */
struct trace {
	__u32 lookups;
	__u32 reason;
	__u32 rule;
	/* Where a redirect leads; which device the packet is said to have come in by (0: believe the context). */
	__u32 target;
	__u32 device;
	/* Whose the packet is said to be (to_uplink), or what from_pod said; the time in nanoseconds (0: the kernel's). */
	__u32 mapping;
	__u64 now;
};
volatile struct trace trace SEC(".data.trace");
#define COUNT_LOOKUP() (trace.lookups++)
#else
#define COUNT_LOOKUP()
#endif

/* The only way to ask a hash table or a trie in a program, so that tests can count. */
#define lookup(map, key)                                                                                                                                       \
	({                                                                                                                                                     \
		COUNT_LOOKUP();                                                                                                                                \
		bpf_map_lookup_elem(map, key);                                                                                                                 \
	})
