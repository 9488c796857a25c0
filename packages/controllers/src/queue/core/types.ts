import type { Amounts } from './amounts.ts'

/** What a queue has of one resource. */
export interface Quota {
  /** Its own. */
  readonly nominal: number
  /** How much more it may take of what others of its tree leave; absent: all of it. */
  readonly borrowingLimit?: number | undefined
  /** How much of its own others may take; absent: all of it. */
  readonly lendingLimit?: number | undefined
}

export interface QueueSettings {
  readonly name: string
  /** The queue that it is in; absent: the top of its tree. */
  readonly parent?: string | undefined
  readonly quotas: ReadonlyMap<string, Quota>
  /** Of what is borrowed, it gets so much beside its siblings; 0: only what they leave. */
  readonly weight: number
  /** `StrictFIFO`: who is first in the queue waits, and all behind it. `BestEffortFIFO`: those that fit go by. */
  readonly strategy: 'StrictFIFO' | 'BestEffortFIFO'
  /** `Hold`: nothing is admitted. `HoldAndDrain`: and what was, is evicted. Holds for queues below too. */
  readonly stopPolicy: 'None' | 'Hold' | 'HoldAndDrain'
  /** Which workloads of the queue itself give way. */
  readonly withinQueue: 'Never' | 'LowerPriority' | 'LowerOrNewerEqualPriority'
  /** Which workloads give way that are in queues of the tree that have more than their fair share. */
  readonly reclaim: 'Never' | 'LowerPriority' | 'Any'
  /** Who is first in the queue for so long and does not fit has room kept for it. */
  readonly reserveAfterMs: number
  /** Of the top of a tree: what queues used before counts half after so long when they are compared; 0: not at all. */
  readonly halfLifeMs: number
}

/** Pods that are alike. */
export interface PodSet {
  readonly name: string
  readonly count: number
  /** Does with so many; `count` for what cannot. At least 0. */
  readonly minCount: number
  /** Of one pod. */
  readonly request: Amounts
}

/** What is admitted as a whole, or down to the minimum of each of its sets of pods. */
export interface Workload {
  readonly id: string
  /** Name of its queue, which may not exist. */
  readonly queue: string
  readonly priority: number
  /** False: never evicted to make room for others. */
  readonly preemptible: boolean
  /** Its place among those of equal priority, ms. */
  readonly queuedAtMs: number
  readonly podSets: readonly PodSet[]
  /** It is ended after so long; absent: nobody knows. Lets it go ahead into room that is kept for a while. */
  readonly maxRuntimeMs?: number | undefined
}

/** Pods of each set, in their order. */
export type Counts = readonly number[]

export interface Admission {
  readonly id: string
  readonly counts: Counts
}

/** `Preempted`: for one of its own queue. `Reclaimed`: for a queue that has less than its share. `Drained`: its queue is stopped. */
export type EvictionReason = 'Preempted' | 'Reclaimed' | 'Drained'

export interface Eviction {
  readonly id: string
  readonly reason: EvictionReason
  /** The workload that gets the room. */
  readonly by?: string | undefined
}

/** What to do now. Each is told once; {@link Queues} counts with it until it hears otherwise. */
export interface QueuePlan {
  readonly admit: readonly Admission[]
  readonly evict: readonly Eviction[]
  /** Elastic workloads that run on with fewer pods than before, or more. */
  readonly resize: readonly Admission[]
  /** Plan again at this time though nothing changes; absent: no need. */
  readonly wakeAtMs?: number | undefined
}
