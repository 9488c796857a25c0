import { formatTime, isPodActive, isPodReady, type Stored } from '@centaurus/api'
import type { Job, JobCondition, JobSpec } from '@centaurus/api/batch/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { isPodTerminating, timeMs } from '../frame/pods.ts'
import { NO_FAILURES, recordFailures, type FailureRecord } from './backoff.ts'
import { trueCondition } from './finished.ts'
import {
  completionIndexOf,
  hasTrackingFinalizer,
  isFailedPod,
  isIndexed,
  surveyIndexes,
  validIndexOf,
  type IndexSurvey,
} from './indexes.ts'
import { countIndexes } from './intervals.ts'
import { judgeFailure, matchSuccessPolicy } from './policies.ts'

export interface SurveyInput {
  readonly job: Stored<Job>
  /** Those it controls. The caches show everything that the controller wrote about the job and its pods. */
  readonly pods: readonly Stored<Pod>[]
  /** Undefined when none is remembered, as after a restart: then the pods that are left tell. */
  readonly failures: FailureRecord | undefined
  readonly nowMs: number
}

/** What is known about a job before anything is done. */
export interface JobSurvey {
  readonly job: Stored<Job>
  readonly spec: JobSpec
  /** In order of completion index, where they have one. */
  readonly pods: readonly Stored<Pod>[]
  readonly activePods: readonly Stored<Pod>[]
  readonly ready: number
  readonly terminating: number
  /** Pods that ended well: counted, about to be counted, and seen just now. */
  readonly succeeded: number
  readonly failures: FailureRecord
  readonly startTime: string | undefined
  /** Undefined unless the job is indexed. */
  readonly indexes: IndexSurvey | undefined
  /** Why the job ends: `SuccessCriteriaMet`, `FailureTarget`, or `Failed` for a FailureTarget that the status already tells. */
  readonly finish: JobCondition | undefined
  /** Until the active deadline; undefined when there is none to wait for. */
  readonly deadlineInMs: number | undefined
  readonly nowMs: number
}

/** Counts, and decides whether the job has to end. Source: syncJob, pkg/controller/job/job_controller.go v1.37. */
export function surveyJob({ job, pods, failures, nowMs }: SurveyInput): JobSurvey {
  const sorted = isIndexed(job) ? pods.toSorted(byCompletionIndex) : pods
  const activePods = sorted.filter(isPodActive)
  const finished = newlyFinished(job, sorted)
  const indexes = isIndexed(job) ? surveyIndexes(job, sorted, activePods) : undefined
  const { status } = job
  const isSuspended = job.spec?.suspend === true
  const startTime = status?.startTime ?? (isSuspended ? undefined : formatTime(nowMs))
  const uncounted = status?.uncountedTerminatedPods
  const deadlineInMs = deadlineLeftMs(job, { startTime, nowMs })
  const failed = (status?.failed ?? 0) + finished.countedFailures + (uncounted?.failed?.length ?? 0)
  return {
    job,
    spec: job.spec!,
    pods: sorted,
    activePods,
    ready: activePods.filter(isPodReady).length,
    terminating: sorted.filter(isPodTerminating).length,
    succeeded:
      indexes === undefined
        ? (status?.succeeded ?? 0) + finished.succeeded.length + (uncounted?.succeeded?.length ?? 0)
        : countIndexes(indexes.succeeded),
    failures: failures === undefined ? restoreFailures(job, sorted) : recordFailures(failures, finished),
    startTime,
    indexes,
    finish: findFinish({ job, pods: sorted, failed, indexes, deadlineInMs, nowMs }),
    deadlineInMs,
    nowMs,
  }
}

export function createCondition(
  type: string,
  { reason, message }: { readonly reason?: string | undefined; readonly message?: string | undefined },
  nowMs: number,
): JobCondition {
  const now = formatTime(nowMs)
  return { type, status: 'True', lastProbeTime: now, lastTransitionTime: now, reason, message }
}

function byCompletionIndex(a: Pod, b: Pod): number {
  return (completionIndexOf(a) ?? -1) - (completionIndexOf(b) ?? -1)
}

interface Finished {
  readonly succeeded: readonly Stored<Pod>[]
  readonly failed: readonly Stored<Pod>[]
  /** Of the failed, those that a failure policy does not ignore. */
  readonly countedFailures: number
}

/** Pods that no count and no list of the status has yet. Source: getNewFinishedPods. */
function newlyFinished(job: Stored<Job>, pods: readonly Stored<Pod>[]): Finished {
  const uncounted = job.status?.uncountedTerminatedPods
  const known = { succeeded: new Set(uncounted?.succeeded), failed: new Set(uncounted?.failed) }
  const tracked = pods.filter(
    (pod) => hasTrackingFinalizer(pod) && (!isIndexed(job) || validIndexOf(job, pod) !== undefined),
  )
  const succeeded = tracked.filter((pod) => pod.status?.phase === 'Succeeded' && !known.succeeded.has(pod.metadata.uid))
  const failed = tracked.filter((pod) => isFailedPod(job, pod) && !known.failed.has(pod.metadata.uid))
  const policy = job.spec?.podFailurePolicy
  return { succeeded, failed, countedFailures: failed.filter((pod) => judgeFailure(policy, pod).counts).length }
}

function restoreFailures(job: Stored<Job>, pods: readonly Stored<Pod>[]): FailureRecord {
  const succeeded = pods.filter(({ status }) => status?.phase === 'Succeeded')
  return recordFailures(NO_FAILURES, { succeeded, failed: pods.filter((pod) => isFailedPod(job, pod)) })
}

interface FinishInput {
  readonly job: Stored<Job>
  readonly pods: readonly Stored<Pod>[]
  readonly failed: number
  readonly indexes: IndexSurvey | undefined
  readonly deadlineInMs: number | undefined
  readonly nowMs: number
}

/** What was decided before stays. Then failures are looked for, then success. Completions are judged later, when no pod is active. */
function findFinish({ job, pods, failed, indexes, deadlineInMs, nowMs }: FinishInput): JobCondition | undefined {
  const met = trueCondition(job, 'SuccessCriteriaMet')
  if (met !== undefined) return met
  const target = trueCondition(job, 'FailureTarget')
  if (target !== undefined) return createCondition('Failed', target, nowMs)
  const fail = (reason: string, message: string): JobCondition =>
    createCondition('FailureTarget', { reason, message }, nowMs)
  const failJobMessage = findFailJob(job, pods)
  if (failJobMessage !== undefined) return fail('PodFailurePolicy', failJobMessage)
  if (failed > (job.spec?.backoffLimit ?? 0) || restartsExceedLimit(job, pods))
    return fail('BackoffLimitExceeded', 'Job has reached the specified backoff limit')
  if (deadlineInMs !== undefined && deadlineInMs <= 0)
    return fail('DeadlineExceeded', 'Job was active longer than specified deadline')
  if (indexes === undefined) return undefined
  const failedIndexes = countIndexes(indexes.failed ?? [])
  const { maxFailedIndexes, completions = 0 } = job.spec!
  if (maxFailedIndexes !== undefined && failedIndexes > maxFailedIndexes)
    return fail('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes')
  if (failedIndexes > 0 && failedIndexes + countIndexes(indexes.succeeded) >= completions)
    return fail('FailedIndexes', 'Job has failed indexes')
  const message = matchSuccessPolicy(job, indexes.succeeded)
  return message === undefined
    ? undefined
    : createCondition('SuccessCriteriaMet', { reason: 'SuccessPolicy', message }, nowMs)
}

function findFailJob(job: Stored<Job>, pods: readonly Stored<Pod>[]): string | undefined {
  const policy = job.spec?.podFailurePolicy
  if (policy === undefined) return undefined
  for (const pod of pods) {
    const message = isFailedPod(job, pod) ? judgeFailure(policy, pod).failJobMessage : undefined
    if (message !== undefined) return message
  }
  return undefined
}

/** Containers that restart in place count too. Source: pastBackoffLimitOnFailure. */
function restartsExceedLimit({ spec }: Stored<Job>, pods: readonly Stored<Pod>[]): boolean {
  if (spec?.template.spec?.restartPolicy !== 'OnFailure') return false
  let restarts = 0
  for (const { status } of pods) {
    if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue
    for (const { restartCount } of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])])
      restarts += restartCount
  }
  const limit = spec.backoffLimit ?? 0
  return limit === 0 ? restarts > 0 : restarts >= limit
}

function deadlineLeftMs(
  { spec }: Stored<Job>,
  { startTime, nowMs }: { readonly startTime: string | undefined; readonly nowMs: number },
): number | undefined {
  const startMs = timeMs(startTime)
  if (spec?.activeDeadlineSeconds === undefined || spec.suspend === true || startMs === undefined) return undefined
  return startMs + spec.activeDeadlineSeconds * 1000 - nowMs
}
