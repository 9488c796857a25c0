import type { Node, Namespace, Pod, Service } from '@centaurus/api/core/v1'
import type { EndpointSlice } from '@centaurus/api/discovery/v1'
import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import type { ClusterNetworkPolicy } from '@centaurus/api/policy-networking/v1alpha2'
import { podFactsOf } from '../daemon/pod-facts.ts'
import { internalAddressOf } from '../daemon/topology.ts'
import { compilePolicySet } from '../policy/local-sets.ts'
import type { PolicySet, Segment } from '../policy/policy-set.ts'
import { PolicyWorld } from '../policy/policy-world.ts'
import { RuleBook } from '../policy/rule-book.ts'
import { usedLabelKeys } from '../policy/used-label-keys.ts'
import type { DirectionVerdict, ExplainedRule } from './explanation.ts'

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
  readonly dnsAddresses: readonly string[]
}

export interface ExplainWorld {
  readonly objects: ExplainObjects
  /** The policy set that the pod has, or should have. */
  compile(pod: Readonly<Pod>): PolicySet
  identityOf(pod: Readonly<Pod>): number
  describe(about: VerdictSubject, verdict: Verdict | undefined): DirectionVerdict
}

/** What decided; undefined: nothing did. */
type Verdict = Pick<Segment, 'allow' | 'rule'>

export interface VerdictSubject {
  readonly direction: 'ingress' | 'egress'
  readonly pod: Readonly<Pod>
  readonly isolated: boolean
}

/** Numbers for the pods asked about: what others have is not needed. */
const FIRST_IDENTITY = 256

/** Compiles one tenant's policies, with identities that say everything about their pods. */
export function createExplainWorld(objects: ExplainObjects): ExplainWorld {
  const rules = new RuleBook()
  const world = new PolicyWorld({ tenant: objects.tenant, rules })
  for (const { metadata } of objects.namespaces) world.setNamespace(metadata.name ?? '', metadata.labels ?? {})
  for (const policy of objects.networkPolicies) world.setNetworkPolicy(policy)
  for (const policy of objects.clusterNetworkPolicies) world.setClusterNetworkPolicy(policy)
  for (const node of objects.nodes) {
    const address = internalAddressOf(node)
    if (address !== undefined) world.setNode(node.metadata.name ?? '', node.metadata.labels ?? {}, [address])
  }
  world.setDnsAddresses(objects.dnsAddresses)
  const keys = usedLabelKeys(objects)
  const identities = new Map<string, number>()
  const identityOf = (pod: Readonly<Pod>): number => {
    const name = `${pod.metadata.namespace}/${pod.metadata.name}`
    let id = identities.get(name)
    if (id === undefined) {
      id = FIRST_IDENTITY + identities.size
      identities.set(name, id)
      const all = pod.metadata.labels ?? {}
      const labels = Object.fromEntries(keys.flatMap((key) => (key in all ? [[key, all[key]!]] : [])))
      world.addIdentity({ id, namespace: pod.metadata.namespace ?? '', labels, keys })
    }
    return id
  }
  return {
    objects,
    identityOf,
    compile(pod) {
      return compilePolicySet(podFactsOf(pod, pod.status?.podIP ?? ''), world)
    },
    describe: (about, verdict) => describe(rules, about, verdict),
  }
}

function describe(rules: RuleBook, about: VerdictSubject, verdict: Verdict | undefined): DirectionVerdict {
  const { direction, isolated } = about
  const { allow, rule } = verdict ?? { allow: true, rule: 0 }
  const entry = rules.describe(rule)
  if (entry === undefined) {
    const does = direction === 'ingress' ? 'receives' : 'sends'
    const name = `${about.pod.metadata.namespace}/${about.pod.metadata.name}`
    return { allowed: allow, isolated, rule: undefined, why: `No policy decides about this that ${name} ${does}` }
  }
  const { kind, namespace, name, index, text } = entry
  const explained: ExplainedRule = { kind, namespace, name, direction: entry.direction, index, text }
  const object = `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`
  const verb = allow ? 'allows' : 'denies'
  const why =
    index < 0
      ? `${object} isolates the pod, and no rule of any policy allows this`
      : `${entry.direction} rule ${index} of ${object} ${verb} it`
  return { allowed: allow, isolated, rule: explained, why: why[0]!.toUpperCase() + why.slice(1) }
}
