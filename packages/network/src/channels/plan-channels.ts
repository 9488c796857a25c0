import { judgeBetween } from '../policy/explain-verdict.ts'
import type { VerdictList } from '../policy/policy-set.ts'
import type { PodFacts, PolicyWorld } from '../policy/policy-world.ts'

/** First and last port of a range, both inclusive. */
export type PortRange = readonly [first: number, last: number]

/** A pod in a sandbox of quark. All pods of a plan are of one network: an address is one pod's. */
export interface ChannelPod {
  readonly facts: PodFacts
  /** On this node: the name of its sandbox. On another: where `quark channel` listens there, such as `192.168.0.2:7788`. */
  readonly place: { readonly sandbox: string } | { readonly service: string }
}

/** What may be a channel from one pod to another. */
export interface ChannelFlow {
  readonly from: string
  readonly to: string
  readonly ports: readonly PortRange[]
}

/** What `quark channel` of a node takes as a line of standard input. */
export interface ChannelPlan {
  readonly local: Readonly<Record<string, string>>
  readonly pods: Readonly<Record<string, string>>
  readonly flows: readonly ChannelFlow[]
}

/**
 * Which connections of this node's sandboxed pods may go by a channel: those whose first packet both ends' policies let pass. Whatever is not in it goes by
 * the network, where the same policies meet it. Costs what is for each pair of pods of which one is on this node.
 */
export function planChannels(world: PolicyWorld, pods: readonly ChannelPod[]): ChannelPlan {
  const local: Record<string, string> = {}
  const away: Record<string, string> = {}
  for (const { facts, place } of pods) {
    if ('sandbox' in place) local[facts.ip] = place.sandbox
    else away[facts.ip] = place.service
  }
  const flows = pods.flatMap((from) =>
    pods.flatMap((to) => {
      if (from === to || !('sandbox' in from.place || 'sandbox' in to.place)) return []
      const ports = allowedPorts(world, from.facts, to.facts)
      return ports.length === 0 ? [] : [{ from: from.facts.ip, to: to.facts.ip, ports }]
    }),
  )
  return { local, pods: away, flows }
}

/** TCP ports at which `to` may be reached by `from`. */
function allowedPorts(world: PolicyWorld, from: PodFacts, to: PodFacts): PortRange[] {
  const leaving = openPorts(judgeBetween(world, { direction: 'egress', pod: from, peer: to }).list)
  const arriving = openPorts(judgeBetween(world, { direction: 'ingress', pod: to, peer: from }).list)
  return leaving.flatMap(([first, last]) =>
    arriving
      .map(([otherFirst, otherLast]): PortRange => [Math.max(first, otherFirst), Math.min(last, otherLast)])
      .filter(([from, to]) => from <= to),
  )
}

function openPorts(list: VerdictList): PortRange[] {
  return list
    .filter(({ protocol, allow }) => protocol === 'TCP' && allow)
    .map(({ firstPort, lastPort }) => [firstPort, lastPort])
}
