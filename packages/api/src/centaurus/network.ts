/** Pod networks of tenants, in `centaurus.io/v1`. */
import type { Condition, ObjectMeta } from '../generated/types/meta/v1.ts'
import type { ResourceType } from '../resource-type.ts'
import type { TenantNetwork } from './tenant-network.ts'

/** Every tenant has a network of this name. */
export const DEFAULT_VPC = 'default'
/** Of a pod or a Service: name of its network; absent: {@link DEFAULT_VPC}. A pod's is read when it gets its address, and never again. */
export const VPC_ANNOTATION = 'centaurus.io/vpc'
/** Network of the operators' own pods. Others have larger numbers. */
export const SYSTEM_VNI = 1
/** 24 bits, as GENEVE has them. Source: RFC 8926 section 3.3. */
export const VNI_MAX = 2 ** 24 - 1

/** Smaller identities mean the same in every network: 0 unknown, 1 a node, 2 the world, 3 the cluster's DNS. */
export const FIRST_IDENTITY = 256
export const IDENTITY_MAX = 2 ** 32 - 1

/** A network of a tenant: its pods reach each other, and no others. Cluster-scoped in its tenant. */
export interface Vpc {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'Vpc' | undefined
  metadata: ObjectMeta
  spec?: VpcSpec | undefined
  status?: VpcStatus | undefined
}

export interface VpcSpec {
  /** Addresses of its pods, such as `10.20.0.0/16`, a prefix of 8 to 26 bits; may overlap with all but Services. Absent: pods have addresses of their nodes. Never changes. */
  cidr?: string | undefined
  /**
   * What the world sees its pods by; operators write them. The first one whose node is Ready counts, and while there is none nothing leaves. Absent: the address of
   * each pod's node.
   */
  egressAddresses?: VpcEgressAddress[] | undefined
}

/** An address of a network in the world, and the node that has it on a device. */
export interface VpcEgressAddress {
  /** IPv4. */
  address: string
  node: string
}

export interface VpcStatus {
  /** Its number on the wire, 1 to 2^24 − 1: unique in the cluster, never given again. Absent: not given yet. */
  vni?: number | undefined
  /** What the next NetworkIdentity may get; every smaller one may have been used. At least {@link FIRST_IDENTITY}. */
  nextIdentity?: number | undefined
  /** `Tenant.spec.network` of its tenant, for nodes, which see no Tenants; absent: that is absent. */
  tenantNetwork?: TenantNetwork | undefined
  /** `Ready`: it has a number. `IdentitiesExhausted`: pods with new labels get no identity. `HidesNodes`: its `cidr` has nodes' addresses in it. */
  conditions?: Condition[] | undefined
}

/** A block of a network's own addresses that a node has. Cluster-scoped in its tenant; only of networks with a `cidr`. */
export interface Subnet {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'Subnet' | undefined
  metadata: ObjectMeta
  spec: SubnetSpec
}

export interface SubnetSpec {
  vpc: string
  /** A /26 within the network's `cidr`; its object's name is made of it, so that no block is given twice. */
  cidr: string
  node: string
  /** Nobody may get an address of it any more: it is about to be taken back. */
  released?: boolean | undefined
}

/**
 * What policies can tell of a pod's sender: its namespace, and those of its labels that policies look at. Pods that are alike share one. Cluster-scoped in its
 * tenant; read-only. Its name is a hash of its content without `id`, so that nodes find it without a search.
 */
export interface NetworkIdentity {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'NetworkIdentity' | undefined
  metadata: ObjectMeta
  spec: NetworkIdentitySpec
}

export interface NetworkIdentitySpec {
  /** {@link FIRST_IDENTITY} to {@link IDENTITY_MAX}: unique in its network, never given again. */
  id: number
  vpc: string
  namespace: string
  /** The pods' labels with these keys. */
  labels: Record<string, string>
  /** Sorted. A label with a key that is not here is not known, and not known to be absent. */
  keys: string[]
}

/**
 * What nodes of one resource partition must know of another one's: where its pods are, and which labels policies may select it by. Has the fields of a Node that
 * say so, and changes when they do. Cluster-scoped, made by the partition that reads it.
 */
export interface RemoteNode {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'RemoteNode' | undefined
  /** Name and labels of the Node. */
  metadata: ObjectMeta
  spec: {
    /** Whose node it is. */
    partition: string
    podCIDR?: string | undefined
    podCIDRs?: string[] | undefined
  }
  status?:
    | {
        addresses?: { type: string; address: string }[] | undefined
        /** `Ready` alone: whether it can be an egress host. */
        conditions?: { type: string; status: string }[] | undefined
      }
    | undefined
}

export const remotenodes: ResourceType<RemoteNode> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'remotenodes',
  kind: 'RemoteNode',
  namespaced: false,
}
export const vpcs: ResourceType<Vpc> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'vpcs',
  kind: 'Vpc',
  namespaced: false,
}
export const subnets: ResourceType<Subnet> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'subnets',
  kind: 'Subnet',
  namespaced: false,
}
export const networkidentities: ResourceType<NetworkIdentity> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'networkidentities',
  kind: 'NetworkIdentity',
  namespaced: false,
}
