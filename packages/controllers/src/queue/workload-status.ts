import {
  findCondition,
  formatTime,
  isConditionTrue,
  isDeleting,
  parseTime,
  setCondition,
  type Stored,
} from '@centaurus/api'
import type { QueuedWorkload, QueuedWorkloadStatus } from '@centaurus/api/centaurus/v1'
import type { Counts } from './core/types.ts'
import { ownName } from './own-name.ts'
import type { OwnerEnd } from './owner-kind.ts'

/** A workload that was evicted waits before it is tried again: this, doubled with each eviction. */
const REQUEUE_BASE_MS = 1_000
const REQUEUE_MAX_MS = 300_000

/** What becomes of a workload, as its status tells it. */
export type WorkloadState =
  /** It uses nothing, now and later. */
  | { readonly type: 'finished' }
  /** It may be admitted from `atMs` on. */
  | { readonly type: 'waiting'; readonly atMs: number }
  /** Nobody wants it to run now. */
  | { readonly type: 'inactive' }
  /** It may have `counts` pods, and quota is counted for `held` of them, which is more while it shrinks. `isLeaving`: it is on its way out. */
  | {
      readonly type: 'admitted'
      readonly counts: Counts
      readonly held: Counts
      readonly admittedAtMs: number
      readonly isLeaving: boolean
    }

export function stateOf(object: Stored<QueuedWorkload>): WorkloadState {
  const { spec, status } = object
  const { conditions, admission, requeueState } = status ?? {}
  if (isConditionTrue(conditions, 'Finished')) return { type: 'finished' }
  if (isConditionTrue(conditions, 'QuotaReserved') && admission !== undefined) {
    const byName = new Map(admission.podSets.map((set) => [set.name, set]))
    return {
      type: 'admitted',
      counts: spec.podSets.map(({ name, count }) => byName.get(name)?.count ?? count),
      held: spec.podSets.map(({ name, count }) => byName.get(name)?.held ?? byName.get(name)?.count ?? count),
      admittedAtMs: parseTime(admission.time) ?? 0,
      isLeaving: isLeaving(object),
    }
  }
  if (spec.active === false || isDeleting(object)) return { type: 'inactive' }
  return { type: 'waiting', atMs: parseTime(requeueState?.requeueAt ?? '') ?? 0 }
}

/** Whether one that was admitted has to end. */
export function isLeaving(object: Stored<QueuedWorkload>): boolean {
  return object.spec.active === false || isDeleting(object) || isConditionTrue(object.status?.conditions, 'Evicted')
}

/** Whether one that was admitted is stopped to start again on other nodes. */
export function isMoving({ status }: Stored<QueuedWorkload>): boolean {
  return status?.move !== undefined && !status.move.isOver
}

/** The status of a workload that gets its quota. */
export function withAdmission(object: Stored<QueuedWorkload>, counts: Counts, nowMs: number): QueuedWorkloadStatus {
  const { spec, status } = object
  const { pending: _, move: __, ...rest } = status ?? {}
  const queue = ownName(spec.queueName)
  const message = `Quota reserved in queue ${queue}`
  let conditions = set(
    rest.conditions,
    { type: 'QuotaReserved', status: 'True', reason: 'QuotaReserved', message },
    nowMs,
  )
  conditions = set(
    conditions,
    { type: 'Admitted', status: 'True', reason: 'Admitted', message: 'The workload is admitted' },
    nowMs,
  )
  if (findCondition(conditions, 'Evicted') !== undefined)
    conditions = set(conditions, { type: 'Evicted', status: 'False', reason: 'QuotaReserved', message }, nowMs)
  const podSets = spec.podSets.map(({ name }, i) => ({ name, count: counts[i] ?? 0 }))
  return { ...rest, conditions, admission: { queue, podSets, time: formatTime(nowMs) } }
}

/** The status of an admitted workload that is to have other counts. What it gives up is counted until it has fewer pods: see {@link withoutHeld}. */
export function withCounts(object: Stored<QueuedWorkload>, counts: Counts): QueuedWorkloadStatus {
  const { spec, status } = object
  const state = stateOf(object)
  const podSets = spec.podSets.map(({ name }, i) => {
    const [count = 0, held = 0] = [counts[i], state.type === 'admitted' ? state.held[i] : 0]
    return { name, count, ...(held > count ? { held } : {}) }
  })
  return { ...status, admission: { ...status!.admission!, podSets } }
}

/** The status of one that has shrunk. */
export function withoutHeld({ status }: Stored<QueuedWorkload>): QueuedWorkloadStatus {
  const admission = status!.admission!
  return {
    ...status,
    admission: { ...admission, podSets: admission.podSets.map(({ name, count }) => ({ name, count })) },
  }
}

/** The status of one that is told to end; it keeps its quota until its pods are gone. */
export function withEviction(
  { status }: Stored<QueuedWorkload>,
  { reason, message, nowMs }: { readonly reason: string; readonly message: string; readonly nowMs: number },
): QueuedWorkloadStatus {
  return { ...status, conditions: set(status?.conditions, { type: 'Evicted', status: 'True', reason, message }, nowMs) }
}

/** The status of one whose pods are gone: it waits again, and some time before that. */
export function withRelease({ status }: Stored<QueuedWorkload>, nowMs: number): QueuedWorkloadStatus {
  const { admission: _, nodes: __, ...rest } = status ?? {}
  const evicted = findCondition(rest.conditions, 'Evicted')
  const [reason, message] = [evicted?.reason ?? 'Pending', evicted?.message ?? 'Its pods have ended']
  let conditions = set(rest.conditions, { type: 'QuotaReserved', status: 'False', reason: 'Pending', message }, nowMs)
  conditions = set(
    conditions,
    { type: 'Admitted', status: 'False', reason: 'NoReservation', message: 'The workload has no reservation' },
    nowMs,
  )
  conditions = set(conditions, { type: 'Requeued', status: 'True', reason, message }, nowMs)
  const count = (rest.requeueState?.count ?? 0) + 1
  const requeueAt = formatTime(nowMs + Math.min(REQUEUE_BASE_MS * 2 ** (count - 1), REQUEUE_MAX_MS))
  return { ...rest, conditions, requeueState: { count, requeueAt } }
}

export function withFinished(
  { status }: Stored<QueuedWorkload>,
  { reason, message }: OwnerEnd,
  nowMs: number,
): QueuedWorkloadStatus {
  const { pending: _, nodes: __, ...rest } = status ?? {}
  return { ...rest, conditions: set(rest.conditions, { type: 'Finished', status: 'True', reason, message }, nowMs) }
}

type Conditions = NonNullable<QueuedWorkloadStatus['conditions']>

function set(
  conditions: QueuedWorkloadStatus['conditions'],
  condition: Omit<Conditions[number], 'lastTransitionTime'>,
  nowMs: number,
): Conditions {
  return setCondition(conditions, { ...condition, lastTransitionTime: formatTime(nowMs) }, nowMs)
}
