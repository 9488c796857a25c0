/** Every record that programs and TypeScript share. */
import { address, array, bits, bytes, ipv4, mac, padding, struct, u16, u32, u64, u8, type ValueOf } from './struct.ts'

/** Policy sets of one host. A host has at most as many as pods, and during a change twice as many; 40 bytes each. */
export const POLICY_SETS_MAX = 16_384
/** Addresses of one host that node ports answer at. */
export const OWN_ADDRESSES_MAX = 16
/** Segments of one list; a segment that jumps leads to as many more. */
export const LIST_SEGMENTS_MAX = 64

/** GENEVE option class; provisional, see decisions/012. */
export const GENEVE_OPTION_CLASS = 0x0173
export const GENEVE_PORT = 6081
/** Outer IPv4, UDP, GENEVE with one option, inner Ethernet. */
export const TUNNEL_OVERHEAD = 20 + 8 + 8 + 8 + 14
export const GATEWAY_MAC = '02:ce:47:00:00:01'
/** Next hop of this host's own packets for addresses of Services outside of the cluster; the same in bpf/from_host.c. */
export const OUTSIDE_MAC = '02:ce:47:00:00:03'

export const IDENTITY_UNKNOWN = 0
export const IDENTITY_HOST = 1
export const IDENTITY_WORLD = 2

/** Order of protocols in a list: {@link segment}'s `start` is protocol × 65,536 + first port. */
export const LIST_PROTOCOLS = ['TCP', 'UDP', 'SCTP', 'other'] as const
export const SEGMENT_DENY = 0
export const SEGMENT_ALLOW = 1
/** `rule` is the id of the list that goes on. */
export const SEGMENT_JUMP = 2
/** Id of the list that allows everything by rule 0, with {@link PRECEDENCE_LAST}: needs no look-up. */
export const LIST_OPEN = 0xffffffff
export const PRECEDENCE_LAST = 0xffff

/** Bits of {@link ctEntry}'s flags. Which end began; whether it has had an answer; how the end that is not a pod of this host is reached. */
export const CT_LOW_BEGAN = 1
export const CT_ANSWERED = 2
/** A Service's address was translated: answers are translated back. */
export const CT_TRANSLATED = 4
/** The other end is the host's stack, or behind it. */
export const CT_VIA_HOST = 8
/** The other end is a node itself, reached through the tunnel. */
export const CT_VIA_NODE = 16
/** The end that began is under egress policies of its own host: see GENEVE option type 2. */
export const CT_ISOLATED = 32
/** The other end is a pod of the same network. */
export const CT_TO_POD = 64
/** Whatever policies say: this host to its own pods, and a pod to itself. */
export const CT_EXEMPT = 128

/** States of a TCP flow that its time-out depends on; other protocols stay in the first two. */
export const CT_OPENING = 0
export const CT_ESTABLISHED = 1
export const CT_HALF_CLOSED_LOW = 2
export const CT_HALF_CLOSED_HIGH = 3
export const CT_CLOSED = 4

export const CIDRS_INGRESS = 0
export const CIDRS_EGRESS = 1

/** Bits of {@link policySet}'s flags. */
export const SET_USED = 1
export const SET_INGRESS_CIDRS = 2
export const SET_EGRESS_CIDRS = 4
export const SET_EGRESS_ISOLATED = 8

/** Network 0 is the hosts' own: key of pods by the address that their host knows them by. */
export const endpointKey = struct('endpoint_key', { vni: u32, ip: address })
/** A pod of this host; by address, and by the ifindex of its device. */
export const endpoint = struct('endpoint', {
  ip: address,
  hostIP: address,
  vni: u32,
  ifindex: u32,
  identity: u32,
  policySet: u32,
  routeDomain: u32,
  mac,
  blockPrefix: u8,
  flags: u8,
  /** See layouts/shaping.ts. */
  shaper: u16,
  pad: padding(2),
})
/** Bit of {@link endpoint}'s flags: what the pod sends to the world leaves by its network's {@link egress}. */
export const ENDPOINT_EGRESS = 1
export const deviceKey = struct('device_key', { ifindex: u32 })

export const routeKey = struct('route_key', { domain: u32, block: address })
/** `ifindex` is the uplink that leads to the node. */
export const route = struct('route', { node: address, ifindex: u32 })

export const nodeKey = struct('node_key', { ip: address })
export const node = struct('node', { flags: u32 })

export const pairKey = struct('pair_key', { set: u32, peer: u32 })
/** Ids of lists; 0: the set has nothing of its own for this peer (ingress: what holds for others; egress: allowed). */
export const pair = struct('pair', { ingress: u32, egress: u32 })

export const segment = struct('segment', { start: u32, rule: u32, precedence: u16, verdict: u8, pad: padding(1) })
export const listKey = struct('list_key', { id: u32 })
/** Sorted by `start`; a segment reaches to the next one. The first starts at 0. */
export const list = struct('list', { count: u32, segments: array(segment, LIST_SEGMENTS_MAX) })

/** For an LPM trie: `prefixLength` counts from `set`, whose 64 bits and the direction's are always compared. */
export const cidrKey = struct('cidr_key', { prefixLength: u32, set: u32, direction: u32, ip: address })
export const cidr = struct('cidr', { list: u32 })

export const identityKey = struct('identity_key', { vni: u32, id: u32 })
export const identity = struct('identity', { known: u32 })

/**
 * The two ends in order of address, then port, so that both directions of a flow have one key. What programs write for each flow is of IPv4 alone: 16 bytes are
 * compared sooner than the 44 that IPv6 needs, which will have tables of its own.
 */
export const ctKey = struct('ct_key', {
  vni: bits(24),
  protocol: bits(8),
  low: ipv4,
  high: ipv4,
  lowPort: u16,
  highPort: u16,
})
export const ctEntry = struct('ct_entry', {
  /** Seconds since boot, coarse. */
  seen: u32,
  /** Who judged it and when: see {@link policySet}'s epoch. Set 0: nobody. */
  egressEpoch: u32,
  ingressEpoch: u32,
  egressSet: u16,
  ingressSet: u16,
  /** Devices of the ends that are pods of this host; 0: others. An address that another pod has got keeps no flow of the one before. */
  lowDevice: u32,
  highDevice: u32,
  /** Of the end that began. */
  identity: u32,
  flags: u16,
  state: u8,
  pad: padding(1),
})

export const fragmentKey = struct('fragment_key', {
  vni: bits(24),
  protocol: bits(8),
  source: ipv4,
  destination: ipv4,
  id: u16,
  pad: padding(2),
})
export const fragment = struct('fragment', { sourcePort: u16, destinationPort: u16, seen: u32 })

/** Networks with a CIDR of their own, which are also domains of routes. Lengths of their blocks and of the CIDR; 0: not known. */
export const networkKey = struct('network_key', { vni: u32 })
export const network = struct('network', { ip: address, blockPrefix: u32, prefix: u32 })

/** Upper bits of the mark by which a host's stack knows what leaves by an address of a network; the network's number is in the lower 24. */
export const EGRESS_MARK = 0xce000000
/** Bit of {@link egress}'s flags: this host has an address for the network, also for pods of others. */
export const EGRESS_HERE = 1
/** Networks with addresses of their own in the world. `node` is the host that what this host's pods send leaves by; 0.0.0.0: none can now. */
export const egressKey = struct('egress_key', { vni: u32 })
export const egress = struct('egress', { node: address, flags: u32 })

/** Length of the blocks in which a network's own addresses are given to nodes. */
export const VPC_BLOCK_PREFIX = 26
/** First byte of the addresses by which a host's stack knows pods of others whose own addresses may be anybody's. No pod and nobody in the world has such. */
export const ALIAS_BYTE = 240
/** From a block of a network with a CIDR of its own to the block that stands for it on this host, which is one of network 0, and back. */
export const aliasKey = struct('alias_key', { vni: u32, block: address })
export const alias = struct('alias', { block: address, vni: u32 })

/** For an LPM trie: addresses that a host's own stack answers for, or leads to pods and Services. What is for them is not for the world. */
export const ownBlockKey = struct('own_block_key', { prefixLength: u32, ip: address })
export const ownBlock = struct('own_block', { flags: u32 })

export const ruleKey = struct('rule_key', { rule: u32 })
export const counter = struct('counter', { packets: u64, bytes: u64 })

/** One dropped packet, as the ring buffer tells it. */
export const dropEvent = struct('drop_event', {
  reason: u32,
  rule: u32,
  vni: u32,
  identity: u32,
  source: address,
  destination: address,
  /** Host that sent it through the tunnel; 0.0.0.0: it came otherwise. What could not be read as far as the packet inside is a packet between two hosts. */
  node: address,
  sourcePort: u16,
  destinationPort: u16,
  protocol: u8,
  direction: u8,
  pad: padding(2),
  length: u32,
})

/** Per CPU: what the drop log has had in one second. */
export const logBudget = struct('log_budget', { second: u32, used: u32 })

/** Head of a policy set; its number is its place in the array. */
export const policySet = struct('policy_set', {
  /** Raised by every change: what was judged by another epoch is judged again. */
  epoch: u32,
  flags: u32,
  /** Lists: ingress of peers without a pair; coarse egress to pods; egress to the outside without a CIDR's own list. */
  ingressOthers: u32,
  egressToPods: u32,
  egressOutside: u32,
  /** Of its key, so that a daemon that comes back knows it again. */
  digest: bytes(16),
})

/** What programs must know of their host. */
export const hostConfig = struct('host_config', {
  /** Of this node on the network between hosts. */
  nodeIP: address,
  /** Of the host's end of the pod network: the device that leads to pods. */
  hostIP: address,
  hostIfindex: u32,
  /** The uplink of routes without one. */
  uplinkIfindex: u32,
  /** Largest IPv4 packet of a pod. */
  podMtu: u32,
  /** Blocks of addresses that default networks give to nodes. */
  blockPrefix: u32,
  /** Bound of the drop log, on each CPU. */
  logPerSecond: u32,
  /** Every address of the host, the two above among them. */
  ownAddressCount: u32,
  ownAddresses: array(address, OWN_ADDRESSES_MAX),
})

/** Memory that TypeScript maps: no look-up in a program, no system call here. */
export const hostState = struct('host_state', { config: hostConfig, sets: array(policySet, POLICY_SETS_MAX) })

export type SegmentRecord = ValueOf<typeof segment>
export type ListRecord = ValueOf<typeof list>
export type PairRecord = ValueOf<typeof pair>
export type CtEntryRecord = ValueOf<typeof ctEntry>
export type NetworkRecord = ValueOf<typeof network>
export type EndpointRecord = ValueOf<typeof endpoint>
export type PolicySetRecord = ValueOf<typeof policySet>
export type HostConfig = ValueOf<typeof hostConfig>
