/** `policy.networking.k8s.io/v1alpha2`. Source: kubernetes-sigs/network-policy-api apis/v1alpha2/clusternetworkpolicy_types.go, v0.2. */
import type { Condition, LabelSelector, ObjectMeta } from '../generated/types/meta/v1.ts'
import type { ResourceType } from '../resource-type.ts'

/** `Admin` is asked before NetworkPolicies, `Baseline` after them, and only about pods that none of them selects. */
export type ClusterNetworkPolicyTier = 'Admin' | 'Baseline'

/** `Pass` leaves the rest of the tier out. */
export type ClusterNetworkPolicyRuleAction = 'Accept' | 'Deny' | 'Pass'

/** What holds for pods of many namespaces. Cluster-scoped in its tenant. */
export interface ClusterNetworkPolicy {
  apiVersion?: 'policy.networking.k8s.io/v1alpha2' | undefined
  kind?: 'ClusterNetworkPolicy' | undefined
  metadata: ObjectMeta
  spec: ClusterNetworkPolicySpec
  status?: { conditions: Condition[] } | undefined
}

export interface ClusterNetworkPolicySpec {
  tier: ClusterNetworkPolicyTier
  /** 0 to 1000 within the tier; lower ones are asked first. */
  priority: number
  subject: ClusterNetworkPolicySubject
  /** At most 25; the first that matches decides. */
  ingress?: ClusterNetworkPolicyIngressRule[] | undefined
  /** At most 25; the first that matches decides. */
  egress?: ClusterNetworkPolicyEgressRule[] | undefined
}

/** Has one of its fields. Pods in the host's network are never meant. */
export interface ClusterNetworkPolicySubject {
  namespaces?: LabelSelector | undefined
  pods?: NamespacedPod | undefined
}

export interface NamespacedPod {
  /** Absent: all namespaces. */
  namespaceSelector?: LabelSelector | undefined
  podSelector: LabelSelector
}

export interface ClusterNetworkPolicyIngressRule {
  /** For people; at most 100 characters. */
  name?: string | undefined
  action: ClusterNetworkPolicyRuleAction
  /** 1 to 25. */
  from: ClusterNetworkPolicyIngressPeer[]
  /** 1 to 25; absent: all traffic. */
  protocols?: ClusterNetworkPolicyProtocol[] | undefined
}

export interface ClusterNetworkPolicyEgressRule {
  /** For people; at most 100 characters. */
  name?: string | undefined
  action: ClusterNetworkPolicyRuleAction
  /** 1 to 25. */
  to: ClusterNetworkPolicyEgressPeer[]
  /** 1 to 25; absent: all traffic. */
  protocols?: ClusterNetworkPolicyProtocol[] | undefined
}

/** Has one of its fields. Without any, it was written for a newer version: an `Accept` matches nothing then, everything else denies all. */
export interface ClusterNetworkPolicyIngressPeer {
  namespaces?: LabelSelector | undefined
  pods?: NamespacedPod | undefined
}

/** Has one of its fields; without any, like {@link ClusterNetworkPolicyIngressPeer}. */
export interface ClusterNetworkPolicyEgressPeer {
  namespaces?: LabelSelector | undefined
  pods?: NamespacedPod | undefined
  /** By their labels; empty: all nodes. */
  nodes?: LabelSelector | undefined
  /** 1 to 25 blocks, such as `10.0.0.0/8`. Addresses of pods count too. */
  networks?: string[] | undefined
  /** 1 to 25, such as `example.com` or `*.example.com`; for `Accept` alone. */
  domainNames?: string[] | undefined
}

/** Has one of its fields. */
export interface ClusterNetworkPolicyProtocol {
  tcp?: ClusterNetworkPolicyProtocolPorts | undefined
  udp?: ClusterNetworkPolicyProtocolPorts | undefined
  sctp?: ClusterNetworkPolicyProtocolPorts | undefined
  /** Name of a container's port. */
  destinationNamedPort?: string | undefined
}

export interface ClusterNetworkPolicyProtocolPorts {
  destinationPort?: ClusterNetworkPolicyPort | undefined
}

/** Has one of its fields; ports are 1 to 65,535. */
export interface ClusterNetworkPolicyPort {
  number?: number | undefined
  /** Both are inclusive, and `start` is less than `end`. */
  range?: { start: number; end: number } | undefined
}

export const clusternetworkpolicies: ResourceType<ClusterNetworkPolicy> = {
  group: 'policy.networking.k8s.io',
  version: 'v1alpha2',
  resource: 'clusternetworkpolicies',
  kind: 'ClusterNetworkPolicy',
  namespaced: false,
}
