import type { Block } from './block.ts'
import type { PodSelector } from './pod-selector.ts'
import type { PortProtocol, RuleId } from './policy-set.ts'

/** In the order in which they are asked. */
export type Tier = 'Admin' | 'NetworkPolicy' | 'Baseline'

export type Direction = 'ingress' | 'egress'

/** `Pass`: the rest of the tier is not asked. */
export type Action = 'Accept' | 'Deny' | 'Pass'

/** Pods by their labels and those of their namespace. */
export interface PodsPeer {
  readonly kind: 'pods'
  /** Equal texts, equal peers. */
  readonly text: string
  /** The only namespace that is meant. */
  readonly namespace: string | undefined
  readonly namespaces: PodSelector
  readonly pods: PodSelector
}

export interface BlockPeer {
  readonly kind: 'block'
  readonly block: Block
  readonly except: readonly Block[]
}

export interface NodesPeer {
  readonly kind: 'nodes'
  readonly nodes: PodSelector
}

/** `anybody`: also what is neither a pod nor a node. */
export type Peer = { readonly kind: 'anybody' } | PodsPeer | BlockPeer | NodesPeer

/** Destination ports of a rule. A name counts on pods that have a port of that name and protocol; without protocol, of any protocol. */
export type PortMatch =
  | { readonly protocol: PortProtocol; readonly firstPort: number; readonly lastPort: number }
  | { readonly protocol: PortProtocol | undefined; readonly name: string }

export interface PolicyRule {
  readonly id: RuleId
  readonly action: Action
  /** Any of them; none: nobody. */
  readonly peers: readonly Peer[]
  /** Absent: every protocol and port. */
  readonly ports: readonly PortMatch[] | undefined
}

export interface PolicyRules {
  readonly rules: readonly PolicyRule[]
  /** Names what denies when no rule allows; of the tier NetworkPolicy only. */
  readonly isolation: RuleId
}

/** A policy of either kind, ready to compile. */
export interface ParsedPolicy {
  /** `namespace/name`, or the name. */
  readonly key: string
  /** Another one for each reading, so that what was made from an older reading is never taken for this one's. */
  readonly version: number
  readonly tier: Tier
  /** Order in its tier, then by name. */
  readonly priority: number
  readonly subject: PodsPeer
  /** Whether the subject itself can't be read: then it may be any pod. */
  readonly isSubjectUnknown: boolean
  /** Absent: says nothing about this direction. */
  readonly ingress: PolicyRules | undefined
  readonly egress: PolicyRules | undefined
  /** What was not understood and is therefore closed, a sentence each. */
  readonly problems: readonly string[]
}
