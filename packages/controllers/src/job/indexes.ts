import type { Stored } from '@centaurus/api'
import type { Job } from '@centaurus/api/batch/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { isPodTerminating } from '../frame/pods.ts'
import { finishedMs } from './backoff.ts'
import { firstFreeIndexes, hasIndex, mergeIntervals, parseIntervals, withIndexes, type Intervals } from './intervals.ts'
import { judgeFailure } from './policies.ts'

export const TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking'
export const COMPLETION_INDEX = 'batch.kubernetes.io/job-completion-index'
export const INDEX_FAILURE_COUNT = 'batch.kubernetes.io/job-index-failure-count'
export const INDEX_IGNORED_FAILURE_COUNT = 'batch.kubernetes.io/job-index-ignored-failure-count'
const INT32_MAX = 2_147_483_647

export function isIndexed({ spec }: Readonly<Job>): boolean {
  return spec?.completionMode === 'Indexed'
}

/** Whether replacements wait until pods have ended for good. */
export function replacesOnlyFailed({ spec }: Readonly<Job>): boolean {
  return spec?.podReplacementPolicy === 'Failed'
}

export function hasTrackingFinalizer({ metadata }: Readonly<Pod>): boolean {
  return metadata.finalizers?.includes(TRACKING_FINALIZER) === true
}

/** Failed, or (unless only ended pods are replaced) deleted before it succeeded. Source: isPodFailed, job_controller.go v1.37. */
export function isFailedPod(job: Readonly<Job>, { metadata, status }: Readonly<Pod>): boolean {
  if (status?.phase === 'Failed') return true
  return !replacesOnlyFailed(job) && metadata.deletionTimestamp !== undefined && status?.phase !== 'Succeeded'
}

/** Undefined when the pod names none. */
export function completionIndexOf({ metadata }: Readonly<Pod>): number | undefined {
  return countAnnotation(metadata.annotations?.[COMPLETION_INDEX])
}

/** The pod's index when it is one of the job's. */
export function validIndexOf({ spec }: Readonly<Job>, pod: Readonly<Pod>): number | undefined {
  const index = completionIndexOf(pod)
  return index !== undefined && index < (spec?.completions ?? 0) ? index : undefined
}

export function indexFailures({ metadata }: Readonly<Pod>): number {
  return countAnnotation(metadata.annotations?.[INDEX_FAILURE_COUNT]) ?? 0
}

export function ignoredIndexFailures({ metadata }: Readonly<Pod>): number {
  return countAnnotation(metadata.annotations?.[INDEX_IGNORED_FAILURE_COUNT]) ?? 0
}

function countAnnotation(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d+$/.test(text)) return undefined
  const value = Number(text)
  return value > INT32_MAX ? undefined : value
}

export interface IndexSurvey {
  /** What the status tells. */
  readonly previous: Intervals
  /** With the pods that succeeded since. */
  readonly succeeded: Intervals
  /** Undefined unless there is a limit per index. */
  readonly failed: Intervals | undefined
  /** By index, the failed pod that is kept until its replacement has taken over its failure count. Empty unless there is a limit per index. */
  readonly awaitingReplacement: ReadonlyMap<number, Stored<Pod>>
}

/** Source: calculateSucceededIndexes, calculateFailedIndexes, getPodsWithDelayedDeletionPerIndex, indexed_job_utils.go v1.37. */
export function surveyIndexes(
  job: Readonly<Job>,
  pods: readonly Stored<Pod>[],
  activePods: readonly Stored<Pod>[],
): IndexSurvey {
  const completions = job.spec?.completions ?? 0
  const previous = parseIntervals(job.status?.completedIndexes, completions)
  const uncounted = pods.filter((pod) => hasTrackingFinalizer(pod) && validIndexOf(job, pod) !== undefined)
  const indexOf = (pod: Pod): number => completionIndexOf(pod)!
  const newlySucceeded = uncounted.filter((pod) => pod.status?.phase === 'Succeeded')
  const succeeded = withIndexes(previous, newlySucceeded.map(indexOf))
  const limit = job.spec?.backoffLimitPerIndex
  if (limit === undefined) return { previous, succeeded, failed: undefined, awaitingReplacement: new Map() }
  const failed = withIndexes(
    parseIntervals(job.status?.failedIndexes, completions),
    uncounted.filter((pod) => failsIndex(job, pod, limit)).map(indexOf),
  )
  const busy = mergeIntervals(mergeIntervals(succeeded, failed), indexesOf(activePods))
  const awaitingReplacement = new Map<number, Stored<Pod>>()
  for (const pod of uncounted) {
    if (!isFailedPod(job, pod) || hasIndex(busy, indexOf(pod))) continue
    const other = awaitingReplacement.get(indexOf(pod))
    if (other === undefined || isLaterFailure(pod, other)) awaitingReplacement.set(indexOf(pod), pod)
  }
  return { previous, succeeded, failed, awaitingReplacement }
}

export function indexesOf(pods: readonly Pod[]): Intervals {
  return withIndexes(
    [],
    pods.map(completionIndexOf).filter((index) => index !== undefined),
  )
}

/** Indexes that need a pod, lowest first. Source: firstPendingIndexes, indexed_job_utils.go v1.37. */
export function pendingIndexes(
  job: Readonly<Job>,
  { succeeded, failed = [] }: IndexSurvey,
  {
    pods,
    activePods,
    count,
  }: { readonly pods: readonly Pod[]; readonly activePods: readonly Pod[]; readonly count: number },
): number[] {
  const busy = replacesOnlyFailed(job) ? [...activePods, ...pods.filter(isPodTerminating)] : activePods
  const taken = mergeIntervals(mergeIntervals(succeeded, failed), indexesOf(busy))
  return firstFreeIndexes(taken, { count, completions: job.spec?.completions ?? 0 })
}

function failsIndex(job: Readonly<Job>, pod: Readonly<Pod>, limit: number): boolean {
  if (!isFailedPod(job, pod)) return false
  const { action, counts } = judgeFailure(job.spec?.podFailurePolicy, pod)
  return action === 'FailIndex' || (counts && indexFailures(pod) >= limit)
}

function isLaterFailure(pod: Pod, other: Pod): boolean {
  const failures = (one: Pod): number => indexFailures(one) + ignoredIndexFailures(one)
  return failures(pod) >= failures(other) && finishedMs(pod) >= finishedMs(other)
}

/** What the annotations of a pod that replaces `failed` say. Source: getNewIndexFailureCounts, indexed_job_utils.go v1.37. */
export function failureCountsAfter(
  { spec }: Readonly<Job>,
  failed: Readonly<Pod> | undefined,
): { readonly failures: number; readonly ignored: number } {
  if (failed === undefined) return { failures: 0, ignored: 0 }
  const { counts } = judgeFailure(spec?.podFailurePolicy, failed)
  return {
    failures: indexFailures(failed) + (counts ? 1 : 0),
    ignored: ignoredIndexFailures(failed) + (counts ? 0 : 1),
  }
}
