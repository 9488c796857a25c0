import { podCondition } from '@centaurus/api'
import type { ContainerStatus, Pod } from '@centaurus/api/core/v1'
import { isSidecar } from '@centaurus/api'
import { timeMs } from '../frame/pods.ts'

/** Source: DefaultJobPodFailureBackOff and MaxJobPodFailureBackOff, pkg/controller/job/job_controller.go v1.37. */
const BACKOFF_BASE_MS = 10_000
const BACKOFF_MAX_MS = 600_000

/** How often pods of a job failed since one succeeded, and when the last did. */
export interface FailureRecord {
  readonly failures: number
  readonly lastFailureMs: number
}

export const NO_FAILURES: FailureRecord = { failures: 0, lastFailureMs: 0 }

/** Takes pods that finished since the last time into account. Source: newBackoffRecord, backoff_utils.go v1.37. */
export function recordFailures(
  record: FailureRecord,
  { succeeded, failed }: { readonly succeeded: readonly Pod[]; readonly failed: readonly Pod[] },
): FailureRecord {
  const failedAt = failed.map(finishedMs)
  if (succeeded.length > 0) {
    const lastSuccessMs = Math.max(...succeeded.map(finishedMs))
    const later = failedAt.filter((ms) => ms > lastSuccessMs)
    return later.length === 0 ? NO_FAILURES : { failures: later.length, lastFailureMs: Math.max(...later) }
  }
  if (failed.length === 0) return record
  return { failures: record.failures + failed.length, lastFailureMs: Math.max(...failedAt) }
}

/** Milliseconds until a pod may be created in place of the failed ones; doubles with each failure. */
export function backoffLeftMs({ failures, lastFailureMs }: FailureRecord, nowMs: number): number {
  if (failures === 0) return 0
  const delayMs = Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.min(failures - 1, 30))
  return Math.max(0, lastFailureMs + delayMs - nowMs)
}

/**
 * When the pod ended: its last container, else since when it is not ready, else when its deletion was asked for, else its creation.
 * Source: getFinishedTime, backoff_utils.go v1.37.
 */
export function finishedMs(pod: Readonly<Pod>): number {
  const ready = podCondition(pod, 'Ready')
  const notReadySince = ready?.status === 'False' ? timeMs(ready.lastTransitionTime) : undefined
  return (
    containersFinishedMs(pod) ?? notReadySince ?? deletionAskedMs(pod) ?? timeMs(pod.metadata.creationTimestamp) ?? 0
  )
}

/** Undefined while one of them runs, and when there are none. Sidecars end after the others. */
function containersFinishedMs({ spec, status }: Readonly<Pod>): number | undefined {
  const sidecars = new Set((spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name))
  const statuses: ContainerStatus[] = [
    ...(status?.containerStatuses ?? []),
    ...(status?.initContainerStatuses ?? []).filter(({ name }) => sidecars.has(name)),
  ]
  const times = statuses.map(({ state }) => timeMs(state?.terminated?.finishedAt))
  if (times.length === 0 || times.includes(undefined)) return undefined
  return Math.max(...(times as number[]))
}

function deletionAskedMs({ metadata }: Readonly<Pod>): number | undefined {
  const deletionMs = timeMs(metadata.deletionTimestamp)
  return deletionMs === undefined ? undefined : deletionMs - (metadata.deletionGracePeriodSeconds ?? 0) * 1000
}
