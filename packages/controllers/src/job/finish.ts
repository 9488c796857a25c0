import { formatTime, parseTime, type Stored } from '@centaurus/api'
import type { Job, JobCondition } from '@centaurus/api/batch/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { judgeFailure, matchSuccessPolicy } from './policy.ts'
import { isIndexed, isPodFailed } from './pod.ts'

export interface JobCounts {
  readonly succeeded: number
  readonly failed: number
  readonly succeededIndexes: ReadonlySet<number>
  readonly failedIndexes: ReadonlySet<number>
}

export function conditionOf({ status }: Job, type: string): JobCondition | undefined {
  return status?.conditions?.find((condition) => condition.type === type && condition.status === 'True')
}

/** Complete or Failed: nothing but finalizers is left to do. */
export function isFinished(job: Job): boolean {
  return conditionOf(job, 'Complete') !== undefined || conditionOf(job, 'Failed') !== undefined
}

/** True when the job is to end now, although its pods may still have to; as a condition `FailureTarget` or `SuccessCriteriaMet`. */
export function planOutcome(
  job: Stored<Job>,
  list: readonly Stored<Pod>[],
  { counts, nowMs }: { readonly counts: JobCounts; readonly nowMs: number },
): JobCondition | undefined {
  const known = conditionOf(job, 'SuccessCriteriaMet') ?? conditionOf(job, 'FailureTarget')
  if (known !== undefined) return known
  const failure = planFailure(job, list, { counts, nowMs })
  if (failure !== undefined) return createCondition('FailureTarget', failure, nowMs)
  const success = isIndexed(job) ? matchSuccessPolicy(job, counts.succeededIndexes) : undefined
  return success === undefined
    ? undefined
    : createCondition('SuccessCriteriaMet', { reason: 'SuccessPolicy', message: success }, nowMs)
}

interface Outcome {
  readonly reason: string
  readonly message: string
}

export function createCondition(type: string, { reason, message }: Outcome, nowMs: number): JobCondition {
  const now = formatTime(nowMs)
  return { type, status: 'True', lastProbeTime: now, lastTransitionTime: now, reason, message }
}

function planFailure(
  job: Stored<Job>,
  list: readonly Stored<Pod>[],
  { counts, nowMs }: { readonly counts: JobCounts; readonly nowMs: number },
): Outcome | undefined {
  const { spec } = job
  for (const pod of list) {
    const verdict = isPodFailed(pod, job) ? judgeFailure(job, pod) : undefined
    if (verdict?.action === 'FailJob') return { reason: 'PodFailurePolicy', message: verdict.message }
  }
  const limit = spec?.backoffLimit ?? 6
  if (counts.failed > limit || hasRestartedTooOften(job, list, limit)) {
    return { reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' }
  }
  const deadlineMs = deadlineInMs(job, nowMs)
  if (deadlineMs !== undefined && deadlineMs <= 0) {
    return { reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' }
  }
  return isIndexed(job) && spec?.backoffLimitPerIndex !== undefined ? planIndexFailure(job, counts) : undefined
}

function planIndexFailure({ spec }: Job, { failedIndexes, succeededIndexes }: JobCounts): Outcome | undefined {
  if (spec?.maxFailedIndexes !== undefined && failedIndexes.size > spec.maxFailedIndexes) {
    return {
      reason: 'MaxFailedIndexesExceeded',
      message: 'Job has exceeded the specified maximal number of failed indexes',
    }
  }
  const isDone = failedIndexes.size > 0 && failedIndexes.size + succeededIndexes.size >= (spec?.completions ?? 0)
  return isDone ? { reason: 'FailedIndexes', message: 'Job has failed indexes' } : undefined
}

/** With `restartPolicy: OnFailure` the containers' restarts count as failures. Source: pastBackoffLimitOnFailure v1.37. */
function hasRestartedTooOften({ spec }: Job, list: readonly Pod[], limit: number): boolean {
  if (spec?.template.spec?.restartPolicy !== 'OnFailure') return false
  let restarts = 0
  for (const { status } of list) {
    if (status?.phase !== 'Running' && status?.phase !== 'Pending') continue
    for (const container of [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])])
      restarts += container.restartCount ?? 0
  }
  return limit === 0 ? restarts > 0 : restarts >= limit
}

/** Milliseconds left of `activeDeadlineSeconds`; undefined when there is none or the job is suspended. */
export function deadlineInMs({ spec, status }: Job, nowMs: number): number | undefined {
  const startMs = parseTime(status?.startTime ?? '')
  if (spec?.activeDeadlineSeconds === undefined || startMs === undefined || spec.suspend === true) return undefined
  return startMs + spec.activeDeadlineSeconds * 1000 - nowMs
}
