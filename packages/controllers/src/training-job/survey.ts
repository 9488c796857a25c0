/** What there is of a TrainingJob, from its pods. Pure. */
import { isPodReady, isPodTerminal, podCondition, type Stored } from '@centaurus/api'
import type { TrainingJob } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { timeMs } from '../frame/pods.ts'
import { isLauncher, workerIndexOf, worldOf } from './worker-pods.ts'

export interface TrainingSurvey {
  readonly job: Stored<TrainingJob>
  readonly nowMs: number
  /** Of its world, neither ended nor on their way out, by their number. */
  readonly workers: readonly Stored<Pod>[]
  readonly launcher: Stored<Pod> | undefined
  /** Of an earlier world, or with a number twice; not on their way out. */
  readonly strangers: readonly Stored<Pod>[]
  /** On their way out. Their names are not free yet. */
  readonly leaving: readonly Stored<Pod>[]
  /** Failed, launcher or worker, and not on their way out. */
  readonly failed: readonly Stored<Pod>[]
  /** Workers that have ended well, before the job has: their names are not free. */
  readonly succeeded: readonly Stored<Pod>[]
  /** What the job's end is judged by has ended well. */
  readonly isDone: boolean
  readonly ready: number
  /** Workers that have had no node for a while, since there is none. */
  readonly stuck: readonly Stored<Pod>[]
}

/** So long may a worker wait for a node before the job does without it. */
export const STUCK_MS = 15_000

export function surveyTrainingJob(
  job: Stored<TrainingJob>,
  pods: readonly Stored<Pod>[],
  nowMs: number,
): TrainingSurvey {
  const world = job.status?.world ?? 0
  const isLeaving = (pod: Stored<Pod>): boolean => pod.metadata.deletionTimestamp !== undefined
  const present = pods.filter((pod) => !isLeaving(pod))
  const current = present.filter((pod) => worldOf(pod) === world)
  const ended = current.filter(isPodTerminal)
  const workers = current.filter((pod) => !isPodTerminal(pod) && !isLauncher(pod))
  const succeeded = ended.filter(({ status }) => status?.phase === 'Succeeded')
  return {
    job,
    nowMs,
    workers: workers.toSorted((a, b) => workerIndexOf(a) - workerIndexOf(b)),
    launcher: current.find((pod) => isLauncher(pod) && !isPodTerminal(pod)),
    strangers: present.filter((pod) => worldOf(pod) !== world),
    leaving: pods.filter(isLeaving),
    failed: ended.filter(({ status }) => status?.phase === 'Failed'),
    succeeded: succeeded.filter((pod) => !isLauncher(pod)),
    isDone: succeeded.some((pod) => (job.spec.launcher === undefined ? workerIndexOf(pod) === 0 : isLauncher(pod))),
    ready: workers.filter(isPodReady).length,
    stuck: workers.filter((pod) => isStuck(pod, nowMs)),
  }
}

function isStuck(pod: Stored<Pod>, nowMs: number): boolean {
  const condition = podCondition(pod, 'PodScheduled')
  if (condition?.status !== 'False' || condition.reason !== 'Unschedulable') return false
  const sinceMs = timeMs(pod.metadata.creationTimestamp) ?? nowMs
  return nowMs - sinceMs >= STUCK_MS
}
