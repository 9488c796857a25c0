import type { PolicySet, Segment, VerdictList } from '../policy/policy-set.ts'

/** First and last port of a range, both inclusive. */
export type PortRange = readonly [first: number, last: number]

/** A pod of this host. All pods of a plan have addresses of their nodes: an address is one pod's. */
export interface ChannelPod {
  readonly ip: string
  /** The runtime's id of its sandbox. Whether it is one of quark's the service finds out. */
  readonly sandbox: string
  readonly network: number
  readonly identity: number
  /** What the kernel has of its policies. */
  readonly set: PolicySet
}

/** Another host with sandboxes. */
export interface ChannelNode {
  /** Where `quark channel` listens there, such as `192.168.0.2:7788`. */
  readonly service: string
  /** Of its pods: it is believed of these alone. */
  readonly blocks: readonly string[]
}

export interface ChannelInputs {
  readonly pods: readonly ChannelPod[]
  /** Identities that the kernel knows of, by network. */
  readonly identities: ReadonlyMap<number, ReadonlySet<number>>
  readonly nodes: readonly ChannelNode[]
}

/** What may be sent to pods that share a policy set. */
export interface ChannelSet {
  /** Ports for identities of which nothing else is said. */
  readonly others: readonly PortRange[]
  readonly peers: readonly { readonly identities: readonly number[]; readonly ports: readonly PortRange[] }[]
}

/** What `quark channel` of a host takes as a line. */
export interface ChannelPlan {
  readonly pods: Readonly<Record<string, ChannelPlanPod>>
  readonly sets: readonly ChannelSet[]
  readonly identities: Readonly<Record<string, readonly number[]>>
  readonly nodes: readonly ChannelNode[]
}

export interface ChannelPlanPod {
  readonly sandbox: string
  readonly network: number
  readonly identity: number
  /** Policies restrict what it sends to pods: who receives must know its identity. */
  readonly isolated: boolean
  /** Index of its set. */
  readonly set: number
}

/**
 * Which connections to this host's pods may be channels: those whose first packet the pod's policy set, as the kernel has it, lets pass whatever the sender's address is. What is not
 * in the plan goes by the network, where the same set meets it. Pure; costs what the sets say.
 */
export function planChannels({ pods, identities, nodes }: ChannelInputs): ChannelPlan {
  const sets = [...new Set(pods.map(({ set }) => set))]
  const networks = [...new Set(pods.map(({ network }) => network))].toSorted((a, b) => a - b)
  return {
    pods: Object.fromEntries(
      pods.map(({ ip, sandbox, network, identity, set }) => {
        return [ip, { sandbox, network, identity, isolated: set.egress.isolated, set: sets.indexOf(set) }]
      }),
    ),
    sets: sets.map(planSet),
    identities: Object.fromEntries(
      networks.map((network) => [network, [...(identities.get(network) ?? [])].toSorted((a, b) => a - b)]),
    ),
    nodes,
  }
}

function planSet({ ingress, egressOfPeers }: PolicySet): ChannelSet {
  const denials = ingress.cidrs.flatMap(({ list }) => list.filter(({ allow }) => !allow))
  const open = (list: VerdictList): PortRange[] => openPorts(list, denials)
  const others = open(ingress.others)
  const groups = new Map<string, { identities: number[]; ports: readonly PortRange[] }>()
  for (const identity of new Set([...ingress.byIdentity.keys(), ...egressOfPeers.keys()])) {
    const list = ingress.byIdentity.get(identity)
    const egress = egressOfPeers.get(identity)
    const arriving = list === undefined ? others : open(list)
    const ports = egress === undefined ? arriving : intersect(arriving, openPorts(egress, []))
    const key = JSON.stringify(ports)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { identities: [identity], ports })
    else group.identities.push(identity)
  }
  return { others, peers: [...groups.values()] }
}

/** Ports of TCP that a list allows and that no denial by address, of any sender, goes before. */
function openPorts(list: VerdictList, denials: readonly Segment[]): PortRange[] {
  const isTcp = ({ protocol }: Segment): boolean => protocol === 'TCP'
  return list
    .filter((segment) => isTcp(segment) && segment.allow)
    .flatMap(({ firstPort, lastPort, precedence }) =>
      denials
        .filter((denial) => isTcp(denial) && denial.precedence < precedence)
        .reduce<PortRange[]>((ranges, denial) => subtract(ranges, denial), [[firstPort, lastPort]]),
    )
}

function subtract(ranges: readonly PortRange[], { firstPort, lastPort }: Segment): PortRange[] {
  return ranges
    .flatMap(([first, last]): PortRange[] => [
      [first, Math.min(last, firstPort - 1)],
      [Math.max(first, lastPort + 1), last],
    ])
    .filter(([first, last]) => first <= last)
}

function intersect(some: readonly PortRange[], others: readonly PortRange[]): PortRange[] {
  return some.flatMap(([first, last]) =>
    others
      .map(([otherFirst, otherLast]): PortRange => [Math.max(first, otherFirst), Math.min(last, otherLast)])
      .filter(([from, to]) => from <= to),
  )
}
