import type { LabelSelector } from '@centaurus/api/meta/v1'
import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import type { ClusterNetworkPolicy, ClusterNetworkPolicyPeer } from './policy-objects.ts'

/** The policies of a tenant. */
export interface PolicyObjects {
  readonly networkPolicies: Iterable<NetworkPolicy>
  readonly clusterNetworkPolicies: Iterable<ClusterNetworkPolicy>
}

/**
 * Label keys of pods that some policy asks for, sorted: what a pod's identity has to tell. Keys of namespaces are not among them: whoever compiles
 * policies knows the namespaces' labels.
 */
export function usedLabelKeys({ networkPolicies, clusterNetworkPolicies }: PolicyObjects): string[] {
  const keys = new Set<string>()
  for (const policy of networkPolicies) addKeys(keys, podSelectorsOf(policy))
  for (const policy of clusterNetworkPolicies) addKeys(keys, podSelectorsOfCluster(policy))
  return [...keys].sort()
}

function podSelectorsOf({ spec }: NetworkPolicy): (LabelSelector | undefined)[] {
  const peers = [
    ...(spec?.ingress ?? []).flatMap((rule) => rule.from ?? []),
    ...(spec?.egress ?? []).flatMap((rule) => rule.to ?? []),
  ]
  return [spec?.podSelector, ...peers.map((peer) => peer.podSelector)]
}

function podSelectorsOfCluster({ spec }: ClusterNetworkPolicy): (LabelSelector | undefined)[] {
  const peers: readonly ClusterNetworkPolicyPeer[] = [
    spec.subject,
    ...(spec.ingress ?? []).flatMap((rule) => rule.from ?? []),
    ...(spec.egress ?? []).flatMap((rule) => rule.to ?? []),
  ]
  return peers.map((peer) => peer.pods?.podSelector)
}

function addKeys(keys: Set<string>, selectors: readonly (LabelSelector | undefined)[]): void {
  for (const selector of selectors) {
    for (const key of Object.keys(selector?.matchLabels ?? {})) keys.add(key)
    for (const expression of selector?.matchExpressions ?? []) keys.add(expression.key)
  }
}
