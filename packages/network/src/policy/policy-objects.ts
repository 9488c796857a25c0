import type { LabelSelector } from '@centaurus/api/meta/v1'

/** What the compiler reads of a `ClusterNetworkPolicy`. Source: sigs.k8s.io/network-policy-api v0.2, apis/v1alpha2. */
export interface ClusterNetworkPolicy {
  readonly metadata: { readonly name?: string | undefined }
  readonly spec: {
    readonly tier: string
    /** 0 to 1,000; lower ones are asked first. */
    readonly priority: number
    readonly subject: ClusterNetworkPolicyPeer
    readonly ingress?: readonly ClusterNetworkPolicyRule[] | undefined
    readonly egress?: readonly ClusterNetworkPolicyRule[] | undefined
  }
}

export interface ClusterNetworkPolicyRule {
  readonly name?: string | undefined
  readonly action: string
  readonly from?: readonly ClusterNetworkPolicyPeer[] | undefined
  readonly to?: readonly ClusterNetworkPolicyPeer[] | undefined
  /** Absent: every protocol and port. */
  readonly protocols?: readonly ClusterNetworkPolicyProtocol[] | undefined
}

/** Exactly one field is set. */
export interface ClusterNetworkPolicyPeer {
  readonly namespaces?: LabelSelector | undefined
  readonly pods?: NamespacedPods | undefined
  readonly nodes?: LabelSelector | undefined
  readonly networks?: readonly string[] | undefined
  readonly domainNames?: readonly string[] | undefined
}

interface NamespacedPods {
  /** Absent: every namespace. */
  readonly namespaceSelector?: LabelSelector | undefined
  readonly podSelector?: LabelSelector | undefined
}

/** Exactly one field is set. */
export interface ClusterNetworkPolicyProtocol {
  readonly tcp?: DestinationPorts | undefined
  readonly udp?: DestinationPorts | undefined
  readonly sctp?: DestinationPorts | undefined
  readonly destinationNamedPort?: string | undefined
}

interface DestinationPorts {
  readonly destinationPort?:
    | {
        readonly number?: number | undefined
        readonly range?: { readonly start: number; readonly end: number } | undefined
      }
    | undefined
}
