import type { Clock } from '@centaurus/base'
import type { DropEvent } from '../dataplane/dataplane.ts'
import type { DropReason } from '../layouts/reasons.ts'

/** One end of a packet, for people. */
export interface NamedEnd {
  readonly address: string
  readonly port: number
  /** `namespace/name` of a pod of this host, or `node` and a node's name; undefined: this host does not know. */
  readonly name: string | undefined
  /** What the identity that the packet carried says of a sender without a name, such as `a pod of shop with app=web`. */
  readonly group: string | undefined
}

/** Rule of a policy, for people and programs. */
export interface NamedRule {
  readonly kind: string
  /** Empty for ClusterNetworkPolicies. */
  readonly namespace: string
  readonly name: string
  readonly direction: string
  /** Its place in the policy; −1: no rule of it, but that it isolates. */
  readonly index: number
}

export interface NamedDrop {
  /** ISO 8601. */
  readonly at: string
  readonly reason: string
  readonly direction: DropEvent['direction']
  readonly tenant: string | undefined
  /** The name that its tenant has for the network that both ends are in. */
  readonly network: string | undefined
  /** Host that sent it through the tunnel; `name` undefined: it is no node. */
  readonly via: { readonly address: string; readonly name: string | undefined } | undefined
  readonly protocol: string
  readonly source: NamedEnd
  readonly destination: NamedEnd
  readonly rule: NamedRule | undefined
  /** What else is known of the reason, as a sentence: of `NoEgress`, which node is to have the address. */
  readonly why?: string | undefined
}

/** Finds names; asked when the packet was dropped, since addresses change hands. */
export interface DropNames {
  tenantOf(vni: number): string | undefined
  networkOf(vni: number): string | undefined
  nameOf(vni: number, address: string): string | undefined
  nodeOf(address: string): string | undefined
  groupOf(vni: number, identity: number): string | undefined
  ruleOf(rule: number): NamedRule | undefined
  /** Why nothing leaves the network for the world now. */
  whyNoEgress(vni: number): string | undefined
}

/** {@link DropEvent}'s `node` when there is none. */
const NO_NODE = '0.0.0.0'
/** Drops that are remembered for who asks later. */
const REMEMBERED_MAX = 1_000

/** Names by number. Source: IANA's protocol numbers. */
const PROTOCOLS: Readonly<Record<number, string>> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 132: 'SCTP' }

/** A sample of what was dropped lately. */
export class DropLog {
  readonly #clock: Pick<Clock, 'now'>
  readonly #names: DropNames
  readonly #recent: NamedDrop[] = []
  readonly #followers = new Set<(drop: NamedDrop) => void>()

  constructor(clock: Pick<Clock, 'now'>, names: DropNames) {
    this.#clock = clock
    this.#names = names
  }

  /** The newest comes last. */
  get recent(): readonly NamedDrop[] {
    return this.#recent
  }

  add(event: DropEvent): void {
    const drop = this.#describe(event)
    this.#recent.push(drop)
    if (this.#recent.length > REMEMBERED_MAX) this.#recent.shift()
    for (const follower of this.#followers) follower(drop)
  }

  /** Hears of what comes from now on. Returns what ends it. */
  follow(follower: (drop: NamedDrop) => void): () => void {
    const own = (drop: NamedDrop): void => follower(drop)
    this.#followers.add(own)
    return () => void this.#followers.delete(own)
  }

  #describe(event: DropEvent): NamedDrop {
    const { vni, source, destination, node } = event
    const names = this.#names
    const sender = names.nameOf(vni, source)
    return {
      at: new Date(this.#clock.now()).toISOString(),
      reason: event.reason,
      direction: event.direction,
      tenant: names.tenantOf(vni),
      network: names.networkOf(vni),
      via: node === NO_NODE ? undefined : { address: node, name: names.nodeOf(node) },
      protocol: PROTOCOLS[event.protocol] ?? String(event.protocol),
      source: {
        address: source,
        port: event.sourcePort,
        name: sender,
        group: sender === undefined ? names.groupOf(vni, event.identity) : undefined,
      },
      destination: {
        address: destination,
        port: event.destinationPort,
        name: names.nameOf(vni, destination),
        group: undefined,
      },
      rule: event.rule === 0 ? undefined : names.ruleOf(event.rule),
      why: event.reason === ('NoEgress' satisfies DropReason) ? names.whyNoEgress(vni) : undefined,
    }
  }
}
