/** How far policies are in the kernels of nodes, in `centaurus.io/v1`. */
import type { ObjectMeta } from '../generated/types/meta/v1.ts'
import type { ResourceType } from '../resource-type.ts'

/** Changes of policies of which a node still says how long they took, by tenant and kind. */
export const REPORTED_CHANGES_MAX = 16

/** Which policies of each tenant with pods on a node its packets see. Cluster-scoped, named like the node, which writes it when a policy has changed. */
export interface NetworkReport {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'NetworkReport' | undefined
  metadata: ObjectMeta
  spec: { tenants: TenantReport[] }
}

export interface TenantReport {
  tenant: string
  networkPolicies?: PolicyReport | undefined
  clusterNetworkPolicies?: PolicyReport | undefined
}

export interface PolicyReport {
  /** Packets see every policy of the tenant up to this resourceVersion, in the node's partition. */
  revision: number
  /** The last changes, the newest first; at most {@link REPORTED_CHANGES_MAX}. */
  recent: { revision: number; /** From when the node heard of it until packets saw it. */ afterMs: number }[]
}

/** How far a policy is, by the name of the policy. Read-only and computed. */
export interface NetworkPolicyStatus {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'NetworkPolicyStatus' | 'ClusterNetworkPolicyStatus' | undefined
  metadata: ObjectMeta
  status: PolicyProgress
}

export interface PolicyProgress {
  /** Of the policy, to which this refers. */
  resourceVersion: string
  /** Nodes that have pods of the tenant in its networks. */
  hosts: number
  /** Those of them whose packets see the policy as it is. */
  applied: number
  /** The longest that one of them took, from when it heard of the policy until packets saw it; absent: nobody remembers. */
  slowestMs?: number | undefined
  /** Some of the others. */
  waiting?: string[] | undefined
  /** Partitions with nodes of it that do not answer: theirs count as waiting. */
  silent?: string[] | undefined
}

export const networkreports: ResourceType<NetworkReport> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'networkreports',
  kind: 'NetworkReport',
  namespaced: false,
}
export const networkpolicystatuses: ResourceType<NetworkPolicyStatus> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'networkpolicystatuses',
  kind: 'NetworkPolicyStatus',
  namespaced: true,
}
export const clusternetworkpolicystatuses: ResourceType<NetworkPolicyStatus> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'clusternetworkpolicystatuses',
  kind: 'ClusterNetworkPolicyStatus',
  namespaced: false,
}
