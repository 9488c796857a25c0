import type { Job } from '@centaurus/api/batch/v1'
import { timeMs } from '../frame/pods.ts'
import { finishedCondition } from '../job/finished.ts'

/**
 * Milliseconds until a finished job is to be deleted, 0 when it is time; undefined for jobs that go on, have no
 * `ttlSecondsAfterFinished`, or are going already. Source: processTTL, pkg/controller/ttlafterfinished v1.37.
 */
export function planExpiry(job: Readonly<Job>, nowMs: number): number | undefined {
  const ttl = job.spec?.ttlSecondsAfterFinished
  if (ttl === undefined || job.metadata.deletionTimestamp !== undefined) return undefined
  const sinceMs = timeMs(finishedCondition(job)?.lastTransitionTime)
  return sinceMs === undefined ? undefined : Math.max(0, sinceMs + ttl * 1000 - nowMs)
}
