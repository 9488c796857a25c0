/** Types of our own group, `centaurus.io/v1`: what upstream has no words for. */
import type { Condition, ObjectMeta } from '../generated/types/meta/v1.ts'
import type { ResourceType } from '../resource-type.ts'
import type { GpuGrant } from './gpu/device-id.ts'
import type { TenantNetwork } from './tenant-network.ts'

export {
  DEFAULT_VPC,
  FIRST_IDENTITY,
  IDENTITY_MAX,
  networkidentities,
  remotenodes,
  subnets,
  SYSTEM_VNI,
  VNI_MAX,
  VPC_ANNOTATION,
  vpcs,
  type NetworkIdentity,
  type NetworkIdentitySpec,
  type RemoteNode,
  type Subnet,
  type SubnetSpec,
  type Vpc,
  type VpcEgressAddress,
  type VpcSpec,
  type VpcStatus,
} from './network.ts'
export {
  clusternetworkpolicystatuses,
  networkpolicystatuses,
  networkreports,
  REPORTED_CHANGES_MAX,
  type NetworkPolicyStatus,
  type NetworkReport,
  type PolicyProgress,
  type PolicyReport,
  type TenantReport,
} from './policy-status.ts'

export {
  GANG_ANNOTATION,
  KUEUE_QUEUE_LABEL,
  PREEMPTIBLE_ANNOTATION,
  QUEUE_FINALIZER,
  QUEUE_GATE,
  QUEUE_LABEL,
  QUEUED_FINALIZER,
  queuedworkloads,
  queueNameOf,
  queues,
  type NodesStatus,
  type PendingStatus,
  type QueueAdmission,
  type QueuedPodSet,
  type QueuedWorkload,
  type QueuedWorkloadSpec,
  type QueuedWorkloadStatus,
  type Queue,
  type QueueSpec,
  type QueueStatus,
  type QueueUsage,
} from './queue.ts'
export {
  ADMITTED_WORKERS_ANNOTATION,
  TRAINING_BOUNDS_ANNOTATION,
  TRAINING_INDEX_LABEL,
  TRAINING_JOB_LABEL,
  TRAINING_PORT,
  TRAINING_ROLE_LABEL,
  TRAINING_WORLD_LABEL,
  trainingjobs,
  trainingreports,
  type TrainingFramework,
  type TrainingJob,
  type TrainingJobSpec,
  type TrainingJobStatus,
  type TrainingObservation,
  type TrainingPhase,
  type TrainingProgress,
  type TrainingReport,
} from './training.ts'

/** What a partition is for: `Tenant` holds what users make, `Resource` holds nodes. One partition may be both. */
export type PartitionRole = 'Tenant' | 'Resource'

/**
 * A part of the cluster with a store of its own. Cluster-scoped; written in the home partition, copied to all others. A partition that
 * can't be reached keeps everything that it owns.
 */
export interface Partition {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'Partition' | undefined
  metadata: ObjectMeta
  spec: PartitionSpec
  status?: PartitionStatus | undefined
}

export interface PartitionSpec {
  /** At least one; may grow, never shrinks while the partition holds tenants or nodes. */
  roles: PartitionRole[]
  /** Addresses of its API servers, such as `https://10.0.0.1:6443`; any of them will do. Empty until the first one has joined. */
  endpoints: string[]
  /** True for the one partition that holds the registry. Never changes. */
  home?: boolean | undefined
  /** Gets no new tenants and no new nodes, and gives away what it has when an operator moves it. */
  draining?: boolean | undefined
  /** Addresses of its tenants' Services, such as `10.97.0.0/16`; disjoint from every other partition's. */
  serviceCIDR?: string | undefined
  /** Node ports that it may give to Services, such as `30064-30127`, written by home; disjoint from every other partition's. Home has those of nobody. */
  nodePorts?: string[] | undefined
  /** Blocks whose addresses it gives to its nodes, for their pods, such as `10.245.0.0/16`; disjoint from every other partition's. */
  podCIDRs?: string[] | undefined
  /** Of home alone: who has which block. A partition takes one by writing itself in, in one write that compares; what is written there is in its {@link podCIDRs}. */
  podBlocks?: PodBlock[] | undefined
  /** Of home alone: where blocks come from. A change is for blocks and nodes to come. */
  podNetwork?: PodNetworkPlan | undefined
  /** Of home alone: no partition may have given a Vpc this number, or a greater one. Partitions take blocks of numbers by moving it up; it never goes down. */
  nextVni?: number | undefined
}

/** A block of pods' addresses, and the partition that has it. */
export interface PodBlock {
  cidr: string
  partition: string
  /** Of the partition: one that was removed and added again is another one. */
  uid: string
  /** When somebody saw that there is no such partition any more; nobody gets the block for a while. */
  releasedAt?: string | undefined
}

/** Where pods' addresses come from. */
export interface PodNetworkPlan {
  /** Default 10.0.0.0/8. */
  cidr?: string | undefined
  /** The block that is given first; default 10.244.0.0/16. Those after it follow, then those before it. */
  first?: string | undefined
  /** Never given; default 10.96.0.0/12, where Services are. */
  except?: string[] | undefined
  /** Length of a partition's block; default 16. */
  blockPrefix?: number | undefined
  /** Length of a node's range; default 24. */
  nodePrefix?: number | undefined
}

export interface PartitionStatus {
  /** `Ready`: it answers. `Fenced`: its store went back in time or is another one than it was; nothing of it is believed or deleted. */
  conditions?: Condition[] | undefined
  tenants?: number | undefined
  nodes?: number | undefined
}

/** A customer of the cluster: owns namespaces and everything in them, and sees nothing of other tenants. Cluster-scoped; written in the home partition. */
export interface Tenant {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'Tenant' | undefined
  metadata: ObjectMeta
  spec?: TenantSpec | undefined
  status?: TenantStatus | undefined
}

export interface TenantSpec {
  /** Partition to live in; absent: the one with the fewest tenants. A change moves the tenant. */
  partition?: string | undefined
  /** Limits over all namespaces of the tenant, by the names that ResourceQuota has (`requests.cpu`, `pods`, `count/secrets` …), and `requests.seats`. */
  quota?: Record<string, string> | undefined
  /** User that is bound to the tenant's `cluster-admin`; default `admin`. */
  admin?: string | undefined
  /** Highest priority that its pods have beside those of other tenants, whatever its priority classes say; 0 to 1,000,000,000, default 0. */
  maxPriority?: number | undefined
  /** How its pods use the network: what they have that say nothing, and the most that one may have. */
  network?: TenantNetwork | undefined
}

export interface TenantStatus {
  phase?: 'Pending' | 'Active' | 'Moving' | 'Terminating' | undefined
  /** Partition that serves the tenant now. */
  partition?: string | undefined
  /** Grows by one with each move; a partition that serves an older epoch has lost the tenant. */
  epoch?: number | undefined
  conditions?: Condition[] | undefined
  /** What the tenant uses of `spec.quota`. */
  used?: Record<string, string> | undefined
}

/** What is claimed of one node. Read-only and computed: the claims are kept beside it. */
export interface NodeAllocation {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'NodeAllocation' | undefined
  metadata: ObjectMeta
  status: {
    allocatable: Record<string, string>
    claimed: Record<string, string>
    free: Record<string, string>
    /** GPUs, of a node that says which it has. */
    devices?: NodeDevice[] | undefined
    claims: NodeClaim[]
  }
}

/** A GPU of a node, and what nobody has claimed of it. */
export interface NodeDevice {
  uuid: string
  model: string
  memoryMiB: number
  healthy: boolean
  freeMemoryMiB: number
  /** Percent. */
  freeCompute: number
  /** Somebody has a part, or all of it: it is nobody's whole. */
  isUsed: boolean
}

/** Room on a node that a resource partition has given to a pod. */
export interface NodeClaim {
  uid: string
  tenant: string
  partition: string
  namespace: string
  name: string
  requests: Record<string, string>
  /** Of each device that it has; with neither memory nor compute it is all of it. */
  devices?: readonly GpuGrant[] | undefined
}

export const partitions: ResourceType<Partition> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'partitions',
  kind: 'Partition',
  namespaced: false,
}
export const tenants: ResourceType<Tenant> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'tenants',
  kind: 'Tenant',
  namespaced: false,
}
export const nodeallocations: ResourceType<NodeAllocation> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'nodeallocations',
  kind: 'NodeAllocation',
  namespaced: false,
}
