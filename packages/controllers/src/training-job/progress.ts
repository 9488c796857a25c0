/** What reports say: progress, and observations for the model of the job's speed. Pure. */
import { formatTime, type Stored } from '@centaurus/api'
import type {
  TrainingJob,
  TrainingJobStatus,
  TrainingObservation,
  TrainingProgress,
  TrainingReport,
} from '@centaurus/api/centaurus/v1'
import { batchAt, fitStepModel, goodput, type BatchRule, type Efficiency, type StepModel } from './core/goodput.ts'

/** Sizes that are remembered; the one that was seen least gives way. */
const OBSERVATIONS_MAX = 32
/** A report counts so much at least beside those before it, so that a job that has become slower is seen to have. */
const REPORTS_MAX = 20
/** A step that took less or longer is taken for a mistake. */
const STEP_SECONDS_MIN = 1e-6
const STEP_SECONDS_MAX = 1e5
/** What the status can hold. */
const SECONDS_MAX = 2 ** 31 - 1

/** More than these are not known of a speed. */
const SPEED_DIGITS = 3

type Expected = TrainingJobStatus['expected']
export type ReportSpec = NonNullable<TrainingReport['spec']>

/** Takes a report in; the same status when it says nothing new. */
export function applyReport(
  job: Stored<TrainingJob>,
  report: ReportSpec,
  { ready, nowMs }: { readonly ready: number; readonly nowMs: number },
): TrainingJobStatus {
  const status = job.status ?? {}
  const { step } = report
  const before = status.progress
  if (step === undefined || (before?.step === step && before.totalSteps === report.totalSteps)) return status
  const workers = report.workers ?? ready
  // No step takes no time, or for ever, or is of no samples: what says so says nothing.
  const isSaid = report.secondsPerStep !== undefined && isLikely(report.secondsPerStep)
  const seconds = isSaid ? report.secondsPerStep : secondsSince(before, step, nowMs)
  const isSteady = workers > 0 && workers === (status.workers?.desired ?? 0)
  const batch = report.batch || 1
  const observations =
    isSteady && seconds !== undefined && seconds > 0
      ? observe(status.observations ?? [], { workers, batch, secondsPerStep: seconds, reports: 1 })
      : status.observations
  const progress = progressOf(report, { seconds, nowMs })
  if (observations === undefined) return { ...status, progress }
  const told = { ...status, progress, observations }
  const expected = expectedOf(job.spec, learnSpeed({ spec: job.spec, status: told }, report))
  return { ...told, ...(expected === undefined ? {} : { expected }) }
}

/** At the fewest, each doubling of that, and the most. */
function expectedOf({ workers: { min, max } }: TrainingJob['spec'], learned: LearnedSpeed | undefined): Expected {
  if (learned === undefined) return undefined
  const sizes: number[] = []
  for (let workers = min; workers < max; workers *= 2) sizes.push(workers)
  const all = [...sizes, max].map((workers) => ({
    workers,
    samplesPerSecond: Number(speedOf(learned, workers).toPrecision(SPEED_DIGITS)),
  }))
  return all.filter(({ samplesPerSecond }) => Number.isFinite(samplesPerSecond))
}

function isLikely(seconds: number): boolean {
  return seconds >= STEP_SECONDS_MIN && seconds <= STEP_SECONDS_MAX
}

function secondsSince(before: TrainingProgress | undefined, step: number, nowMs: number): number | undefined {
  if (before === undefined || step <= before.step) return undefined
  const seconds = (nowMs - Date.parse(before.reportTime)) / 1_000
  return seconds >= 1 ? seconds / (step - before.step) : undefined
}

function progressOf(
  report: ReportSpec,
  { seconds, nowMs }: { seconds: number | undefined; nowMs: number },
): TrainingProgress {
  const { step = 0, totalSteps, batch } = report
  const samplesPerSecond = seconds === undefined || !batch ? undefined : batch / seconds
  const isKnown = totalSteps !== undefined && totalSteps > 0
  return {
    step,
    ...(isKnown ? { totalSteps, percent: Math.min(100, Math.floor((100 * step) / totalSteps)) } : {}),
    ...(seconds === undefined ? {} : { secondsPerStep: seconds }),
    ...(samplesPerSecond === undefined || samplesPerSecond === Infinity ? {} : { samplesPerSecond }),
    ...(isKnown && seconds !== undefined
      ? { remainingSeconds: Math.min(SECONDS_MAX, Math.max(0, Math.round((totalSteps - step) * seconds))) }
      : {}),
    reportTime: formatTime(nowMs),
  }
}

function observe(known: readonly TrainingObservation[], fresh: TrainingObservation): TrainingObservation[] {
  const isSame = (one: TrainingObservation): boolean => one.workers === fresh.workers && one.batch === fresh.batch
  const before = known.find(isSame)
  const reports = Math.min(REPORTS_MAX, (before?.reports ?? 0) + 1)
  const secondsPerStep = ((before?.secondsPerStep ?? 0) * (reports - 1) + fresh.secondsPerStep) / reports
  const list = [...known.filter((one) => !isSame(one)), { ...fresh, secondsPerStep, reports }]
  if (list.length > OBSERVATIONS_MAX) list.splice(list.indexOf(list.toSorted((a, b) => a.reports - b.reports)[0]!), 1)
  return list.toSorted((a, b) => a.workers - b.workers || a.batch - b.batch)
}

/** What is known of a job's speed. */
export interface LearnedSpeed {
  readonly model: StepModel
  readonly rule: BatchRule
  readonly efficiency: Efficiency | undefined
  /** Most workers that it was seen with. */
  readonly largest: number
}

/** Undefined: it has reported nothing yet. */
export function learnSpeed(
  job: Pick<TrainingJob, 'spec' | 'status'>,
  report: ReportSpec | undefined,
): LearnedSpeed | undefined {
  const observations = job.status?.observations ?? []
  const model = fitStepModel(observations.map(({ reports, ...rest }) => ({ ...rest, weight: reports })))
  const last = observations.at(-1)
  if (model === undefined || last === undefined) return undefined
  const { noiseScale, baseBatch } = report ?? {}
  const rule: BatchRule =
    job.spec.batch === 'PerWorker'
      ? { kind: 'perWorker', samples: last.batch / last.workers }
      : { kind: 'constant', batch: last.batch }
  const efficiency = noiseScale === undefined || baseBatch === undefined ? undefined : { noiseScale, baseBatch }
  return { model, rule, efficiency, largest: Math.max(...observations.map(({ workers }) => workers)) }
}

/** Useful samples a second; without anything learned a job is taken to scale. */
export function speedOf(learned: LearnedSpeed | undefined, workers: number): number {
  return learned === undefined ? workers : goodput(learned.model, workers, learned)
}

/** Samples that are left and done, in the unit of {@link speedOf}; what is left is unknown without a number of steps. */
export function workOf(
  learned: LearnedSpeed | undefined,
  progress: TrainingProgress | undefined,
): { readonly remaining: number | undefined; readonly done: number } {
  if (progress === undefined) return { remaining: undefined, done: 1 }
  const batch = learned === undefined ? 1 : batchAt(learned.rule, 1)
  const { step, totalSteps } = progress
  return {
    remaining: totalSteps === undefined ? undefined : Math.max(1, totalSteps - step) * batch,
    done: Math.max(1, step) * batch,
  }
}
