import { parseAddress } from './block.ts'
import { DNS_PORTS } from './compile-set.ts'
import { findSegment, type FlowStart } from './evaluate.ts'
import type { Target } from './peer-truth.ts'
import type { Direction } from './policy-rule.ts'
import type { PodFacts, PolicyWorld } from './policy-world.ts'
import { Program, type NamedPort, type Selection } from './program.ts'
import type { VerdictList } from './policy-set.ts'
import type { RuleEntry } from './rule-book.ts'

/** Whether a packet may pass one end's policies. */
export interface VerdictQuestion {
  readonly direction: Direction
  /** Whose policies are asked: the receiver's for ingress, the sender's for egress. */
  readonly pod: PodFacts
  /** The other end: a pod of the network, or an address outside of it. */
  readonly peer: PodFacts | { readonly address: string }
  readonly packet: FlowStart
  /** What to call the two, such as `default/web`. */
  readonly podName: string
  readonly peerName: string
}

export interface ExplainedVerdict {
  readonly allowed: boolean
  /** Whether NetworkPolicies select the pod, so that it is closed but for what they allow. */
  readonly isolated: boolean
  /** What decided; with index −1, that no rule of the isolating policies allows it. Undefined: no rule says anything. */
  readonly rule: RuleEntry | undefined
  /** All that are for the pod in this direction, in the order in which they are asked. */
  readonly policies: readonly string[]
  /** Such as `no ingress rule of default/deny-all, default/web allows TCP 8080 from y/b`. */
  readonly reason: string
}

/** Decides as the compiled sets do, for one packet, and says why. Pure; costs what is for the pod. */
export function explainVerdict(world: PolicyWorld, question: VerdictQuestion): ExplainedVerdict {
  const { packet } = question
  const { selection, list } = judgeBetween(world, question)
  const segment = findSegment(list, packet)
  const rule = world.rules.describe(segment.rule)
  const all = [...selection.admin, ...selection.policies, ...selection.baseline]
  return {
    allowed: segment.allow,
    isolated: selection.policies.length > 0,
    rule,
    policies: all.map(({ policy }) => policy.key),
    reason: describeReason(question, selection, { rule, allowed: segment.allow }),
  }
}

/** What one end's policies say of all packets of the other. Pure. */
export function judgeBetween(
  world: PolicyWorld,
  { direction, pod, peer }: Pick<VerdictQuestion, 'direction' | 'pod' | 'peer'>,
): { readonly selection: Selection; readonly list: VerdictList } {
  const selection = world.policies.select(world.viewOf(pod), direction)
  const target =
    'address' in peer ? findOutside(world, peer.address) : { ...findPod(world, peer), namedPorts: peer.namedPorts }
  const namedPorts = direction === 'ingress' ? pod.namedPorts : target.namedPorts
  return { selection, list: new Program(selection, { namedPorts, doubt: 'closed' }).listForTarget(target) }
}

function findPod(world: PolicyWorld, peer: PodFacts): Target {
  const view = world.viewOf(peer)
  return { pod: view, block: view.address }
}

function findOutside(
  { outside, identities }: PolicyWorld,
  address: string,
): Target & { namedPorts: readonly NamedPort[] } {
  const first = parseAddress(address)
  if (first === undefined) return { namedPorts: [] }
  const block = { first, prefix: 32 }
  const isThere = (blocks: readonly { first: number }[]): boolean => blocks.some((one) => one.first === first)
  if (isThere(outside.dns.addresses)) return { pod: identities.dns, block, namedPorts: DNS_PORTS }
  return { node: outside.nodes.find(({ addresses }) => isThere(addresses))?.known, block, namedPorts: [] }
}

interface Decided {
  readonly rule: RuleEntry | undefined
  readonly allowed: boolean
}

function describeReason(question: VerdictQuestion, selection: Selection, { rule, allowed }: Decided): string {
  const { direction, packet, podName, peerName } = question
  const port = packet.protocol === 'other' ? 'protocols without ports' : `${packet.protocol} ${packet.port}`
  const traffic = `${port} ${direction === 'ingress' ? `from ${peerName}` : `to ${peerName}`}`
  if (rule === undefined) {
    const others = [...selection.admin, ...selection.baseline].map(({ policy }) => policy.key)
    if (others.length === 0) return `no policy is for ${direction} of ${podName}`
    return `no ${direction} rule of ${others.join(', ')} is about ${traffic}`
  }
  if (rule.index < 0) {
    return `no ${direction} rule of ${selection.policies.map(({ policy }) => policy.key).join(', ')} allows ${traffic}`
  }
  const object = `${rule.kind} ${rule.namespace === '' ? rule.name : `${rule.namespace}/${rule.name}`}`
  const { name } = JSON.parse(rule.text) as { readonly name?: string }
  const which = `${direction} rule ${rule.index}${name === undefined ? '' : ` (${name})`} of ${object}`
  return `${which} ${allowed ? 'allows' : 'denies'} ${traffic}`
}
