import { createSeededRandom, type Random } from '@centaurus/base'
import type { LabelSelector } from '@centaurus/api/meta/v1'
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '@centaurus/api/networking/v1'
import type {
  ClusterNetworkPolicy,
  ClusterNetworkPolicyEgressPeer,
  ClusterNetworkPolicyEgressRule,
  ClusterNetworkPolicyIngressRule,
  ClusterNetworkPolicyProtocol,
  ClusterNetworkPolicyRuleAction,
  ClusterNetworkPolicySubject,
} from '@centaurus/api/policy-networking/v1alpha2'
import type { NamedPort } from '../policy/program.ts'
import type { OracleNode, OraclePod, OracleWorld, Party, Traffic } from './policy-oracle.ts'

const NAMESPACES = ['x', 'y', 'z']
const POD_NAMES = ['a', 'b', 'c', 'd']
export const LABEL_VALUES: Readonly<Record<string, readonly string[]>> = {
  app: ['web', 'db'],
  tier: ['front', 'back'],
  'example.com/team': ['red', 'blue'],
}
const NAMESPACE_LABELS: Readonly<Record<string, readonly string[]>> = { ns: NAMESPACES, env: ['prod', 'dev'] }
const PORT_NAMES = ['web', 'dns', 'alt']
/** Ports of interest: both sides of every bound that policies use. */
const PORTS = [0, 79, 80, 81, 8079, 8080, 8085, 8090, 8091, 65_535]
const OUTSIDE = ['192.0.2.1', '198.51.100.7', '198.51.100.130', '10.0.0.99']

/** A world with policies of every kind, the same for the same seed. */
export function generateWorld(seed: number): OracleWorld {
  const random = createSeededRandom(seed)
  const namespaces = Object.fromEntries(
    [...NAMESPACES, 'kube-system'].map((name) => [
      name,
      { 'kubernetes.io/metadata.name': name, ...some(random, NAMESPACE_LABELS, 0.7) },
    ]),
  )
  const pods = NAMESPACES.flatMap((namespace, n) =>
    POD_NAMES.map((name, p): OraclePod => ({
      namespace,
      name,
      labels: some(random, LABEL_VALUES, 0.7),
      // The first address of a block is its node’s own.
      ip: `10.244.${n}.${p * 32 + 2 + random.integer(29)}`,
      namedPorts: PORT_NAMES.filter(() => random.next() < 0.6).map((port) => namedPort(random, port)),
    })),
  )
  const nodes = ['n1', 'n2', 'n3'].map((name, i): OracleNode => ({
    name,
    labels: { 'kubernetes.io/os': 'linux', zone: pick(random, ['a', 'b']) },
    addresses: [`10.0.0.${i + 1}`],
  }))
  const networkPolicies = range(random.integer(7)).map((i) => generateNetworkPolicy(random, `np-${i}`))
  const clusterNetworkPolicies = range(Math.max(0, random.integer(6) - 1)).map((i) =>
    generateClusterPolicy(random, `cnp-${i}`),
  )
  return { namespaces, pods, nodes, networkPolicies, clusterNetworkPolicies }
}

/** Every party and how it may be talked to: pods with pods, nodes and the world, at every port of interest of every protocol. */
export function listTraffic({ pods, nodes }: OracleWorld): Traffic[] {
  const outside: Party[] = [...nodes.flatMap(({ addresses }) => addresses), ...OUTSIDE].map((address) => ({ address }))
  const inside: Party[] = pods.map((pod) => ({ pod }))
  const pairs = [
    ...inside.flatMap((source) => [...inside, ...outside].map((destination) => ({ source, destination }))),
    ...outside.flatMap((source) => inside.map((destination) => ({ source, destination }))),
  ]
  const ports = (['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) => PORTS.map((port) => ({ protocol, port })))
  return pairs.flatMap((pair) =>
    [...ports, { protocol: 'ICMP' as const, port: 0 }].map((port) => ({ ...pair, ...port })),
  )
}

function generateNetworkPolicy(random: Random, name: string): NetworkPolicy {
  const hasEgress = random.next() < 0.6
  const ingress = random.next() < 0.7 ? range(random.integer(3)).map(() => generateRule(random, 'from')) : undefined
  const egress = hasEgress ? range(random.integer(3)).map(() => generateRule(random, 'to')) : undefined
  const policyTypes = pick(random, [undefined, undefined, ['Ingress'], ['Egress'], ['Ingress', 'Egress']])
  return {
    metadata: { namespace: pick(random, NAMESPACES), name },
    spec: {
      ...(random.next() < 0.9 ? { podSelector: generateSelector(random, LABEL_VALUES) } : {}),
      ...(ingress === undefined ? {} : { ingress }),
      ...(egress === undefined ? {} : { egress }),
      ...(policyTypes === undefined ? {} : { policyTypes }),
    },
  }
}

function generateRule(random: Random, key: 'from' | 'to'): Record<string, unknown> {
  const peers = range(random.integer(3)).map(() => generatePeer(random))
  const ports = range(random.integer(3)).map(() => generatePort(random))
  return {
    ...(peers.length > 0 || random.next() < 0.2 ? { [key]: peers } : {}),
    ...(ports.length > 0 || random.next() < 0.2 ? { ports } : {}),
  }
}

function generatePeer(random: Random): NetworkPolicyPeer {
  if (random.next() < 0.3) return { ipBlock: generateIpBlock(random) }
  const kind = random.integer(3)
  return {
    ...(kind === 1 ? {} : { podSelector: generateSelector(random, LABEL_VALUES) }),
    ...(kind === 0 ? {} : { namespaceSelector: generateSelector(random, NAMESPACE_LABELS) }),
  }
}

function generateIpBlock(random: Random): NonNullable<NetworkPolicyPeer['ipBlock']> {
  const cidr = pick(random, [
    '0.0.0.0/0',
    '10.244.0.0/16',
    `10.244.${random.integer(3)}.0/24`,
    '198.51.100.0/24',
    '10.0.0.0/29',
  ])
  const network = cidr.split('/')[0]!.split('.').slice(0, 2).join('.')
  const except = [
    `${network}.${random.integer(3)}.${pick(random, [0, 32, 64])}/27`,
    '10.244.1.0/24',
    '198.51.100.128/25',
  ].filter((inner) => random.next() < 0.4 && isStrictlyInside(inner, cidr))
  return except.length === 0 ? { cidr } : { cidr, except }
}

function isStrictlyInside(inner: string, outer: string): boolean {
  const [innerAddress = '', innerLength] = inner.split('/')
  const [outerAddress = '', outerLength] = outer.split('/')
  const bytes = Math.floor(Number(outerLength) / 8)
  const isPrefix = innerAddress.split('.').slice(0, bytes).join() === outerAddress.split('.').slice(0, bytes).join()
  return Number(outerLength) % 8 === 0 && isPrefix && Number(innerLength) > Number(outerLength)
}

function generatePort(random: Random): NetworkPolicyPort {
  const protocol = pick(random, [undefined, 'TCP', 'UDP', 'SCTP'])
  const port = pick<NetworkPolicyPort>(random, [
    {},
    { port: 80 },
    { port: 81 },
    { port: pick(random, PORT_NAMES) },
    { port: 80, endPort: 8080 },
    { port: 8080, endPort: 8090 },
    { port: 8085, endPort: 65_535 },
  ])
  return protocol === undefined ? port : { protocol, ...port }
}

function generateClusterPolicy(random: Random, name: string): ClusterNetworkPolicy {
  const ingress = range(random.integer(3)).map(() => generateIngressRule(random))
  const egress = range(random.integer(3)).map(() => generateEgressRule(random))
  return {
    metadata: { name },
    spec: {
      tier: pick(random, ['Admin', 'Baseline'] as const),
      priority: random.integer(4) * 10,
      subject: generatePods(random),
      ...(ingress.length > 0 ? { ingress } : {}),
      ...(egress.length > 0 ? { egress } : {}),
    },
  }
}

const ACTIONS: readonly ClusterNetworkPolicyRuleAction[] = ['Accept', 'Deny', 'Pass']

function generateIngressRule(random: Random): ClusterNetworkPolicyIngressRule {
  const from = range(1 + random.integer(2)).map(() => generatePods(random))
  return { action: pick(random, ACTIONS), from, ...generateProtocols(random, from) }
}

function generateEgressRule(random: Random): ClusterNetworkPolicyEgressRule {
  const to = range(1 + random.integer(2)).map(() => generateEgressPeer(random))
  return { action: pick(random, ACTIONS), to, ...generateProtocols(random, to) }
}

function generateProtocols(
  random: Random,
  peers: readonly ClusterNetworkPolicyEgressPeer[],
): { protocols?: ClusterNetworkPolicyProtocol[] } {
  const mayBeNamed = peers.every(({ nodes, networks }) => nodes === undefined && networks === undefined)
  const protocols = range(random.integer(3)).map(() => generateProtocol(random, mayBeNamed))
  return protocols.length > 0 ? { protocols } : {}
}

function generatePods(random: Random): ClusterNetworkPolicySubject {
  if (random.next() < 0.5) return { namespaces: generateSelector(random, NAMESPACE_LABELS) }
  const podSelector = generateSelector(random, LABEL_VALUES)
  if (random.next() < 0.3) return { pods: { podSelector } }
  return { pods: { namespaceSelector: generateSelector(random, NAMESPACE_LABELS), podSelector } }
}

function generateEgressPeer(random: Random): ClusterNetworkPolicyEgressPeer {
  const kind = random.next()
  if (kind < 0.2) return { nodes: generateSelector(random, { zone: ['a', 'b'] }) }
  if (kind < 0.4) return { networks: [pick(random, ['0.0.0.0/0', '10.244.0.0/23', '198.51.100.0/24', '10.0.0.0/30'])] }
  return kind < 0.43 ? { domainNames: ['example.com'] } : generatePods(random)
}

function generateProtocol(random: Random, mayBeNamed: boolean): ClusterNetworkPolicyProtocol {
  if (mayBeNamed && random.next() < 0.2) return { destinationNamedPort: pick(random, PORT_NAMES) }
  const destinationPort = pick(random, [
    undefined,
    { number: 80 },
    { number: 8080 },
    { range: { start: 80, end: 8085 } },
    { range: { start: 81, end: 65_535 } },
  ])
  const ports = destinationPort === undefined ? {} : { destinationPort }
  return pick<ClusterNetworkPolicyProtocol>(random, [{ tcp: ports }, { udp: ports }, { sctp: ports }])
}

function generateSelector(random: Random, vocabulary: Readonly<Record<string, readonly string[]>>): LabelSelector {
  const keys = Object.keys(vocabulary)
  if (random.next() < 0.2) return {}
  const key = pick(random, keys)
  const value = pick(random, vocabulary[key]!)
  if (random.next() < 0.55) return { matchLabels: { [key]: value } }
  const other = pick(random, keys)
  return {
    ...(random.next() < 0.2 ? { matchLabels: { [other]: pick(random, vocabulary[other]!) } } : {}),
    matchExpressions: [
      pick(random, [
        { key, operator: 'In', values: [value, 'other'] },
        { key, operator: 'In', values: [...vocabulary[key]!] },
        { key, operator: 'NotIn', values: [value] },
        { key, operator: 'Exists' },
        { key, operator: 'DoesNotExist' },
      ]),
    ],
  }
}

function namedPort(random: Random, name: string): NamedPort {
  return { name, protocol: pick(random, ['TCP', 'UDP', 'SCTP'] as const), port: pick(random, [80, 81, 8085]) }
}

function some(
  random: Random,
  vocabulary: Readonly<Record<string, readonly string[]>>,
  chance: number,
): Record<string, string> {
  const chosen = Object.entries(vocabulary).filter(() => random.next() < chance)
  return Object.fromEntries(chosen.map(([key, values]) => [key, pick(random, values)]))
}

function pick<T>(random: Random, from: readonly T[]): T {
  return from[random.integer(from.length)]!
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}
