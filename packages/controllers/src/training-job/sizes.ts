/** How many workers each TrainingJob should have now, over all of them together. */
import { isDeleting, objectKey, type ObjectKey, type Stored } from '@centaurus/api'
import {
  ADMITTED_WORKERS_ANNOTATION,
  queueNameOf,
  type TrainingJob,
  type TrainingReport,
} from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import type { Informer } from '@centaurus/client'
import { ownedBy } from '../frame/owners.ts'
import { timeMs } from '../frame/pods.ts'
import { useOf, type CapacityUnit, type TrainingCapacity, type WorkerUse } from './capacity.ts'
import { planWorkers, settlesInSeconds, type ElasticJob } from './core/plan-workers.ts'
import { isTrainingFinished, type WantedWorkers } from './plan.ts'
import { learnSpeed, speedOf, workOf } from './progress.ts'
import { surveyTrainingJob, type TrainingSurvey } from './survey.ts'

const RESTART_SECONDS = 30
/** A plan holds so long; what happens meanwhile is in the next one. */
export const PLAN_MS = 500
/** A job that found no nodes for all of its workers asks for more again after so long, doubled each time. */
const RETRY_MS = 30_000
const RETRY_MAX_MS = 600_000

interface SizesInputs {
  readonly jobs: Informer<TrainingJob>
  readonly pods: Informer<Pod>
  readonly reports: Informer<TrainingReport>
  readonly capacity: TrainingCapacity
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Jobs whose number has changed. */
  readonly onChange: (key: ObjectKey) => void
}

/** What nodes did not have room for, though counting said so. */
interface Limit {
  readonly workers: number
  readonly untilMs: number
  readonly waitMs: number
}

interface Candidate {
  readonly survey: TrainingSurvey
  readonly use: WorkerUse
  readonly elastic: ElasticJob
  /** Until it asks for more than it found nodes for. */
  readonly limitedMs: number | undefined
}

/** Whether a change of a job leaves all sizes as they are, but for what it reports, which has time. */
export function isPlannedAlike(job: Stored<TrainingJob>, old: Stored<TrainingJob>): boolean {
  const admitted = ({ metadata }: TrainingJob): string | undefined =>
    metadata.annotations?.[ADMITTED_WORKERS_ANNOTATION]
  return (
    job.metadata.generation === old.metadata.generation &&
    admitted(job) === admitted(old) &&
    takesPart(job) === takesPart(old)
  )
}

/** Whether a job gets workers at all. */
function takesPart(job: Stored<TrainingJob>): boolean {
  return !isTrainingFinished(job) && job.spec.suspend !== true && !isDeleting(job)
}

export class TrainingSizes {
  readonly #inputs: SizesInputs
  readonly #limits = new Map<string, Limit>()
  #wanted = new Map<ObjectKey, WantedWorkers>()
  #plannedMs = -Infinity

  constructor(inputs: SizesInputs) {
    this.#inputs = inputs
  }

  /** Of one job, from a plan for all that is at most {@link PLAN_MS} old. */
  of(key: ObjectKey): WantedWorkers {
    const { now } = this.#inputs
    const job = this.#inputs.jobs.get(key)
    const isMissing = !this.#wanted.has(key) && job !== undefined && takesPart(job)
    if (isMissing || now() - this.#plannedMs >= PLAN_MS) this.#plan()
    return this.#wanted.get(key) ?? { workers: 0, message: 'It is not known yet' }
  }

  forget(uid: string): void {
    this.#limits.delete(uid)
  }

  #plan(): void {
    const { jobs, capacity, now, onChange } = this.#inputs
    const nowMs = now()
    const candidates = jobs.list().flatMap((job) => this.#candidate(job, nowMs) ?? [])
    const wanted = new Map<ObjectKey, WantedWorkers>()
    for (const unit of ['gpu', 'cpu'] as const) {
      const group = candidates.filter(({ use }) => use.unit === unit)
      const available = Math.max(0, capacity.of(unit))
      const sizes = planWorkers(
        group.map(({ elastic }) => elastic),
        { capacity: available },
      )
      for (const candidate of group) {
        const workers = sizes.get(candidate.elastic.id) ?? 0
        wanted.set(candidate.elastic.id as ObjectKey, {
          workers,
          message: explain(candidate, { workers, available, unit }),
          againAfterMs: againAfter(candidate, workers),
        })
      }
    }
    const before = this.#wanted
    this.#wanted = wanted
    this.#plannedMs = nowMs
    for (const [key, size] of wanted) if (!isAlike(before.get(key), size)) onChange(key)
  }

  #candidate(job: Stored<TrainingJob>, nowMs: number): Candidate | undefined {
    const { pods, reports } = this.#inputs
    if (!takesPart(job)) return undefined
    const survey = surveyTrainingJob(job, ownedBy(pods, job), nowMs)
    const use = useOf(job.spec.workers.template)
    const learned = learnSpeed(job, reports.get(objectKey(job))?.spec)
    const present = survey.workers.length + survey.succeeded.length - survey.stuck.length
    const limit = this.#limit(survey, present)
    const fixed = fixedOf(job)
    const min = fixed ?? job.spec.workers.min
    const current = fixed ?? present
    const max = Math.max(min, Math.min(limit, maxOf(job, { current, largest: learned?.largest })))
    const elastic: ElasticJob = {
      id: objectKey(job),
      min,
      max,
      perWorker: use.amount,
      current,
      speedAt: (workers) => speedOf(learned, workers),
      ...workOf(learned, job.status?.progress),
      restartSeconds: job.spec.restartSeconds ?? RESTART_SECONDS,
      ageSeconds: (nowMs - (timeMs(job.metadata.creationTimestamp) ?? nowMs)) / 1_000,
      settledSeconds: (nowMs - (timeMs(job.status?.lastScaleTime) ?? 0)) / 1_000,
      priority: 0,
      // Its queue evicts it, or nobody does.
      isPreemptible: false,
    }
    const untilMs = this.#limits.get(job.metadata.uid)?.untilMs ?? nowMs
    return { survey, use, elastic, limitedMs: untilMs > nowMs ? untilMs - nowMs : undefined }
  }

  /** Learns from workers that no node has room for. */
  #limit({ job, stuck, nowMs }: TrainingSurvey, current: number): number {
    const { uid } = job.metadata
    const known = this.#limits.get(uid)
    if (stuck.length > 0 && current >= job.spec.workers.min) {
      const isNew = known === undefined || nowMs >= known.untilMs
      const waitMs = isNew ? Math.min(RETRY_MAX_MS, 2 * (known?.waitMs ?? RETRY_MS / 2)) : known.waitMs
      this.#limits.set(uid, { workers: current, untilMs: isNew ? nowMs + waitMs : known.untilMs, waitMs })
      return current
    }
    return known !== undefined && nowMs < known.untilMs ? known.workers : Infinity
  }
}

/** Of one that has told nothing the most; of one that has, twice what it was seen with, so that what doesn't scale is seen early. */
function maxOf(
  { metadata, spec }: Stored<TrainingJob>,
  { current, largest }: { readonly current: number; readonly largest: number | undefined },
): number {
  const { max } = spec.workers
  const admitted = Number(metadata.annotations?.[ADMITTED_WORKERS_ANNOTATION] ?? Number.NaN)
  const ofQueue = queueNameOf({ metadata }) === undefined || Number.isNaN(admitted) ? max : Math.min(max, admitted)
  return largest === undefined ? ofQueue : Math.min(ofQueue, Math.max(current, 2 * largest))
}

/** What one that is not resizable has begun with, and keeps while it runs, whatever becomes of its workers. */
function fixedOf({ spec, status }: Stored<TrainingJob>): number | undefined {
  const begun = status?.workers?.desired ?? 0
  if (spec.resizable !== false || status?.startTime === undefined || begun === 0) return undefined
  return Math.min(spec.workers.max, Math.max(spec.workers.min, begun))
}

/** When time alone may let a job grow. */
function againAfter({ elastic, limitedMs, survey }: Candidate, workers: number): number | undefined {
  if (workers === 0 || workers >= survey.job.spec.workers.max) return undefined
  const settleMs = 1_000 * settlesInSeconds(elastic)
  const times = [settleMs, limitedMs ?? 0].filter((time) => time > 0)
  return times.length === 0 ? undefined : Math.max(PLAN_MS, Math.min(...times))
}

function isAlike(before: WantedWorkers | undefined, after: WantedWorkers): boolean {
  return before?.workers === after.workers && before.message === after.message
}

function explain(
  { survey, use, elastic }: Candidate,
  { workers, available, unit }: { workers: number; available: number; unit: CapacityUnit },
): string {
  const { min, max } = survey.job.spec.workers
  const unitName = unit === 'gpu' ? 'GPUs' : 'CPUs'
  const what = `${round(available)} ${unitName} for training, ${round(use.amount)} a worker`
  if (workers === 0) return `It waits for room for ${min} workers: there are ${what}`
  if (workers === max) return `It has all ${max} workers that it may have`
  if (workers === elastic.max)
    return `It has ${workers} of at most ${max} workers: no more were admitted, found nodes, or are known to help`
  return `It has ${workers} of at most ${max} workers: others need the rest, or more would not help; there are ${what}`
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
