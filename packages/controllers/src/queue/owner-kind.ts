import type { KubeObject, Stored } from '@centaurus/api'
import type { QueuedPodSet } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import type { Informer } from '@centaurus/client'
import type { ReconcilerContext } from '../frame/controller.ts'

/** What an owner wants to be admitted with. */
export interface WantedWorkload {
  readonly podSets: readonly QueuedPodSet[]
  readonly priorityClassName?: string | undefined
  /** Of its pods, when it is known already. */
  readonly priority?: number | undefined
  readonly maximumExecutionTimeSeconds?: number | undefined
}

/** How it ended. */
export interface OwnerEnd {
  readonly reason: string
  readonly message: string
}

/** A kind of object that waits in queues: has pods that can be held back, started and stopped. All of it is safe to run again. */
export interface OwnerKind<T extends KubeObject> {
  readonly apiVersion: string
  readonly kind: string
  readonly informer: Informer<T>
  /** Its pods are made again after {@link stop}. What runs already when it first names a queue is stopped then, and otherwise left alone. */
  readonly isRestartable: boolean
  /** Undefined: it is not to be queued, or not complete yet. */
  wantedOf(owner: Stored<T>): WantedWorkload | undefined
  /** Undefined: it goes on. */
  endOf(owner: Stored<T>): OwnerEnd | undefined
  podsOf(owner: Stored<T>): readonly Stored<Pod>[]
  /** No pod of it starts. */
  isHeld(owner: Stored<T>): boolean
  /** Pods of it that may use something, and at least 1 while more may come. */
  activePods(owner: Stored<T>): number
  /** Lets pods of it start, `counts[i]` of its sets at most. */
  start(owner: Stored<T>, counts: readonly number[], context: ReconcilerContext): Promise<void>
  /** Ends its pods, and lets none start. Pods that nobody makes again are lost with that. */
  stop(owner: Stored<T>, context: ReconcilerContext): Promise<void>
}

/** Kinds differ in their objects' type alone, of which each sees its own. */
export function ofAnyKind<T extends KubeObject>(kind: OwnerKind<T>): OwnerKind<KubeObject> {
  return kind as unknown as OwnerKind<KubeObject>
}
