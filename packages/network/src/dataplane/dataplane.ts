import type { PolicySet, PolicySetPeers, RuleId } from '../policy/policy-set.ts'
import type { ServiceTables } from '../services/service-tables.ts'
import type { Level } from '../qos/levels.ts'
import type { HostFacts } from './open-tables.ts'
import type { TableProblem } from '../services/table-state.ts'

/** A pod of this host. */
export interface Endpoint {
  /** Network of its tenant; 1 to 2^24 − 1. */
  readonly vni: number
  readonly ip: string
  /** By which the host's own stack knows it; equals `ip` unless its VPC has a CIDR of its own. */
  readonly hostIP: string
  readonly mac: string
  /** Index of the host's end of its veth. */
  readonly ifindex: number
  readonly identity: number
  /** From {@link Dataplane.addPolicySet}; 0: not ready, only this host reaches it and it reaches nobody. */
  readonly policySet: number
  /** 0 for VPCs that share the nodes' own addresses, else the VNI. */
  readonly routeDomain: number
  /** Length of the blocks in which its VPC's addresses are given to nodes, such as 24. */
  readonly blockPrefix: number
  /** What it sends to the world leaves by its network's {@link Egress}, or not at all. */
  readonly hasEgress?: boolean
  /** Number of its {@link Shaper}: one of its own, or, until it is planned, one from `levelShaper` that such pods of a level have in common. */
  readonly shaper: number
}

/** A pod's level, and the limits of what it sends to other hosts and gets. */
export interface Shaper {
  /** 16 to 4,111; those below are the levels' own. */
  readonly id: number
  readonly level: Level
  /** Bits a second, 1,000 at least; undefined: as much as its level has. */
  readonly egressBandwidth?: number
  readonly ingressBandwidth?: number
}

/** How what leaves by the uplinks is shaped. */
export interface Shaping {
  /** `edt`: times of departure, which fq must keep on every leaf; `htb`: the class of HTB in skb->priority, see `classOf`; `none`: nothing but DSCP. */
  readonly mode: 'edt' | 'htb' | 'none'
  /** By level 0 to 9, bits a second; undefined: not limited. */
  readonly rates: readonly (number | undefined)[]
  /** How long the rates hold when nobody says them again: then levels are not limited. Absent: always. */
  readonly ratesHoldMs?: number
  /** Of a packet on the wire beside its Ethernet frame; 24 for Ethernet: preamble, sum and gap. */
  readonly overheadBytes: number
}

/** Since the programs were loaded, summed over CPUs. */
export interface ShaperCounts {
  readonly packets: number
  /** On the wire: with {@link Shaping.overheadBytes}. */
  readonly bytes: number
  readonly drops: number
  readonly dropBytes: number
  /** Packets that were told to be of a congested way (ECN). */
  readonly marks: number
  /** What waits: the time that it takes to send. */
  readonly backlogNs: number
}

/** A block of pod addresses and the node that has it. */
export interface Route {
  readonly domain: number
  readonly cidr: string
  /** Address of the node on the network between hosts. */
  readonly node: string
  /** Index of the device that leads there; absent: the first uplink. */
  readonly uplink?: number
}

/** How pods of a network reach the world when it has addresses of its own there. */
export interface Egress {
  readonly vni: number
  /** Address of the node whose stack translates; undefined: none can now, and nothing leaves. */
  readonly node: string | undefined
  /** Whether this host translates for the network, also what other hosts' pods send. */
  readonly isHere: boolean
}

/** What this host's stack knows a block by, of a network with a CIDR of its own whose pods on another host reach the world by this one. */
export interface Alias {
  readonly vni: number
  /** Blocks of VPC_BLOCK_PREFIX (layouts.ts). */
  readonly cidr: string
  /** In `240.0.0.0/8`, and no other block's. */
  readonly alias: string
}

export interface DropEvent {
  readonly reason: string
  readonly rule: RuleId
  readonly direction: 'ingress' | 'egress'
  readonly vni: number
  readonly identity: number
  readonly source: string
  readonly destination: string
  /** Host that sent it through the tunnel; `0.0.0.0`: it came otherwise. */
  readonly node: string
  readonly protocol: number
  readonly sourcePort: number
  readonly destinationPort: number
}

export interface Counters {
  /** By reason. */
  readonly drops: ReadonlyMap<string, { readonly packets: number; readonly bytes: number }>
  /** New flows and denied packets by rule. */
  readonly rules: ReadonlyMap<RuleId, { readonly packets: number; readonly bytes: number }>
}

export interface TableFill {
  readonly name: string
  readonly entries: number
  readonly maxEntries: number
}

export interface HostAttachment {
  readonly program: string
  readonly hook: string
  readonly ifindex: number
}

/**
 * The programs and tables of one host. Every call writes to the kernel before it returns, and throws `DataplaneError`, with what to do, when it can't. Packets
 * of a flow see either the state before a call or after it.
 */
export interface Dataplane {
  /**
   * Lets packets see what was written. To be called after everything that is planned was: a data plane that takes over from one with other tables is filled beside
   * it first. Idempotent; nothing is to be done when packets see it already.
   */
  activate(): void
  /** Adds or replaces; the change is atomic for the endpoint. */
  setEndpoint(endpoint: Endpoint): void
  removeEndpoint(endpoint: Pick<Endpoint, 'vni' | 'ip'>): void
  listEndpoints(): Endpoint[]
  /** The program for a pod's veth, on the host's end. Idempotent. */
  attachPod(ifindex: number): void
  setRoute(route: Route): void
  removeRoute(route: Pick<Route, 'domain' | 'cidr'>): void
  /** Also those that an earlier daemon left. */
  listRoutes(): Route[]
  /** A network has a CIDR of its own: addresses in it that no pod has lead nowhere, and never to whoever has them outside. */
  setNetwork(network: { readonly vni: number; readonly cidr: string }): void
  removeNetwork(vni: number): void
  listNetworks(): { readonly vni: number; readonly cidr: string }[]
  /** Adds or replaces. Of pods that have {@link Endpoint.hasEgress} nothing leaves without. */
  setEgress(egress: Egress): void
  removeEgress(vni: number): void
  listEgresses(): Egress[]
  /** Adds or replaces. */
  setAlias(alias: Alias): void
  removeAlias(alias: Alias): void
  /** Also those that an earlier daemon left. */
  listAliases(): Alias[]
  /** Replaces the blocks of addresses that are never the world's, such as `10.96.0.0/12`: Services, pods, what the host itself has. */
  setOwnBlocks(cidrs: readonly string[]): void
  /** Believes identities in packets from this address. */
  setNode(address: string): void
  removeNode(address: string): void
  listNodes(): string[]
  /** Fills a set's tables; nothing uses them before an endpoint names the id. The same key twice gives the same id. */
  addPolicySet(set: PolicySet): number
  /** Adds or replaces what the set says of these peers; atomic for each of them, and flows that were judged before are judged again. */
  extendPolicySet(id: number, peers: PolicySetPeers): void
  /** Endpoints must not name it any more. */
  removePolicySet(id: number): void
  /** Identities of a network that policy sets know of. */
  addIdentities(vni: number, ids: readonly number[]): void
  removeIdentities(vni: number, ids: readonly number[]): void
  listIdentities(): { readonly vni: number; readonly id: number }[]
  /** Replaces all Services, by writing only what differs. Returns those that a full table kept from it. */
  applyServices(tables: ServiceTables): readonly TableProblem[]
  /** Takes note of another uplink, or of other addresses and sizes of the host. */
  setHost(host: HostFacts): void
  readCounters(): Counters
  /** Adds or replaces; the next packet sees it, and what waits already keeps its time. */
  setShaper(shaper: Shaper): void
  /** Endpoints must not name it any more. */
  removeShaper(id: number): void
  listShapers(): Shaper[]
  setShaping(shaping: Shaping): void
  readShaping(): Shaping
  readLevels(): (ShaperCounts & { readonly level: Level })[]
  /** Of every shaper in {@link listShapers}: what it sent. */
  readShapers(): (ShaperCounts & { readonly id: number })[]
  /** How full the tables are whose entries come and go. */
  readTables(): TableFill[]
  /** Programs on devices of the host; those of pods are not among them. */
  listAttachments(): HostAttachment[]
  /** A sample of dropped packets, a bounded number a second. */
  onDrop(listener: (event: DropEvent) => void): () => void
  /** Stops following; programs, tables and pins stay, and traffic goes on. */
  close(): void
  /** Takes everything off the host. */
  remove(): void
}
