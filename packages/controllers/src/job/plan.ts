import { formatTime, isPodActive, isPodReady, type Stored } from '@centaurus/api'
import type { Job, JobCondition, JobStatus } from '@centaurus/api/batch/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { isPodTerminating } from '../frame/pods.ts'
import { choosePodsToDelete } from '../replica-set/plan.ts'
import { conditionOf, createCondition, deadlineInMs, isFinished, planOutcome, type JobCounts } from './finish.ts'
import { formatIndexes, parseIndexes } from './indexes.ts'
import {
  finishedAtMs,
  hasTrackingFinalizer,
  indexFailures,
  indexOf,
  isIndexed,
  isPodFailed,
  isPodSucceeded,
  replacesOnlyFailed,
  type JobPodInit,
} from './pod.ts'
import { judgeFailure } from './policy.ts'

/** Sources: DefaultJobPodFailureBackOff, MaxJobPodFailureBackOff, MaxUncountedPods, MaxPodCreateDeletePerSync, job_controller.go v1.37. */
const BACKOFF_BASE_MS = 10_000
const BACKOFF_MAX_MS = 600_000
const UNCOUNTED_PODS_MAX = 500
const PODS_PER_STEP_MAX = 500

export interface JobEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface JobPlan {
  readonly create: readonly JobPodInit[]
  readonly remove: readonly Stored<Pod>[]
  /** To be written before anything of {@link release} happens: it remembers those pods until they are counted. */
  readonly status: JobStatus
  /** Counted, or of a finished job: they lose the finalizer. */
  readonly release: readonly Stored<Pod>[]
  readonly events: readonly JobEvent[]
  readonly requeueAfterMs: number | undefined
}

export interface JobPlanInput {
  readonly job: Stored<Job>
  /** All it controls. */
  readonly pods: readonly Stored<Pod>[]
  readonly nowMs: number
}

/**
 * One step of a job. Each ended pod is counted exactly once: its uid goes into `uncountedTerminatedPods` while it holds the finalizer,
 * then the finalizer goes, then the uid turns into a count. Source: syncJob and trackJobStatusAndRemoveFinalizers, job_controller.go v1.37.
 */
export function planJob(input: JobPlanInput): JobPlan {
  const { job, pods, nowMs } = input
  if (isFinished(job)) {
    return {
      create: [],
      remove: [],
      status: job.status!,
      release: pods.filter(hasTrackingFinalizer),
      events: [],
      requeueAfterMs: undefined,
    }
  }
  const tracking = planTracking(input)
  const started = planStart(job, tracking.status, nowMs)
  const outcome = planOutcome({ ...job, status: started }, pods, { counts: tracking.counts, nowMs })
  const active = pods.filter(isPodActive)
  const changes = outcome === undefined ? planPods(input, active, tracking.counts) : { ...NO_CHANGES, remove: active }
  const isDone = outcome === undefined && isComplete(job, active, tracking.counts)
  const success = { reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' }
  const target = isDone ? createCondition('SuccessCriteriaMet', success, nowMs) : outcome
  const status = { ...started, ...describePods(pods, active, changes) }
  const isSettled = active.length === 0 && !pods.some(isPodTerminating) && !hasUncounted(status)
  const ended = target === undefined ? undefined : planEnd(status, target, { isSettled, nowMs })
  const suspension = target === undefined ? planSuspension(job, status, nowMs) : undefined
  const deadlineMs = target === undefined ? deadlineInMs({ ...job, status: started }, nowMs) : undefined
  const waits = [changes.retryMs, deadlineMs].filter((wait) => wait !== undefined)
  return {
    create: target === undefined ? changes.create : [],
    remove: changes.remove.slice(0, PODS_PER_STEP_MAX),
    status: ended?.status ?? suspension?.status ?? status,
    release: tracking.release,
    events: [...(ended?.events ?? []), ...(suspension?.events ?? [])],
    requeueAfterMs: waits.length === 0 ? undefined : Math.max(1, Math.min(...waits)),
  }
}

function hasUncounted({ uncountedTerminatedPods: uncounted }: JobStatus): boolean {
  return (uncounted?.succeeded ?? []).length + (uncounted?.failed ?? []).length > 0
}

interface Tracking {
  readonly status: JobStatus
  readonly counts: JobCounts
  readonly release: Stored<Pod>[]
}

function planTracking({ job, pods }: JobPlanInput): Tracking {
  const old = job.status ?? {}
  const held = new Map(pods.filter(hasTrackingFinalizer).map((pod) => [pod.metadata.uid, pod]))
  const wasHeld = {
    succeeded: old.uncountedTerminatedPods?.succeeded ?? [],
    failed: old.uncountedTerminatedPods?.failed ?? [],
  }
  const still = {
    succeeded: wasHeld.succeeded.filter((uid) => held.has(uid)),
    failed: wasHeld.failed.filter((uid) => held.has(uid)),
  }
  const known = new Set([...wasHeld.succeeded, ...wasHeld.failed])
  const fresh = [...held.values()].filter(({ metadata }) => !known.has(metadata.uid))
  const room = UNCOUNTED_PODS_MAX - still.succeeded.length - still.failed.length
  const ended = fresh.filter((pod) => isPodSucceeded(pod) || isPodFailed(pod, job))
  const taken = ended.slice(0, room)
  const isIgnored = (pod: Pod): boolean => judgeFailure(job, pod)?.action === 'Ignore'
  const newSucceeded = taken.filter(isPodSucceeded)
  const newFailed = taken.filter((pod) => !isPodSucceeded(pod) && !isIgnored(pod))
  const uncounted = {
    succeeded: isIndexed(job) ? [] : [...still.succeeded, ...uids(newSucceeded)],
    failed: [...still.failed, ...uids(newFailed)],
  }
  const indexes = isIndexed(job) ? planIndexes(job, pods) : NO_INDEXES
  const counted = {
    succeeded: (old.succeeded ?? 0) + wasHeld.succeeded.length - still.succeeded.length,
    failed: (old.failed ?? 0) + wasHeld.failed.length - still.failed.length,
  }
  const succeeded = isIndexed(job) ? indexes.succeeded.size : counted.succeeded
  const status: JobStatus = {
    ...old,
    succeeded,
    failed: counted.failed,
    uncountedTerminatedPods: compact(uncounted),
    ...(isIndexed(job) ? { completedIndexes: formatIndexes(indexes.succeeded) } : {}),
    ...(job.spec?.backoffLimitPerIndex === undefined ? {} : { failedIndexes: formatIndexes(indexes.failed) }),
  }
  const counts = {
    succeeded: succeeded + uncounted.succeeded.length,
    failed: counted.failed + uncounted.failed.length,
    succeededIndexes: indexes.succeeded,
    failedIndexes: indexes.failed,
  }
  const release = [...held.values()].filter((pod) => known.has(pod.metadata.uid) || taken.includes(pod))
  return { status, counts, release }
}

function uids(list: readonly Stored<Pod>[]): string[] {
  return list.map(({ metadata }) => metadata.uid)
}

function compact({
  succeeded,
  failed,
}: {
  succeeded: string[]
  failed: string[]
}): NonNullable<JobStatus['uncountedTerminatedPods']> {
  return { ...(succeeded.length === 0 ? {} : { succeeded }), ...(failed.length === 0 ? {} : { failed }) }
}

interface Indexes {
  readonly succeeded: Set<number>
  readonly failed: Set<number>
}

const NO_INDEXES: Indexes = { succeeded: new Set(), failed: new Set() }

function planIndexes(job: Job, pods: readonly Pod[]): Indexes {
  const completions = job.spec?.completions ?? 0
  const succeeded = parseIndexes(job.status?.completedIndexes, completions)
  const failed = parseIndexes(job.status?.failedIndexes, completions)
  const limit = job.spec?.backoffLimitPerIndex
  for (const pod of pods) {
    const index = indexOf(pod)
    if (index === undefined || index >= completions) continue
    if (isPodSucceeded(pod)) succeeded.add(index)
    else if (limit !== undefined && isPodFailed(pod, job) && hasIndexFailed(job, pod, limit)) failed.add(index)
  }
  for (const index of succeeded) failed.delete(index)
  return { succeeded, failed }
}

function hasIndexFailed(job: Job, pod: Pod, limit: number): boolean {
  const action = judgeFailure(job, pod)?.action
  return action === 'FailIndex' || (action !== 'Ignore' && indexFailures(pod) >= limit)
}

function planStart({ spec }: Job, status: JobStatus, nowMs: number): JobStatus {
  return status.startTime === undefined && spec?.suspend !== true ? { ...status, startTime: formatTime(nowMs) } : status
}

interface PodChanges {
  readonly create: readonly JobPodInit[]
  readonly remove: readonly Stored<Pod>[]
  readonly retryMs: number | undefined
}

const NO_CHANGES: PodChanges = { create: [], remove: [], retryMs: undefined }

/** Source: manageJob, job_controller.go v1.37. */
function planPods({ job, pods, nowMs }: JobPlanInput, active: readonly Stored<Pod>[], counts: JobCounts): PodChanges {
  if (job.metadata.deletionTimestamp !== undefined) return NO_CHANGES
  if (job.spec?.suspend === true) return { ...NO_CHANGES, remove: active }
  const wanted = wantedActive(job, active.length, counts)
  const surplus = planSurplus(job, active, { wanted, counts, nowMs })
  if (surplus.length > 0) return { ...NO_CHANGES, remove: surplus }
  const occupied = active.length + (replacesOnlyFailed(job) ? pods.filter(isPodTerminating).length : 0)
  const missing = Math.min(wanted - occupied, PODS_PER_STEP_MAX)
  if (missing <= 0) return NO_CHANGES
  if (isIndexed(job)) return planMissingIndexes({ job, pods, nowMs }, { active, counts, missing })
  const retryMs = backoffLeftMs(job, pods, nowMs)
  if (retryMs > 0) return { ...NO_CHANGES, retryMs }
  return { ...NO_CHANGES, create: Array.from({ length: missing }, () => ({ index: undefined, failures: undefined })) }
}

function wantedActive({ spec }: Job, active: number, { succeeded, failedIndexes }: JobCounts): number {
  const parallelism = spec?.parallelism ?? 1
  if (spec?.completions === undefined) return succeeded > 0 ? Math.min(active, parallelism) : parallelism
  return Math.max(0, Math.min(spec.completions - succeeded - failedIndexes.size, parallelism))
}

function planSurplus(
  job: Job,
  active: readonly Stored<Pod>[],
  { wanted, counts, nowMs }: { readonly wanted: number; readonly counts: JobCounts; readonly nowMs: number },
): Stored<Pod>[] {
  const misplaced = isIndexed(job) ? duplicateIndexes(job, active, counts) : []
  const rest = active.filter((pod) => !misplaced.includes(pod))
  const count = rest.length - wanted
  return count <= 0 ? misplaced : [...misplaced, ...choosePodsToDelete(rest, { relatedPods: [], count, nowMs })]
}

/** Pods without a valid index, of an index that is done, or a second one of it (the younger). */
function duplicateIndexes(
  { spec }: Job,
  active: readonly Stored<Pod>[],
  { succeededIndexes, failedIndexes }: JobCounts,
): Stored<Pod>[] {
  const seen = new Set<number>()
  return active
    .toSorted((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1))
    .filter((pod) => {
      const index = indexOf(pod)
      if (
        index === undefined ||
        index >= (spec?.completions ?? 0) ||
        succeededIndexes.has(index) ||
        failedIndexes.has(index)
      )
        return true
      if (seen.has(index)) return true
      seen.add(index)
      return false
    })
}

interface MissingInput {
  readonly active: readonly Stored<Pod>[]
  readonly counts: JobCounts
  readonly missing: number
}

/** The lowest indexes that have no pod, each after its own back-off where failures are counted by index. */
function planMissingIndexes({ job, pods, nowMs }: JobPlanInput, { active, counts, missing }: MissingInput): PodChanges {
  const perIndex = job.spec?.backoffLimitPerIndex !== undefined
  const jobRetryMs = perIndex ? 0 : backoffLeftMs(job, pods, nowMs)
  if (jobRetryMs > 0) return { ...NO_CHANGES, retryMs: jobRetryMs }
  const taken = new Set(active.map(indexOf))
  if (replacesOnlyFailed(job)) for (const pod of pods.filter(isPodTerminating)) taken.add(indexOf(pod))
  const byIndex = perIndex ? Map.groupBy(pods, indexOf) : new Map<number | undefined, Stored<Pod>[]>()
  const create: JobPodInit[] = []
  let retryMs: number | undefined
  for (let index = 0; index < (job.spec?.completions ?? 0) && create.length < missing; index++) {
    if (taken.has(index) || counts.succeededIndexes.has(index) || counts.failedIndexes.has(index)) continue
    if (!perIndex) {
      create.push({ index, failures: undefined })
      continue
    }
    const { failures, waitMs } = indexBackoff(job, byIndex.get(index) ?? [], nowMs)
    if (waitMs === 0) create.push({ index, failures })
    else retryMs = Math.min(retryMs ?? waitMs, waitMs)
  }
  return { create, remove: [], retryMs }
}

function indexBackoff(job: Job, pods: readonly Stored<Pod>[], nowMs: number): { failures: number; waitMs: number } {
  const failed = pods.filter((pod) => isPodFailed(pod, job))
  if (failed.length === 0) return { failures: 0, waitMs: 0 }
  const last = failed.reduce((best, pod) => (indexFailures(pod) >= indexFailures(best) ? pod : best))
  const isIgnored = judgeFailure(job, last)?.action === 'Ignore'
  const failures = indexFailures(last) + (isIgnored ? 0 : 1)
  return { failures, waitMs: backoffAfter(failures, finishedAtMs(last), nowMs) }
}

/** Failures since the last success delay the next pod. Source: backoff_utils.go v1.37; here read from the pods, so that a restart forgets nothing. */
function backoffLeftMs(job: Job, pods: readonly Stored<Pod>[], nowMs: number): number {
  const lastSuccessMs = Math.max(-1, ...pods.filter(isPodSucceeded).map(finishedAtMs))
  const ends = pods
    .filter((pod) => isPodFailed(pod, job))
    .map(finishedAtMs)
    .filter((ms) => ms > lastSuccessMs)
  return ends.length === 0 ? 0 : backoffAfter(ends.length, Math.max(...ends), nowMs)
}

function backoffAfter(failures: number, lastMs: number, nowMs: number): number {
  if (failures === 0) return 0
  const delayMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.min(failures - 1, 30))
  return Math.max(0, lastMs + delayMs - nowMs)
}

function isComplete({ spec }: Job, active: readonly Pod[], { succeeded }: JobCounts): boolean {
  if (active.length > 0) return false
  return spec?.completions === undefined ? succeeded > 0 : succeeded >= spec.completions
}

function describePods(
  pods: readonly Pod[],
  active: readonly Stored<Pod>[],
  { create, remove }: PodChanges,
): Pick<JobStatus, 'active' | 'ready' | 'terminating'> {
  const left = active.filter((pod) => !remove.includes(pod))
  return {
    active: left.length + create.length,
    ready: left.filter((pod) => isPodReady(pod)).length,
    terminating: pods.filter(isPodTerminating).length + active.length - left.length,
  }
}

/** The job has its outcome at once, and is finished when all its pods have ended and are counted. */
function planEnd(
  status: JobStatus,
  target: JobCondition,
  { isSettled, nowMs }: { readonly isSettled: boolean; readonly nowMs: number },
): { status: JobStatus; events: JobEvent[] } {
  const conditions = status.conditions ?? []
  const withTarget = conditions.includes(target) ? conditions : [...conditions, target]
  if (!isSettled) return { status: { ...status, conditions: withTarget }, events: [] }
  const { reason = '', message = '' } = target
  const isSuccess = target.type === 'SuccessCriteriaMet'
  const final = createCondition(isSuccess ? 'Complete' : 'Failed', { reason, message }, nowMs)
  const completion = isSuccess ? { completionTime: formatTime(nowMs) } : {}
  const event: JobEvent = isSuccess
    ? { type: 'Normal', reason: 'Completed', message: 'Job completed' }
    : { type: 'Warning', reason, message }
  return { status: { ...status, ...completion, conditions: [...withTarget, final] }, events: [event] }
}

function planSuspension(
  job: Job,
  status: JobStatus,
  nowMs: number,
): { status: JobStatus; events: JobEvent[] } | undefined {
  const isSuspended = conditionOf(job, 'Suspended') !== undefined
  const wants = job.spec?.suspend === true
  if (wants === isSuspended || job.metadata.deletionTimestamp !== undefined) return undefined
  const others = (status.conditions ?? []).filter(({ type }) => type !== 'Suspended')
  const outcome = wants
    ? { reason: 'JobSuspended', message: 'Job suspended' }
    : { reason: 'JobResumed', message: 'Job resumed' }
  const condition = { ...createCondition('Suspended', outcome, nowMs), status: wants ? 'True' : 'False' }
  const { startTime: _startTime, ...rest } = status
  const next = wants ? rest : { ...status, startTime: formatTime(nowMs) }
  const event: JobEvent = { type: 'Normal', reason: wants ? 'Suspended' : 'Resumed', message: outcome.message }
  return { status: { ...next, conditions: [...others, condition] }, events: [event] }
}
