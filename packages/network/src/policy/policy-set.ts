/**
 * The narrow door between the policy compiler, which is pure, and the data plane. A *policy set* is everything that policies say about the
 * packets of one pod. Pods of which they say the same share one.
 */

/** `other`: every protocol without ports, such as ICMP. */
export type PortProtocol = 'TCP' | 'UDP' | 'SCTP' | 'other'

/** Names a rule of a policy for counters and explanations; given by the {@link RuleBook}. 0: no rule, the open default. */
export type RuleId = number

/** What holds for one protocol and an interval of destination ports. */
export interface Segment {
  readonly protocol: PortProtocol
  /** Both inclusive; 0 to 65,535. `other` has one segment, 0 to 65,535. */
  readonly firstPort: number
  readonly lastPort: number
  readonly allow: boolean
  /** Of two lists of the same set and direction that both have something to say, the lower one wins. 0 to 65,535. */
  readonly precedence: number
  readonly rule: RuleId
}

/** Disjoint, sorted by protocol (in the order of {@link PortProtocol}) and port, and complete: each protocol and port is in exactly one segment. */
export type VerdictList = readonly Segment[]

/** What holds for addresses in a block. The longest block that has an address counts alone: its list already says what shorter ones say. */
export interface CidrVerdicts {
  /** IPv4, such as `10.0.0.0/8`; host bits are zero. */
  readonly cidr: string
  readonly list: VerdictList
}

export interface PolicySet {
  /** Sets with equal keys have equal content, in every process. */
  readonly key: string
  /** Who may send to the pod. The identity's list and that of the source's address are both asked. */
  readonly ingress: {
    /** By the sender's identity. */
    readonly byIdentity: ReadonlyMap<number, VerdictList>
    /** For identities that are not in the map, unknown ones among them: says what holds for anybody, so it fails closed. */
    readonly others: VerdictList
    readonly cidrs: readonly CidrVerdicts[]
  }
  /** What the egress policies of a pod with that identity say about packets to this pod. Not in the map: allowed. */
  readonly egressOfPeers: ReadonlyMap<number, VerdictList>
  readonly egress: {
    /** Whether any policy restricts what the pod sends to pods: then a receiver must know its identity. */
    readonly isolated: boolean
    /** Denies where no pod could be allowed; the receiver's host has the last word. */
    readonly toPods: VerdictList
    /** To addresses outside of the VPC: nodes and the world. */
    readonly outside: { readonly others: VerdictList; readonly cidrs: readonly CidrVerdicts[] }
  }
}

/** What a set in use says from now on about peers: new ones, and those of whom something else is said. Peers that are not named stay as they are. */
export interface PolicySetPeers {
  readonly ingress: ReadonlyMap<number, VerdictList>
  readonly egressOfPeers: ReadonlyMap<number, VerdictList>
}
