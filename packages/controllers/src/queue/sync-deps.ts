import { deepEqual, isStatus, parseKey, type KubeObject, type Stored } from '@centaurus/api'
import {
  queuedworkloads,
  type Queue,
  type QueuedWorkload,
  type QueuedWorkloadStatus,
} from '@centaurus/api/centaurus/v1'
import type { Node, Pod } from '@centaurus/api/core/v1'
import type { PriorityClass } from '@centaurus/api/scheduling/v1'
import type { Informer } from '@centaurus/client'
import type { ReconcilerContext } from '../frame/controller.ts'
import type { QueueNode } from './core/queue-node.ts'
import type { OwnerKind } from './owner-kind.ts'
import type { TenantQueues } from './tenant-queues.ts'

/** Index of workloads. */
export const BY_TENANT = 'tenant'

export interface SyncDeps extends ReconcilerContext {
  readonly kinds: readonly OwnerKind<KubeObject>[]
  readonly classes: Informer<PriorityClass>
  readonly workloadInformer: Informer<QueuedWorkload>
  readonly queueInformer: Informer<Queue>
  readonly podInformer: Informer<Pod>
  readonly nodeInformer: Informer<Node>
  readonly consolidateAfterMs: number
  readonly tenantOf: (tenant: string) => TenantQueues
  /** By tenant, what is under way. */
  readonly sweeps: Map<string, Sweep>
  /** When the last one began that told everything, monotonic ms. */
  readonly fullSweepsMs: Map<string, number>
}

/** One look at all workloads of a tenant. */
export interface Sweep {
  readonly ids: readonly string[]
  /** Tells those too of whom nothing but the position has changed. */
  readonly isFull: boolean
  readonly positions: Map<QueueNode, ReadonlyMap<string, number>>
  next: number
}

/** From the server; undefined: gone. */
export async function readWorkload(
  id: string,
  { client }: Pick<SyncDeps, 'client'>,
): Promise<Stored<QueuedWorkload> | undefined> {
  try {
    return await client.get(queuedworkloads, parseKey(id))
  } catch (error) {
    if (isStatus(error, 'NotFound')) return undefined
    throw error
  }
}

/** Nothing when somebody else was quicker: the event comes. */
export async function writeStatus(
  workload: Stored<QueuedWorkload>,
  status: QueuedWorkloadStatus,
  { client }: Pick<SyncDeps, 'client'>,
): Promise<Stored<QueuedWorkload> | undefined> {
  if (deepEqual(workload.status ?? {}, status)) return workload
  return ignoringConflict(client.updateStatus(queuedworkloads, { ...workload, status }))
}

/** Undefined: the object has changed, or is gone, and the event of that comes. */
export async function ignoringConflict<T>(write: Promise<T>): Promise<T | undefined> {
  try {
    return await write
  } catch (error) {
    if (isStatus(error, 'Conflict') || isStatus(error, 'NotFound')) return undefined
    throw error
  }
}
