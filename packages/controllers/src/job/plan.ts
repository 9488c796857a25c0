import { findCondition, formatTime, type Stored } from '@centaurus/api'
import type { JobCondition, JobStatus } from '@centaurus/api/batch/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { trueCondition } from './finished.ts'
import { completionIndexOf, hasTrackingFinalizer, isFailedPod, isIndexed, validIndexOf } from './indexes.ts'
import { countIndexes, formatIntervals, hasIndex, withIndexes } from './intervals.ts'
import { judgeFailure } from './policies.ts'
import { createCondition, type JobSurvey } from './survey.ts'

export { planPods, type PodPlan } from './pods.ts'
export { surveyJob, type JobSurvey, type SurveyInput } from './survey.ts'

/** Keeps the status below about 20 kB, and a big job from starving others. Source: MaxUncountedPods, job_controller.go v1.37. */
const UNCOUNTED_PODS_MAX = 500

/** What creating and deleting came to. */
export interface PodsOutcome {
  readonly active: number
  readonly ready: number
  readonly terminating: number
  /** Whether pods were created or removed as the spec asks, so that suspension can be told. False for a job that ends or is being deleted. */
  readonly isManaged: boolean
  /** False: some pods of a job that ends are still there, so that it can't be called finished. */
  readonly isSettled: boolean
}

export interface TrackingPlan {
  /** Write this first: it lists the pods that are released next, so that a crash in between loses none and counts none twice. */
  readonly status: JobStatus
  /** To be freed of the tracking finalizer. */
  readonly release: readonly Stored<Pod>[]
  /** `Complete` or `Failed`, to be set when nothing is left to count; see {@link planFinish}. */
  readonly finish: JobCondition | undefined
  readonly suspension: 'Suspended' | 'Resumed' | undefined
}

/** Source: the second half of syncJob and trackJobStatusAndRemoveFinalizers, job_controller.go v1.37. */
export function planTracking(survey: JobSurvey, outcome: PodsOutcome): TrackingPlan {
  const { job } = survey
  const reached = survey.finish ?? (isComplete(survey, outcome) ? completionsReached(survey) : undefined)
  const ending = survey.finish !== undefined && !outcome.isSettled ? undefined : reached
  const suspension = ending === undefined && outcome.isManaged ? planSuspension(survey) : undefined
  const counted = countFinished(survey, ending)
  const status = withCounts(
    {
      ...job.status,
      startTime: survey.startTime,
      ...suspension?.fields,
      active: outcome.active,
      ready: outcome.ready,
      terminating: outcome.terminating,
      ...counted.fields,
    },
    isTold(survey, ending) ? undefined : ending,
  )
  return {
    status,
    release: counted.release,
    finish: counted.isPartial ? undefined : finalCondition(ending, survey.nowMs),
    suspension: suspension?.event,
  }
}

/** The status once the pods with these uids have lost the finalizer: what was listed is counted. */
export function planCounted(status: JobStatus, isTracked: (uid: string) => boolean): JobStatus {
  const { succeeded = [], failed = [] } = status.uncountedTerminatedPods ?? {}
  const left = { succeeded: succeeded.filter(isTracked), failed: failed.filter(isTracked) }
  return withCounts({
    ...status,
    succeeded: (status.succeeded ?? 0) + succeeded.length - left.succeeded.length,
    failed: (status.failed ?? 0) + failed.length - left.failed.length,
    uncountedTerminatedPods: left,
  })
}

/** The status with its final condition; undefined while pods are not counted or still terminate. Source: enactJobFinished. */
export function planFinish(status: JobStatus, finish: JobCondition | undefined, nowMs: number): JobStatus | undefined {
  const uncounted = status.uncountedTerminatedPods
  const isOpen = (uncounted?.succeeded ?? []).length + (uncounted?.failed ?? []).length + (status.terminating ?? 0) > 0
  if (finish === undefined || isOpen) return undefined
  const completion = finish.type === 'Complete' ? { completionTime: formatTime(nowMs) } : {}
  return { ...withCounts(status, finish), ...completion }
}

/** `Failed` comes last, by {@link planFinish}: its FailureTarget is there already. */
function isTold({ job }: JobSurvey, ending: JobCondition | undefined): boolean {
  return ending?.type === 'Failed' || (ending !== undefined && trueCondition(job, ending.type) !== undefined)
}

function isComplete({ spec, succeeded }: JobSurvey, { active }: PodsOutcome): boolean {
  return active === 0 && succeeded >= (spec.completions ?? 1)
}

function completionsReached({ nowMs }: JobSurvey): JobCondition {
  const text = { reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' }
  return createCondition('SuccessCriteriaMet', text, nowMs)
}

function finalCondition(ending: JobCondition | undefined, nowMs: number): JobCondition | undefined {
  if (ending === undefined || ending.type === 'Failed') return ending
  return createCondition(ending.type === 'FailureTarget' ? 'Failed' : 'Complete', ending, nowMs)
}

interface Suspension {
  readonly fields: Pick<JobStatus, 'conditions' | 'startTime'>
  readonly event: 'Suspended' | 'Resumed'
}

/** A suspended job loses its start time and gets a new one when it goes on: the active deadline counts uninterrupted time. */
function planSuspension({ job, spec, nowMs }: JobSurvey): Suspension | undefined {
  const isSuspended = spec.suspend === true
  const old = findCondition(job.status?.conditions, 'Suspended')
  if (isSuspended ? old?.status === 'True' : old === undefined || old.status === 'False') return undefined
  const text = isSuspended
    ? { reason: 'JobSuspended', message: 'Job suspended' }
    : { reason: 'JobResumed', message: 'Job resumed' }
  const condition = { ...createCondition('Suspended', text, nowMs), status: isSuspended ? 'True' : 'False' }
  const conditions = replaceCondition(job.status?.conditions, condition)
  return {
    fields: { conditions, startTime: isSuspended ? undefined : formatTime(nowMs) },
    event: isSuspended ? 'Suspended' : 'Resumed',
  }
}

interface Counted {
  readonly fields: JobStatus
  readonly release: readonly Stored<Pod>[]
  /** True when there are more than one round can count. */
  readonly isPartial: boolean
}

/** Lists finished pods as uncounted, and chooses those whose finalizer can go. An index counts once, so that its pods need no list. */
function countFinished(survey: JobSurvey, ending: JobCondition | undefined): Counted {
  const { job, pods, indexes } = survey
  const tracked = pods.filter(hasTrackingFinalizer)
  const trackedUids = new Set(tracked.map(({ metadata }) => metadata.uid))
  const base = planCounted(job.status ?? {}, (uid) => trackedUids.has(uid))
  const listed = {
    succeeded: new Set(base.uncountedTerminatedPods?.succeeded),
    failed: new Set(base.uncountedTerminatedPods?.failed),
  }
  const newIndexes = new Set<number>()
  const release: Stored<Pod>[] = []
  let isPartial = false
  for (const pod of tracked) {
    if (!canRelease(survey, pod, ending)) continue
    release.push(pod)
    countPod(survey, pod, { ending, listed, newIndexes })
    isPartial = newIndexes.size + listed.succeeded.size + listed.failed.size >= UNCOUNTED_PODS_MAX
    if (isPartial) break
  }
  const uncountedTerminatedPods = { succeeded: [...listed.succeeded], failed: [...listed.failed] }
  const fields = { succeeded: base.succeeded, failed: base.failed, uncountedTerminatedPods }
  if (indexes === undefined) return { fields, release, isPartial }
  const completed = withIndexes(indexes.previous, newIndexes)
  return {
    fields: {
      ...fields,
      succeeded: countIndexes(completed),
      completedIndexes: formatIntervals(completed),
      ...(indexes.failed === undefined ? {} : { failedIndexes: formatIntervals(indexes.failed) }),
    },
    release,
    isPartial,
  }
}

/** Source: canRemoveFinalizer, job_controller.go v1.37. */
function canRelease({ job, indexes }: JobSurvey, pod: Stored<Pod>, ending: JobCondition | undefined): boolean {
  if (job.metadata.deletionTimestamp !== undefined || ending !== undefined) return true
  if (pod.status?.phase === 'Succeeded') return true
  if (!isFailedPod(job, pod)) return false
  const index = completionIndexOf(pod)
  return index === undefined || indexes?.awaitingReplacement.get(index)?.metadata.uid !== pod.metadata.uid
}

interface Tally {
  readonly ending: JobCondition | undefined
  readonly listed: { readonly succeeded: Set<string>; readonly failed: Set<string> }
  readonly newIndexes: Set<number>
}

function countPod({ job, indexes }: JobSurvey, pod: Stored<Pod>, { ending, listed, newIndexes }: Tally): void {
  const { uid } = pod.metadata
  const index = validIndexOf(job, pod)
  if (pod.status?.phase === 'Succeeded' && !listed.failed.has(uid)) {
    if (indexes === undefined) listed.succeeded.add(uid)
    else if (index !== undefined && !hasIndex(indexes.previous, index)) newIndexes.add(index)
    return
  }
  // A job that fails counts all that has not ended well as failed.
  const isFailed = isFailedPod(job, pod) || (ending !== undefined && ending.type !== 'SuccessCriteriaMet')
  if (!isFailed || (isIndexed(job) && index === undefined)) return
  if (judgeFailure(job.spec?.podFailurePolicy, pod).counts) listed.failed.add(uid)
}

/** Zeros and empty texts are left out where upstream's fields do not tell them from absence. */
function withCounts(status: JobStatus, added?: JobCondition): JobStatus {
  const { active, succeeded, failed, completedIndexes, startTime, uncountedTerminatedPods, ...rest } = status
  const lists = uncountedTerminatedPods ?? {}
  return {
    ...rest,
    ...(active ? { active } : {}),
    ...(succeeded ? { succeeded } : {}),
    ...(failed ? { failed } : {}),
    ...(completedIndexes ? { completedIndexes } : {}),
    ...(startTime === undefined ? {} : { startTime }),
    ...(added === undefined ? {} : { conditions: replaceCondition(status.conditions, added) }),
    uncountedTerminatedPods: {
      ...(lists.succeeded?.length ? { succeeded: lists.succeeded } : {}),
      ...(lists.failed?.length ? { failed: lists.failed } : {}),
    },
  }
}

/** The same condition keeps its times. */
function replaceCondition(list: readonly JobCondition[] = [], condition: JobCondition): JobCondition[] {
  const at = list.findIndex(({ type }) => type === condition.type)
  const old = list[at]
  if (old === undefined) return [...list, condition]
  const isSame = old.status === condition.status && old.reason === condition.reason && old.message === condition.message
  return isSame ? [...list] : list.with(at, condition)
}
