import { ownerReferenceTo, parseTime, type Stored } from '@centaurus/api'
import type { Job } from '@centaurus/api/batch/v1'
import type { Container, Pod } from '@centaurus/api/core/v1'
import { buildPod } from '../frame/pods.ts'

export const TRACKING_FINALIZER = 'batch.kubernetes.io/job-tracking'
export const INDEX_ANNOTATION = 'batch.kubernetes.io/job-completion-index'
export const INDEX_FAILURES_ANNOTATION = 'batch.kubernetes.io/job-index-failure-count'
const IGNORED_FAILURES_ANNOTATION = 'batch.kubernetes.io/job-index-ignored-failure-count'
const INDEX_ENVIRONMENT = 'JOB_COMPLETION_INDEX'
const HOSTNAME_LENGTH_MAX = 63

export function isIndexed({ spec }: Job): boolean {
  return spec?.completionMode === 'Indexed'
}

/** Failed pods alone are replaced; else those that are being deleted, too. Source: onlyReplaceFailedPods v1.37. */
export function replacesOnlyFailed({ spec }: Job): boolean {
  return (
    spec?.podReplacementPolicy === 'Failed' ||
    (spec?.podReplacementPolicy === undefined && spec?.podFailurePolicy !== undefined)
  )
}

export function hasTrackingFinalizer({ metadata }: Pod): boolean {
  return metadata.finalizers?.includes(TRACKING_FINALIZER) === true
}

export function isPodSucceeded({ status }: Pod): boolean {
  return status?.phase === 'Succeeded'
}

/** A pod that was deleted before it ended failed, too, unless the job waits for the end. Source: isPodFailed v1.37. */
export function isPodFailed(pod: Pod, job: Job): boolean {
  if (pod.status?.phase === 'Failed') return true
  if (replacesOnlyFailed(job)) return false
  return pod.metadata.deletionTimestamp !== undefined && pod.status?.phase !== 'Succeeded'
}

/** Completion index of a pod; undefined when it has none. */
export function indexOf({ metadata }: Pod): number | undefined {
  const text = metadata.annotations?.[INDEX_ANNOTATION]
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
}

/** How often pods of this index had failed before this one. */
export function indexFailures({ metadata }: Pod): number {
  const text = metadata.annotations?.[INDEX_FAILURES_ANNOTATION]
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : 0
}

/** When the last container ended; else when the pod was last seen to change. Source: getFinishedTime, backoff_utils.go v1.37. */
export function finishedAtMs({ status, metadata }: Pod): number {
  const statuses = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])]
  const ends = statuses.flatMap(({ state }) => parseTime(state?.terminated?.finishedAt ?? '') ?? [])
  if (ends.length > 0) return Math.max(...ends)
  const ready = status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime
  return parseTime(ready ?? metadata.deletionTimestamp ?? metadata.creationTimestamp ?? '') ?? 0
}

export interface JobPodInit {
  /** Undefined for jobs without indexes. */
  readonly index: number | undefined
  /** Failures of this index so far, for jobs that limit them by index. */
  readonly failures: number | undefined
}

/** A pod of the job, tracked by its finalizer. Source: manageJob, job_controller.go v1.37. */
export function buildJobPod(job: Stored<Job>, { index, failures }: JobPodInit): Pod {
  const pod = buildPod(job.spec!.template, job)
  const finalizers = [...new Set([...(pod.metadata.finalizers ?? []), TRACKING_FINALIZER])]
  const metadata = { ...pod.metadata, finalizers, ownerReferences: [ownerReferenceTo(job)] }
  if (index === undefined) return { ...pod, metadata }
  const text = String(index)
  const counts =
    failures === undefined ? {} : { [INDEX_FAILURES_ANNOTATION]: String(failures), [IGNORED_FAILURES_ANNOTATION]: '0' }
  const suffix = `-${text}`
  const addIndex = (containers: readonly Container[] | undefined): Container[] | undefined =>
    containers?.map(addIndexEnvironment)
  const initContainers = addIndex(pod.spec?.initContainers)
  return {
    ...pod,
    metadata: {
      ...metadata,
      generateName: `${job.metadata.name}${suffix}-`,
      labels: { ...metadata.labels, [INDEX_ANNOTATION]: text },
      annotations: { ...metadata.annotations, ...counts, [INDEX_ANNOTATION]: text },
    },
    spec: {
      ...pod.spec!,
      hostname: `${job.metadata.name.slice(0, HOSTNAME_LENGTH_MAX - suffix.length)}${suffix}`,
      containers: addIndex(pod.spec!.containers)!,
      ...(initContainers === undefined ? {} : { initContainers }),
    },
  }
}

function addIndexEnvironment(container: Container): Container {
  if (container.env?.some(({ name }) => name === INDEX_ENVIRONMENT) === true) return container
  const valueFrom = { fieldRef: { fieldPath: `metadata.annotations['${INDEX_ANNOTATION}']` } }
  return { ...container, env: [...(container.env ?? []), { name: INDEX_ENVIRONMENT, valueFrom }] }
}
