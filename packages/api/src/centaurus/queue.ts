/** Queues of tenants and what waits in them, in `centaurus.io/v1`. Names that Kueue has are Kueue's. */
import type { Condition, ObjectMeta } from '../generated/types/meta/v1.ts'
import type { ResourceType } from '../resource-type.ts'

/** Of a Job, TrainingJob, PodGroup or Pod: the queue in which it waits until there is quota for it. */
export const QUEUE_LABEL = 'centaurus.io/queue-name'
/** The same, as Kueue calls it. Source: kubernetes-sigs/kueue pkg/controller/constants, v0.19. */
export const KUEUE_QUEUE_LABEL = 'kueue.x-k8s.io/queue-name'
/** Scheduling gate of a pod that waits in a queue. */
export const QUEUE_GATE = 'centaurus.io/queue'
/** Of an owner: `"false"` when its pods are not to end for others. */
export const PREEMPTIBLE_ANNOTATION = 'centaurus.io/preemptible'
/** Of a Job: `"true"` when its pods get nodes together or not at all, `"false"` when not; absent: an Indexed Job with as many pods at once as in all. */
export const GANG_ANNOTATION = 'centaurus.io/gang'
/** Kept on a Queue while workloads that it admitted run. */
export const QUEUE_FINALIZER = 'centaurus.io/queue'

/** Kept on a QueuedWorkload while pods of its owner run. */
export const QUEUED_FINALIZER = 'centaurus.io/queued'

/** Quota that workloads of a tenant share. Queues are in queues; workloads wait in those that have no others in them. Cluster-scoped in its tenant. */
export interface Queue {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'Queue' | undefined
  metadata: ObjectMeta
  spec?: QueueSpec | undefined
  status?: QueueStatus | undefined
}

export interface QueueSpec {
  /** The queue that it is in; absent: the top of its tree. */
  parent?: string | undefined
  /** What it has. A resource that no queue of the tree names is not limited. */
  resources?: QueueResource[] | undefined
  queueingStrategy?: 'StrictFIFO' | 'BestEffortFIFO' | undefined
  stopPolicy?: 'None' | 'Hold' | 'HoldAndDrain' | undefined
  preemption?: QueuePreemption | undefined
  fairSharing?: QueueFairSharing | undefined
  /** Who is first in the queue for so long and does not fit has room kept for it; default 300. */
  reserveAfterSeconds?: number | undefined
}

export interface QueueResource {
  /** `cpu`, `memory`, `nvidia.com/gpu`, `centaurus.io/gpu-memory` … */
  name: string
  /** A quantity. */
  nominalQuota: string
  /** How much more it may take of what others of its tree leave; absent: all of it. */
  borrowingLimit?: string | undefined
  /** How much of its own others may take; absent: all of it. */
  lendingLimit?: string | undefined
}

export interface QueuePreemption {
  /** Which workloads of the queue give way; default `LowerPriority`. */
  withinQueue?: 'Never' | 'LowerPriority' | 'LowerOrNewerEqualPriority' | undefined
  /** Which workloads give way that are in queues of the tree that have more than their share; default `Any`. */
  reclaimWithinTree?: 'Never' | 'LowerPriority' | 'Any' | undefined
}

export interface QueueFairSharing {
  /** Of what is borrowed, it gets so much beside its siblings; default 1, 0: only what they leave. */
  weight?: number | undefined
  /** Of the top of a tree: what was used before counts half after so long; default 0: not at all. */
  halfLifeSeconds?: number | undefined
}

export interface QueueStatus {
  pendingWorkloads?: number | undefined
  admittedWorkloads?: number | undefined
  /** Of each resource that its tree names. */
  resources?: QueueUsage[] | undefined
  /** The same in a line, `used/nominal` each. */
  used?: string | undefined
  /** `Active`: it admits. */
  conditions?: Condition[] | undefined
}

export interface QueueUsage {
  name: string
  /** What it and the queues in it have, without what those keep for themselves. */
  nominal: string
  used: string
  /** Of `used`, what is above `nominal`. */
  borrowed: string
}

/** What is admitted as a whole: the pods of one owner. Namespaced; made by the cluster, one for each owner that names a queue. */
export interface QueuedWorkload {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'QueuedWorkload' | undefined
  metadata: ObjectMeta
  spec: QueuedWorkloadSpec
  status?: QueuedWorkloadStatus | undefined
}

export interface QueuedWorkloadSpec {
  queueName: string
  /** Of its pods; default 0. */
  priority?: number | undefined
  /** False: it does not end for others; default true. */
  preemptible?: boolean | undefined
  /** False: it is evicted, and waits until this is true again; default true. Kueue's `active`. */
  active?: boolean | undefined
  /** It is ended after so long. */
  maximumExecutionTimeSeconds?: number | undefined
  podSets: QueuedPodSet[]
}

/** Pods that are alike. */
export interface QueuedPodSet {
  name: string
  count: number
  /** It does with so many; absent: `count`. */
  minCount?: number | undefined
  /** Quantities that one of them asks for. */
  requests?: Record<string, string> | undefined
}

export interface QueuedWorkloadStatus {
  /** As Kueue's: `QuotaReserved`, `Admitted`, `Evicted`, `Finished`. */
  conditions?: Condition[] | undefined
  /** What it was given; absent: nothing. */
  admission?: QueueAdmission | undefined
  /** After evictions. */
  requeueState?: { count: number; requeueAt?: string | undefined } | undefined
  /** Why it waits; absent: it does not. */
  pending?: PendingStatus | undefined
  /** Why its pods have no node though it was admitted; absent: they have, or nobody knows. */
  nodes?: NodesStatus | undefined
  /** Its pods were ended to start again on other nodes; it keeps its quota. */
  move?:
    | {
        /** The workload that needs the room in one place, as `namespace/name`. */ for: string
        time: string
        isOver: boolean
      }
    | undefined
}

export interface QueueAdmission {
  queue: string
  /** `held`: while it shrinks, the pods for which quota is still counted; absent: `count`. */
  podSets: { name: string; count: number; held?: number | undefined }[]
  time: string
}

export interface PendingStatus {
  /** One word for programs. */
  reason: string
  /** The same as a sentence. */
  message: string
  /** From 1; beyond 100 rounded up to hundreds. */
  position?: number | undefined
  /** Which queues, up the tree, have too little of what. */
  lacks?: { queue: string; resource: string; needed: string; available: string; limit: string }[] | undefined
  /** Workloads of which the end makes room, as `namespace/name`. */
  ends?: string[] | undefined
}

export interface NodesStatus {
  /** Pods without a node. */
  pods: number
  /** What the scheduler says of one of them. */
  message: string
  /** The same by reason: how many nodes. */
  reasons?: { reason: string; nodes: number }[] | undefined
}

export const queues: ResourceType<Queue> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'queues',
  kind: 'Queue',
  namespaced: false,
}
export const queuedworkloads: ResourceType<QueuedWorkload> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'queuedworkloads',
  kind: 'QueuedWorkload',
  namespaced: true,
}

/** The queue that an object names; undefined: none. Ours counts when both labels are there. */
export function queueNameOf({
  metadata,
}: {
  readonly metadata: Readonly<Pick<ObjectMeta, 'labels'>>
}): string | undefined {
  return metadata.labels?.[QUEUE_LABEL] || metadata.labels?.[KUEUE_QUEUE_LABEL] || undefined
}
