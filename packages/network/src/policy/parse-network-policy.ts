import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '@centaurus/api/networking/v1'
import { parseBlock, type Block } from './block.ts'
import { createPodsPeer } from './parse-peer.ts'
import type { Direction, ParsedPolicy, Peer, PolicyRules, PortMatch } from './policy-rule.ts'
import type { RuleId } from './policy-set.ts'
import { LAST_PORT, SEGMENTS_MAX } from './verdict-list.ts'

export interface ParseContext {
  readonly version: number
  /** Numbers a rule of this policy; index −1: its isolation. */
  readonly number: (direction: Direction, index: number, rule: unknown) => RuleId
}

const ANYBODY: Peer = { kind: 'anybody' }

/**
 * Reads a NetworkPolicy. What can't be read allows nothing.
 * Source: k8s.io/api/networking/v1 types.go v1.37; for absent `policyTypes` pkg/apis/networking/v1/defaults.go.
 */
export function parseNetworkPolicy({ metadata, spec = {} }: NetworkPolicy, context: ParseContext): ParsedPolicy {
  const namespace = metadata.namespace ?? ''
  const problems: string[] = []
  const types = spec.policyTypes ?? []
  const isInferred = types.length === 0
  const read = (direction: Direction, rules: readonly RuleParts[]): PolicyRules => {
    const ranges = rules.reduce((sum, { ports }) => sum + (ports?.length ?? 0), 0)
    if (ranges * 2 >= SEGMENTS_MAX)
      problems.push(
        `Its ${ranges} ${direction} ports may be more than a host can tell apart: beyond ${SEGMENTS_MAX} ranges all ports are denied`,
      )
    return {
      isolation: context.number(direction, -1, ''),
      rules: rules.map((rule, index) => ({
        id: context.number(direction, index, rule.text),
        action: 'Accept',
        peers: parsePeers(rule.peers, { namespace, problems }),
        ports: parsePorts(rule.ports, problems),
      })),
    }
  }
  return {
    key: `${namespace}/${metadata.name ?? ''}`,
    version: context.version,
    tier: 'NetworkPolicy',
    priority: 0,
    subject: createPodsPeer({ namespace, podSelector: spec.podSelector }),
    isSubjectUnknown: false,
    ingress:
      isInferred || types.includes('Ingress')
        ? read(
            'ingress',
            (spec.ingress ?? []).map((rule) => ({ text: rule, peers: rule.from, ports: rule.ports })),
          )
        : undefined,
    egress:
      (isInferred && (spec.egress ?? []).length > 0) || types.includes('Egress')
        ? read(
            'egress',
            (spec.egress ?? []).map((rule) => ({ text: rule, peers: rule.to, ports: rule.ports })),
          )
        : undefined,
    problems,
  }
}

interface RuleParts {
  readonly text: unknown
  readonly peers: readonly NetworkPolicyPeer[] | undefined
  readonly ports: readonly NetworkPolicyPort[] | undefined
}

interface PeerContext {
  readonly namespace: string
  readonly problems: string[]
}

function parsePeers(peers: readonly NetworkPolicyPeer[] | undefined, context: PeerContext): Peer[] {
  if (peers === undefined || peers.length === 0) return [ANYBODY]
  return peers.flatMap((peer) => parsePeer(peer, context))
}

function parsePeer(peer: NetworkPolicyPeer, { namespace, problems }: PeerContext): Peer[] {
  const { podSelector, namespaceSelector, ipBlock } = peer
  const hasSelector = podSelector !== undefined || namespaceSelector !== undefined
  if (hasSelector === (ipBlock !== undefined)) {
    problems.push(`Peer ${JSON.stringify(peer)} matches nothing: it must have either selectors or an ipBlock`)
    return []
  }
  if (ipBlock === undefined) {
    const isOwn = namespaceSelector === undefined
    return [createPodsPeer({ namespace: isOwn ? namespace : undefined, namespaceSelector, podSelector })]
  }
  const block = parseBlock(ipBlock.cidr)
  // Blocks of IPv6 are fine, and match no IPv4 address.
  if (block === undefined && !ipBlock.cidr.includes(':')) {
    problems.push(`ipBlock ${JSON.stringify(ipBlock.cidr)} matches nothing: it must be a CIDR such as 10.0.0.0/8`)
  }
  const except = (ipBlock.except ?? []).map(parseBlock).filter((one): one is Block => one !== undefined)
  return block === undefined ? [] : [{ kind: 'block', block, except }]
}

function parsePorts(ports: readonly NetworkPolicyPort[] | undefined, problems: string[]): PortMatch[] | undefined {
  if (ports === undefined || ports.length === 0) return undefined
  return ports.flatMap((port) => {
    const match = parsePort(port)
    if (match === undefined) problems.push(`Port ${JSON.stringify(port)} matches nothing: it can't be read`)
    return match ?? []
  })
}

function parsePort({ protocol = 'TCP', port, endPort }: NetworkPolicyPort): PortMatch | undefined {
  if (protocol !== 'TCP' && protocol !== 'UDP' && protocol !== 'SCTP') return undefined
  if (typeof port === 'string') return endPort === undefined ? { protocol, name: port } : undefined
  if (port === undefined) return endPort === undefined ? { protocol, firstPort: 0, lastPort: LAST_PORT } : undefined
  const lastPort = endPort ?? port
  return port < 0 || lastPort < port || lastPort > LAST_PORT ? undefined : { protocol, firstPort: port, lastPort }
}
