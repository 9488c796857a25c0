import { parseBlock } from './block.ts'
import type { ParseContext } from './parse-network-policy.ts'
import { createPodsPeer } from './parse-peer.ts'
import { createPodSelector } from './pod-selector.ts'
import type {
  ClusterNetworkPolicy,
  ClusterNetworkPolicyEgressPeer,
  ClusterNetworkPolicyEgressRule,
  ClusterNetworkPolicyIngressRule,
  ClusterNetworkPolicyProtocol,
} from '@centaurus/api/policy-networking/v1alpha2'
import type {
  Action,
  Direction,
  ParsedPolicy,
  Peer,
  PodsPeer,
  PolicyRule,
  PolicyRules,
  PortMatch,
} from './policy-rule.ts'

type ClusterRule = ClusterNetworkPolicyIngressRule | ClusterNetworkPolicyEgressRule

const LAST_PORT = 65_535

/**
 * Reads a ClusterNetworkPolicy. A rule with anything in it that we don't know is closed as upstream asks: with Accept it matches nothing, with Deny or Pass
 * it denies everything. Source: sigs.k8s.io/network-policy-api v0.2, ClusterNetworkPolicyEgressPeer.
 */
export function parseClusterPolicy({ metadata, spec }: ClusterNetworkPolicy, context: ParseContext): ParsedPolicy {
  const problems: string[] = []
  const subject = parsePods(spec.subject)
  if (subject === undefined) problems.push('The subject is unknown: Deny rules are for every pod, the others for none')
  const read = (direction: Direction, rules: readonly ClusterRule[] = []): PolicyRules | undefined =>
    rules.length === 0
      ? undefined
      : {
          isolation: 0,
          rules: rules.map((rule, index) => {
            const id = context.number(direction, index, rule)
            const parsed = parseRule(rule, direction)
            if (typeof parsed !== 'string') return { id, ...parsed }
            const isAccept = rule.action === 'Accept'
            problems.push(`${direction} rule ${index} ${isAccept ? 'matches nothing' : 'denies everything'}: ${parsed}`)
            return isAccept
              ? { id, action: 'Accept', peers: [], ports: undefined }
              : { id, action: 'Deny', peers: [{ kind: 'anybody' }], ports: undefined }
          }),
        }
  return {
    key: metadata.name ?? '',
    version: context.version,
    tier: spec.tier === 'Baseline' ? 'Baseline' : 'Admin',
    priority: spec.priority,
    subject: subject ?? createPodsPeer({}),
    isSubjectUnknown: subject === undefined,
    ingress: read('ingress', spec.ingress),
    egress: read('egress', spec.egress),
    problems,
  }
}

/** The rule, or why it can't be read. */
function parseRule(rule: ClusterRule, direction: Direction): Omit<PolicyRule, 'id'> | string {
  const action = rule.action
  if (action !== 'Accept' && action !== 'Deny' && action !== 'Pass') return `unknown action ${JSON.stringify(action)}`
  const peers: Peer[] = []
  const given: readonly ClusterNetworkPolicyEgressPeer[] = ('from' in rule ? rule.from : rule.to) ?? []
  if (given.length === 0) return 'it has no peers'
  for (const peer of given) {
    const parsed = direction === 'ingress' ? parsePods(peer) : parseEgressPeer(peer)
    if (parsed === undefined) return describeUnknownPeer(peer)
    peers.push(...(Array.isArray(parsed) ? parsed : [parsed]))
  }
  if (rule.protocols === undefined || rule.protocols.length === 0)
    return { action: action satisfies Action, peers, ports: undefined }
  const ports: PortMatch[] = []
  for (const protocol of rule.protocols) {
    const match = parseProtocol(protocol)
    if (match === undefined) return `unknown protocol ${JSON.stringify(protocol)}`
    ports.push(match)
  }
  return { action, peers, ports }
}

function parsePods(peer: ClusterNetworkPolicyEgressPeer): PodsPeer | undefined {
  if (Object.keys(peer).length !== 1) return undefined
  if (peer.namespaces !== undefined) return createPodsPeer({ namespaceSelector: peer.namespaces })
  return peer.pods === undefined ? undefined : createPodsPeer(peer.pods)
}

function parseEgressPeer(peer: ClusterNetworkPolicyEgressPeer): Peer[] | undefined {
  if (Object.keys(peer).length !== 1) return undefined
  if (peer.nodes !== undefined) return [{ kind: 'nodes', nodes: createPodSelector(peer.nodes) }]
  if (peer.networks === undefined) {
    const pods = parsePods(peer)
    return pods === undefined ? undefined : [pods]
  }
  const peers: Peer[] = []
  for (const network of peer.networks) {
    const block = parseBlock(network)
    if (block !== undefined) peers.push({ kind: 'block', block, except: [] })
    else if (!network.includes(':')) return undefined
  }
  return peers
}

function describeUnknownPeer(peer: ClusterNetworkPolicyEgressPeer): string {
  if (peer.domainNames !== undefined) return 'domainNames are not supported; use networks'
  return `unknown peer ${JSON.stringify(peer)}`
}

function parseProtocol(protocol: ClusterNetworkPolicyProtocol): PortMatch | undefined {
  if (Object.keys(protocol).length !== 1) return undefined
  const { tcp, udp, sctp, destinationNamedPort } = protocol
  if (destinationNamedPort !== undefined) return { protocol: undefined, name: destinationNamedPort }
  const found = tcp ?? udp ?? sctp
  if (found === undefined) return undefined
  const name = tcp !== undefined ? 'TCP' : udp !== undefined ? 'UDP' : 'SCTP'
  const { destinationPort } = found
  if (destinationPort === undefined) {
    return Object.keys(found).length === 0 ? { protocol: name, firstPort: 0, lastPort: LAST_PORT } : undefined
  }
  const { number, range } = destinationPort
  if (number !== undefined && range === undefined) return { protocol: name, firstPort: number, lastPort: number }
  if (range === undefined || number !== undefined || range.end < range.start) return undefined
  return { protocol: name, firstPort: range.start, lastPort: range.end }
}
