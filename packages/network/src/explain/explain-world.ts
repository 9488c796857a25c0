import type { Vpc } from '@centaurus/api/centaurus/v1'
import type { Node, Namespace, Pod, Service } from '@centaurus/api/core/v1'
import type { EndpointSlice } from '@centaurus/api/discovery/v1'
import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import type { ClusterNetworkPolicy } from '@centaurus/api/policy-networking/v1alpha2'
import { podFactsOf } from '../daemon/pod-facts.ts'
import { internalAddressOf } from '../daemon/topology.ts'
import type { FlowStart } from '../policy/evaluate.ts'
import { explainVerdict } from '../policy/explain-verdict.ts'
import { PolicyWorld } from '../policy/policy-world.ts'
import { RuleBook } from '../policy/rule-book.ts'
import type { DirectionVerdict } from './explanation.ts'

/** What a tenant has, under its own names; nodes and addresses of the DNS are the cluster's. */
export interface ExplainObjects {
  readonly tenant: string
  readonly pods: readonly Readonly<Pod>[]
  readonly namespaces: readonly Readonly<Namespace>[]
  readonly networkPolicies: readonly Readonly<NetworkPolicy>[]
  readonly clusterNetworkPolicies: readonly Readonly<ClusterNetworkPolicy>[]
  readonly nodes: readonly Readonly<Node>[]
  readonly services: readonly Readonly<Service>[]
  readonly slices: readonly Readonly<EndpointSlice>[]
  readonly vpcs: readonly Readonly<Vpc>[]
  readonly dnsAddresses: readonly string[]
  /** Blocks in which every address is a pod's or a Service's. */
  readonly networks: readonly string[]
}

export interface ExplainWorld {
  readonly objects: ExplainObjects
  judge(question: ExplainVerdictQuestion): DirectionVerdict
}

/** Whether the policies of one end let a packet pass. */
export interface ExplainVerdictQuestion {
  readonly direction: 'ingress' | 'egress'
  /** Whose policies are asked. */
  readonly pod: Readonly<Pod>
  /** The other end; an address that is no pod's, or of a host. */
  readonly peer: Readonly<Pod> | string
  readonly packet: FlowStart
}

/** Reads one tenant's policies, with everything that they can know of its pods. */
export function createExplainWorld(objects: ExplainObjects): ExplainWorld {
  const world = new PolicyWorld({ tenant: objects.tenant, rules: new RuleBook() })
  for (const { metadata } of objects.namespaces) world.setNamespace(metadata.name ?? '', metadata.labels ?? {})
  for (const policy of objects.networkPolicies) world.setNetworkPolicy(policy)
  for (const policy of objects.clusterNetworkPolicies) world.setClusterNetworkPolicy(policy)
  for (const node of objects.nodes) {
    const address = internalAddressOf(node)
    if (address !== undefined) world.setNode(node.metadata.name ?? '', node.metadata.labels ?? {}, [address])
  }
  world.setDnsAddresses(objects.dnsAddresses)
  return { objects, judge: (question) => judge(world, question) }
}

function judge(world: PolicyWorld, { direction, pod, peer, packet }: ExplainVerdictQuestion): DirectionVerdict {
  const { allowed, isolated, rule, reason } = explainVerdict(world, {
    direction,
    pod: podFactsOf(pod, pod.status?.podIP ?? ''),
    peer: typeof peer === 'string' ? { address: peer } : podFactsOf(peer, peer.status?.podIP ?? ''),
    packet,
    podName: nameOf(pod),
    peerName: typeof peer === 'string' ? peer : nameOf(peer),
  })
  const why = reason[0]!.toUpperCase() + reason.slice(1)
  if (rule === undefined) return { allowed, isolated, rule: undefined, why }
  const { kind, namespace, name, index, text } = rule
  return { allowed, isolated, rule: { kind, namespace, name, direction: rule.direction, index, text }, why }
}

function nameOf({ metadata }: Readonly<Pod>): string {
  return `${metadata.namespace}/${metadata.name}`
}
