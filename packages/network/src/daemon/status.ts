import type { EgressAddressState } from '../egress/egress-state.ts'
import type { NetworkQuality } from '@centaurus/api'

/** What a host's network daemon tells of itself: the JSON of `centaurus network status`. */
export interface NetworkStatus {
  readonly node: string
  /** Undefined: ready. Else a sentence. */
  readonly notReady: string | undefined
  /** Programs on devices of the host. */
  readonly attachments: readonly { readonly device: string; readonly program: string; readonly hook: string }[]
  readonly podBlocks: readonly string[]
  readonly pods: readonly PodStatus[]
  readonly networks: readonly VpcStatus[]
  /** Addresses towards the world, of networks that have pods here or whose address this node has. */
  readonly egressAddresses: readonly EgressAddressStatus[]
  readonly nodes: readonly NodeStatus[]
  readonly services: number
  /** How what leaves this host is shaped. */
  readonly shaping: ShapingStatus
  /** How connections of sandboxes go past the network; undefined: not known yet. */
  readonly channels: ChannelStatus | undefined
  /** Services, or parts of them, that can't be served, with why. */
  readonly skippedServices: readonly { readonly service: string; readonly reason: string }[]
  /** Policies of which something was not understood, and is therefore closed. */
  readonly policyProblems: readonly { readonly policy: string; readonly problem: string }[]
  readonly tables: readonly TableStatus[]
  readonly drops: Readonly<Record<string, number>>
  /** The last change of policies, identities or labels: from its arrival until packets see it. Undefined: there was none. */
  readonly lastChange: { readonly at: string; readonly effectiveAfterMs: number } | undefined
}

export interface ChannelStatus {
  /** Why there are none; undefined: there may be. */
  readonly problem: string | undefined
  /** Sandboxes that use them. */
  readonly pods: number
  /** Addresses of hosts to which there is a link. */
  readonly links: readonly string[]
  /** Connections that there are now. */
  readonly connections: number
  /** Connections that were made since the service started. */
  readonly opened: number
  /** Bytes to and from other hosts. */
  readonly carriedBytes: number
}

export interface ShapingStatus {
  /** Undefined: the machine is on no network. */
  readonly device: string | undefined
  /** `edt`: by departure times; `htb`: by classes of HTB; `none`: packets are only marked. */
  readonly mode: 'edt' | 'htb' | 'none'
  /** Bits a second; undefined: not known. */
  readonly bandwidth: number | undefined
  /** What is not as it should be, with what to do. */
  readonly problem: string | undefined
  readonly levels: readonly LevelStatus[]
}

/** A class and priority, or the host's own packets. Counters are since the programs were loaded. */
export interface LevelStatus {
  readonly name: string
  /** Bits a second that it may send now; undefined: not limited. */
  readonly rate: number | undefined
  readonly packets: number
  readonly bytes: number
  readonly drops: number
  readonly marks: number
  /** How long a packet waits now. */
  readonly backlogMs: number
}

export interface PodStatus {
  readonly tenant: string | undefined
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly vni: number
  readonly ip: string
  readonly hostIP: string
  readonly identity: number
  /** Number of its policy set; 0: closed. */
  readonly policySet: number
  readonly isolated: { readonly ingress: boolean; readonly egress: boolean }
  readonly quality: NetworkQuality
}

export interface VpcStatus {
  readonly vni: number
  readonly tenant: string | undefined
  readonly vpc: string | undefined
  readonly pods: number
  readonly policySets: number
  readonly identities: number
}

export interface EgressAddressStatus extends EgressAddressState {
  readonly vni: number
  readonly tenant: string
  readonly vpc: string
}

export interface NodeStatus {
  readonly name: string
  readonly address: string | undefined
  readonly podBlocks: readonly string[]
}

export interface TableStatus {
  readonly name: string
  readonly entries: number
  readonly maxEntries: number
}
