import { keysAskedByClusterPolicy, keysAskedByPolicy } from '@centaurus/api'
import type { IdentitySpec } from '../policy/identity-table.ts'
import type { OraclePod, OracleWorld } from './policy-oracle.ts'

/** Label keys that identities of a namespace's pods know. */
export type KeysOf = (namespace: string) => readonly string[]

const FIRST_IDENTITY = 256

export function podKey({ namespace, name }: OraclePod): string {
  return `${namespace}/${name}`
}

/** The keys that policies ask for, as the controller of identities finds them. */
export function findKeys({ networkPolicies, clusterNetworkPolicies }: OracleWorld): KeysOf {
  const everywhere = [
    ...networkPolicies.flatMap((policy) => [...keysAskedByPolicy(policy).everywhere]),
    ...clusterNetworkPolicies.flatMap((policy) => [...keysAskedByClusterPolicy(policy).everywhere]),
  ]
  return (namespace) => {
    const own = networkPolicies.filter(({ metadata }) => metadata.namespace === namespace)
    const asked = own.flatMap((policy) => [...keysAskedByPolicy(policy).inNamespace])
    return [...new Set([...everywhere, ...asked])].sort()
  }
}

/** An identity for each namespace and labels of the keys; by pod. */
export function identifyPods(pods: readonly OraclePod[], keysOf: KeysOf): Map<string, IdentitySpec> {
  const specs = new Map<string, IdentitySpec>()
  const identified = pods.map((pod) => {
    const keys = keysOf(pod.namespace)
    const labels = labelsOf(pod, keys)
    const content = JSON.stringify([pod.namespace, labels])
    const spec = specs.get(content) ?? { id: FIRST_IDENTITY + specs.size, namespace: pod.namespace, labels, keys }
    specs.set(content, spec)
    return [podKey(pod), spec] as const
  })
  return new Map(identified)
}

/** What of a pod's labels an identity tells. */
export function labelsOf({ labels }: OraclePod, keys: readonly string[]): Record<string, string> {
  return Object.fromEntries(keys.flatMap((key) => (labels[key] === undefined ? [] : [[key, labels[key]]])))
}
