import { isPodReady, type Stored } from '@centaurus/api'
import type { Job } from '@centaurus/api/batch/v1'
import type { Container, EnvVar, Pod, PodSpec } from '@centaurus/api/core/v1'
import { buildPod, readySinceMs, timeMs } from '../frame/pods.ts'
import { backoffLeftMs, finishedMs } from './backoff.ts'
import {
  COMPLETION_INDEX,
  completionIndexOf,
  failureCountsAfter,
  ignoredIndexFailures,
  INDEX_FAILURE_COUNT,
  INDEX_IGNORED_FAILURE_COUNT,
  indexFailures,
  pendingIndexes,
  replacesOnlyFailed,
  TRACKING_FINALIZER,
  validIndexOf,
  type IndexSurvey,
} from './indexes.ts'
import type { JobSurvey } from './survey.ts'

/** Source: MaxPodCreateDeletePerSync, pkg/controller/job/job_controller.go v1.37. */
const PODS_PER_ROUND_MAX = 500
/** Source: apiserver pkg/storage/names MaxGeneratedNameLength v0.37. */
const NAME_PREFIX_LENGTH_MAX = 58
const INDEX_ENV = 'JOB_COMPLETION_INDEX'

export interface PodPlan {
  /** Too many, or with an index twice or not of the job. Their failure is nobody's: they are not tracked any more. */
  readonly remove: readonly Stored<Pod>[]
  readonly create: readonly Pod[]
  /** A failed pod may be replaced after this long. */
  readonly retryInMs: number | undefined
}

const NOTHING: PodPlan = { remove: [], create: [], retryInMs: undefined }

/** Which pods a job that goes on needs more or fewer. Either removes or creates. Source: manageJob, job_controller.go v1.37. */
export function planPods(survey: JobSurvey): PodPlan {
  const { job, spec, activePods, indexes } = survey
  if (spec.suspend === true) return { ...NOTHING, remove: activePods }
  const wanted = wantedPods(survey)
  const remove = choosePodsToRemove(job, activePods, Math.max(0, activePods.length - wanted))
  if (remove.length > 0) return { ...NOTHING, remove: remove.slice(0, PODS_PER_ROUND_MAX) }
  const occupied = activePods.length + (replacesOnlyFailed(job) ? survey.terminating : 0)
  const missing = Math.min(wanted - occupied, PODS_PER_ROUND_MAX)
  if (missing <= 0) return NOTHING
  if (spec.backoffLimitPerIndex === undefined) {
    const retryInMs = backoffLeftMs(survey.failures, survey.nowMs)
    if (retryInMs > 0) return { ...NOTHING, retryInMs }
  }
  if (indexes === undefined) {
    const pod = buildJobPod(job)
    return { ...NOTHING, create: Array.from({ length: missing }, () => pod) }
  }
  const pending = pendingIndexes(job, indexes, { ...survey, count: missing })
  return planIndexedPods(survey, indexes, pending)
}

function wantedPods({ spec, succeeded, activePods }: JobSurvey): number {
  const parallelism = spec.parallelism ?? 1
  // Without completions any success ends the job, once the others have ended by themselves.
  if (spec.completions === undefined) return succeeded > 0 ? activePods.length : parallelism
  return Math.max(0, Math.min(spec.completions - succeeded, parallelism))
}

/** With a limit per index each index waits for itself. */
function planIndexedPods(
  { job, nowMs }: JobSurvey,
  { awaitingReplacement }: IndexSurvey,
  pending: readonly number[],
): PodPlan {
  const waits = pending.map((index) => ({ index, waitMs: indexBackoffMs(awaitingReplacement.get(index), nowMs) }))
  const due = waits.filter(({ waitMs }) => waitMs === 0)
  const retryInMs = due.length === 0 && waits.length > 0 ? Math.min(...waits.map(({ waitMs }) => waitMs)) : undefined
  const create = due.map(({ index }) => buildIndexedPod(job, index, awaitingReplacement.get(index)))
  return { remove: [], create, retryInMs }
}

function indexBackoffMs(failed: Pod | undefined, nowMs: number): number {
  if (failed === undefined) return 0
  const failures = indexFailures(failed) + ignoredIndexFailures(failed) + 1
  return backoffLeftMs({ failures, lastFailureMs: finishedMs(failed) }, nowMs)
}

/** A pod of the job that its counts depend on. */
export function buildJobPod(job: Stored<Job>): Pod {
  const pod = buildPod(job.spec!.template, job)
  const finalizers = pod.metadata.finalizers ?? []
  if (finalizers.includes(TRACKING_FINALIZER)) return pod
  return { ...pod, metadata: { ...pod.metadata, finalizers: [...finalizers, TRACKING_FINALIZER] } }
}

/** Its name, host name, label, annotation and environment tell the index. */
function buildIndexedPod(job: Stored<Job>, index: number, replaced: Pod | undefined): Pod {
  const pod = buildJobPod(job)
  const counts = failureCountsAfter(job, replaced)
  const suffix = `-${index}-`
  const isCounted = job.spec?.backoffLimitPerIndex !== undefined
  return {
    ...pod,
    metadata: {
      ...pod.metadata,
      generateName: `${job.metadata.name.slice(0, NAME_PREFIX_LENGTH_MAX - suffix.length)}${suffix}`,
      labels: { ...pod.metadata.labels, [COMPLETION_INDEX]: String(index) },
      annotations: {
        ...pod.metadata.annotations,
        [COMPLETION_INDEX]: String(index),
        ...(isCounted ? { [INDEX_FAILURE_COUNT]: String(counts.failures) } : {}),
        ...(isCounted && counts.ignored > 0 ? { [INDEX_IGNORED_FAILURE_COUNT]: String(counts.ignored) } : {}),
      },
    },
    spec: { ...withIndexEnv(pod.spec!), hostname: `${job.metadata.name}-${index}` },
  }
}

function withIndexEnv(spec: PodSpec): PodSpec {
  const fieldRef = { fieldPath: `metadata.labels['${COMPLETION_INDEX}']` }
  const variable: EnvVar = { name: INDEX_ENV, valueFrom: { fieldRef } }
  const add = (container: Container): Container => {
    const env = container.env ?? []
    return env.some(({ name }) => name === INDEX_ENV) ? container : { ...container, env: [...env, variable] }
  }
  const initContainers = spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map(add) }
  return { ...spec, ...initContainers, containers: spec.containers.map(add) }
}

/**
 * Of each index all but the pod that came furthest, those without an index of the job, and then the least advanced until there are
 * `atLeast`. Source: activePodsForRemoval, job_controller.go v1.37.
 */
export function choosePodsToRemove(
  job: Stored<Job>,
  activePods: readonly Stored<Pod>[],
  atLeast: number,
): readonly Stored<Pod>[] {
  if (atLeast === 0 && job.spec?.completionMode !== 'Indexed') return []
  const leastFirst = activePods.toSorted(compareProgress)
  if (job.spec?.completionMode !== 'Indexed') return leastFirst.slice(0, atLeast)
  const best = new Map<number, Stored<Pod>>()
  for (const pod of leastFirst) if (validIndexOf(job, pod) !== undefined) best.set(completionIndexOf(pod)!, pod)
  const kept = new Set(best.values())
  const remove = leastFirst.filter((pod) => !kept.has(pod))
  const left = leastFirst.filter((pod) => kept.has(pod))
  return [...remove, ...left.slice(0, Math.max(0, atLeast - remove.length))]
}

const PHASE_ORDER: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 }

/** Less advanced first. Source: ActivePods, pkg/controller/controller_utils.go v1.37. */
function compareProgress(a: Stored<Pod>, b: Stored<Pod>): number {
  const younger = (left: number | undefined, right: number | undefined): number => {
    if (left === undefined || right === undefined) return Number(left !== undefined) - Number(right !== undefined)
    return right - left
  }
  return (
    Number(Boolean(a.spec?.nodeName)) - Number(Boolean(b.spec?.nodeName)) ||
    (PHASE_ORDER[a.status?.phase ?? ''] ?? 0) - (PHASE_ORDER[b.status?.phase ?? ''] ?? 0) ||
    Number(isPodReady(a)) - Number(isPodReady(b)) ||
    (isPodReady(a) ? younger(readySinceMs(a), readySinceMs(b)) : 0) ||
    maxRestarts(b) - maxRestarts(a) ||
    younger(timeMs(a.metadata.creationTimestamp), timeMs(b.metadata.creationTimestamp))
  )
}

function maxRestarts({ status }: Pod): number {
  return Math.max(0, ...(status?.containerStatuses ?? []).map(({ restartCount }) => restartCount ?? 0))
}
