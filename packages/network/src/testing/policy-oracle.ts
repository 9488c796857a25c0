/**
 * What NetworkPolicies and ClusterNetworkPolicies say of one packet, read straight from their specifications, one object after the other, as slowly as that takes.
 * Shares nothing with the compiler but types. Sources: k8s.io/api/networking/v1 types.go v1.37; sigs.k8s.io/network-policy-api v0.2 apis/v1alpha2.
 */
import type { LabelSelector } from '@centaurus/api/meta/v1'
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '@centaurus/api/networking/v1'
import type {
  ClusterNetworkPolicy,
  ClusterNetworkPolicyEgressPeer,
  ClusterNetworkPolicyEgressRule,
  ClusterNetworkPolicyIngressRule,
  ClusterNetworkPolicySubject,
} from '@centaurus/api/policy-networking/v1alpha2'
import type { NamedPort } from '../policy/program.ts'

export interface OraclePod {
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly ip: string
  readonly namedPorts: readonly NamedPort[]
}

export interface OracleNode {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly addresses: readonly string[]
}

export interface OracleWorld {
  /** Labels by name. */
  readonly namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly pods: readonly OraclePod[]
  readonly nodes: readonly OracleNode[]
  readonly networkPolicies: readonly NetworkPolicy[]
  readonly clusterNetworkPolicies: readonly ClusterNetworkPolicy[]
}

/** A pod, or an address that is none. */
export type Party = { readonly pod: OraclePod } | { readonly address: string }

export interface Traffic {
  readonly source: Party
  readonly destination: Party
  readonly protocol: 'TCP' | 'UDP' | 'SCTP' | 'ICMP'
  /** Destination port. */
  readonly port: number
}

/** Names a rule; index −1: the policy isolates and no rule allows. */
export interface RuleName {
  readonly kind: 'NetworkPolicy' | 'ClusterNetworkPolicy'
  readonly namespace: string
  readonly name: string
  readonly index: number
}

export interface Judgement {
  readonly allowed: boolean
  /** Rules that may be said to have decided; none: no policy says anything. */
  readonly by: readonly RuleName[]
}

export interface OracleVerdict {
  readonly allowed: boolean
  /** Absent when that end is no pod. */
  readonly egress: Judgement | undefined
  readonly ingress: Judgement | undefined
}

type Side = 'ingress' | 'egress'
type ClusterRule = ClusterNetworkPolicyIngressRule | ClusterNetworkPolicyEgressRule

/** Whether the packet may pass, and who says so. */
export function askOracle(world: OracleWorld, traffic: Traffic): OracleVerdict {
  const { source, destination } = traffic
  const isLoopback = 'pod' in source && 'pod' in destination && source.pod === destination.pod
  if (isLoopback) return { allowed: true, egress: undefined, ingress: undefined }
  const egress =
    'pod' in source ? judge(world, traffic, { side: 'egress', self: source.pod, peer: destination }) : undefined
  const ingress =
    'pod' in destination ? judge(world, traffic, { side: 'ingress', self: destination.pod, peer: source }) : undefined
  return { allowed: (egress?.allowed ?? true) && (ingress?.allowed ?? true), egress, ingress }
}

interface Question {
  readonly side: Side
  /** The pod whose policies are asked. */
  readonly self: OraclePod
  readonly peer: Party
}

function judge(world: OracleWorld, traffic: Traffic, question: Question): Judgement {
  return (
    judgeTier('Admin', world, { traffic, question }) ??
    judgeNetworkPolicies(world, traffic, question) ??
    judgeTier('Baseline', world, { traffic, question }) ?? { allowed: true, by: [] }
  )
}

/** Rules in order; the first that matches decides. Undefined: the next tier is asked. */
function judgeTier(
  tier: string,
  world: OracleWorld,
  { traffic, question }: { traffic: Traffic; question: Question },
): Judgement | undefined {
  const policies = world.clusterNetworkPolicies
    .filter(({ spec }) => spec.tier === tier)
    .toSorted((a, b) => a.spec.priority - b.spec.priority || (a.metadata.name! < b.metadata.name! ? -1 : 1))
  for (const { metadata, spec } of policies) {
    if (!selectsPods(spec.subject, question.self, world)) continue
    for (const [index, rule] of (spec[question.side] ?? []).entries()) {
      const by = [{ kind: 'ClusterNetworkPolicy' as const, namespace: '', name: metadata.name!, index }]
      if (!isUnderstood(rule, question.side)) {
        if (rule.action === 'Accept') continue
        return { allowed: false, by }
      }
      const peers: readonly ClusterNetworkPolicyEgressPeer[] = 'from' in rule ? rule.from : rule.to
      if (!peers.some((peer) => isClusterPeer(peer, question.peer, world))) continue
      if (!matchesProtocols(rule, traffic)) continue
      if (rule.action === 'Pass') return undefined
      return { allowed: rule.action === 'Accept', by }
    }
  }
  return undefined
}

function isUnderstood(rule: ClusterRule, side: Side): boolean {
  const known = side === 'ingress' ? ['namespaces', 'pods'] : ['namespaces', 'pods', 'nodes', 'networks']
  const peers: readonly ClusterNetworkPolicyEgressPeer[] = 'from' in rule ? rule.from : rule.to
  return peers.every((peer) => Object.keys(peer).length === 1 && known.includes(Object.keys(peer)[0]!))
}

function isClusterPeer(peer: ClusterNetworkPolicyEgressPeer, party: Party, world: OracleWorld): boolean {
  if (peer.networks !== undefined) return peer.networks.some((cidr) => isInside(addressOf(party), cidr))
  if (peer.nodes !== undefined) {
    return world.nodes.some(
      (node) => selects(peer.nodes!, node.labels) && node.addresses.includes(addressOf(party)) && !('pod' in party),
    )
  }
  return 'pod' in party && selectsPods(peer, party.pod, world)
}

function selectsPods({ namespaces, pods }: ClusterNetworkPolicySubject, pod: OraclePod, world: OracleWorld): boolean {
  const labels = world.namespaces[pod.namespace] ?? {}
  if (namespaces !== undefined) return selects(namespaces, labels)
  return selects(pods?.namespaceSelector ?? {}, labels) && selects(pods?.podSelector ?? {}, pod.labels)
}

function matchesProtocols({ protocols }: ClusterRule, { protocol, port, destination }: Traffic): boolean {
  if (protocols === undefined) return true
  return protocols.some((one) => {
    if (one.destinationNamedPort !== undefined) {
      return namedPortsOf(destination).some(
        (named) => named.name === one.destinationNamedPort && named.protocol === protocol && named.port === port,
      )
    }
    const match = { TCP: one.tcp, UDP: one.udp, SCTP: one.sctp, ICMP: undefined }[protocol]
    if (match === undefined) return false
    const { number, range } = match.destinationPort ?? {}
    if (number !== undefined) return port === number
    return range === undefined || (port >= range.start && port <= range.end)
  })
}

/** Policies add up: whoever is selected is closed but for what some rule allows. Undefined: none selects the pod. */
function judgeNetworkPolicies(
  world: OracleWorld,
  traffic: Traffic,
  { side, self, peer }: Question,
): Judgement | undefined {
  const selecting = world.networkPolicies.filter(
    (policy) =>
      policy.metadata.namespace === self.namespace &&
      typesOf(policy).includes(side) &&
      selects(policy.spec?.podSelector ?? {}, self.labels),
  )
  if (selecting.length === 0) return undefined
  const allowing: RuleName[] = []
  const isolating: RuleName[] = []
  for (const policy of selecting) {
    const name = { kind: 'NetworkPolicy' as const, namespace: self.namespace, name: policy.metadata.name! }
    isolating.push({ ...name, index: -1 })
    const rules = side === 'ingress' ? (policy.spec?.ingress ?? []) : (policy.spec?.egress ?? [])
    for (const [index, rule] of rules.entries()) {
      const peers = 'from' in rule ? rule.from : 'to' in rule ? rule.to : undefined
      const hasPeer =
        (peers ?? []).length === 0 || peers!.some((one) => isPeer(one, peer, { world, namespace: self.namespace }))
      const hasPort = (rule.ports ?? []).length === 0 || rule.ports!.some((one) => isPort(one, traffic))
      if (hasPeer && hasPort) allowing.push({ ...name, index })
    }
  }
  return allowing.length > 0 ? { allowed: true, by: allowing } : { allowed: false, by: isolating }
}

function typesOf({ spec }: NetworkPolicy): Side[] {
  const types = spec?.policyTypes ?? []
  if (types.length > 0) return types.map((type) => (type === 'Ingress' ? 'ingress' : 'egress'))
  return (spec?.egress ?? []).length > 0 ? ['ingress', 'egress'] : ['ingress']
}

function isPeer(
  { podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer,
  party: Party,
  { world, namespace }: { world: OracleWorld; namespace: string },
): boolean {
  if (ipBlock !== undefined) {
    const address = addressOf(party)
    return isInside(address, ipBlock.cidr) && !(ipBlock.except ?? []).some((cidr) => isInside(address, cidr))
  }
  if (!('pod' in party)) return false
  const isNamespaceMeant =
    namespaceSelector === undefined
      ? party.pod.namespace === namespace
      : selects(namespaceSelector, world.namespaces[party.pod.namespace] ?? {})
  return isNamespaceMeant && (podSelector === undefined || selects(podSelector, party.pod.labels))
}

function isPort(match: NetworkPolicyPort, { protocol, port, destination }: Traffic): boolean {
  const wanted = match.protocol ?? 'TCP'
  if (wanted !== protocol) return false
  if (match.port === undefined) return true
  if (typeof match.port === 'string') {
    return namedPortsOf(destination).some(
      (named) => named.name === match.port && named.protocol === wanted && named.port === port,
    )
  }
  return port >= match.port && port <= (match.endPort ?? match.port)
}

function namedPortsOf(party: Party): readonly NamedPort[] {
  return 'pod' in party ? party.pod.namedPorts : []
}

function addressOf(party: Party): string {
  return 'pod' in party ? party.pod.ip : party.address
}

function selects(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  for (const [key, value] of Object.entries(matchLabels)) if (labels[key] !== value) return false
  for (const { key, operator, values = [] } of matchExpressions) {
    const value = labels[key]
    if (operator === 'In' && (value === undefined || !values.includes(value))) return false
    if (operator === 'NotIn' && value !== undefined && values.includes(value)) return false
    if (operator === 'Exists' && value === undefined) return false
    if (operator === 'DoesNotExist' && value !== undefined) return false
  }
  return true
}

/** Compares the leading bits as text. */
function isInside(address: string, cidr: string): boolean {
  const [network, length] = cidr.split('/')
  return bitsOf(address).slice(0, Number(length)) === bitsOf(network!).slice(0, Number(length))
}

function bitsOf(address: string): string {
  return address
    .split('.')
    .map((part) => Number(part).toString(2).padStart(8, '0'))
    .join('')
}
