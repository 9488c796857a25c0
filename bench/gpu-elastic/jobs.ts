/** A simulated trace of training jobs with scaling curves. */
import { createSeededRandom, type Random } from '@centaurus/base'

/** A job of the trace. Its curve is the truth, which only the simulation knows. */
export interface TraceJob {
  readonly id: string
  readonly arrivalSeconds: number
  /** Workers that its user would ask for, were they fixed; one GPU each. */
  readonly requested: number
  readonly min: number
  readonly max: number
  /** Samples until it is done. */
  readonly samples: number
  readonly curve: Curve
}

/** Seconds of a step of a batch that stays: see StepModel of the training-job controller. */
export interface Curve {
  readonly batch: number
  readonly fixed: number
  readonly perSample: number
  readonly joining: number
  readonly perWorker: number
}

/**
 * Shapes of scaling, as shares of one worker's step: from one that hardly exchanges (a vision model) to one that exchanges more than it computes (a
 * recommender). The spread is that of the six models which Pollux and Sia profile.
 */
const SHAPES: readonly Omit<Curve, 'batch' | 'perSample'>[] = [
  { fixed: 0.01, joining: 0.02, perWorker: 0.001 },
  { fixed: 0.02, joining: 0.05, perWorker: 0.003 },
  { fixed: 0.05, joining: 0.08, perWorker: 0.005 },
  { fixed: 0.05, joining: 0.15, perWorker: 0.01 },
  { fixed: 0.1, joining: 0.2, perWorker: 0.02 },
  { fixed: 0.2, joining: 0.3, perWorker: 0.05 },
]
const REQUESTS: readonly (readonly [gpus: number, share: number])[] = [
  [1, 0.6],
  [2, 0.12],
  [4, 0.13],
  [8, 0.12],
  [16, 0.03],
]
/** Of Microsoft's Philly trace, as its job-level list has it: median 1,144 s, 90 % below 11,266 s. */
const DURATION_MEDIAN_SECONDS = 1_144
const DURATION_SIGMA = Math.log(11_266 / 1_144) / 1.2816
const DURATION_MIN_SECONDS = 60
const DURATION_MAX_SECONDS = 2 * 86_400
const MAX_WORKERS = 32
const STEP_SECONDS = 0.5
const BATCH = 256

export function stepSeconds({ batch, fixed, perSample, joining, perWorker }: Curve, workers: number): number {
  return fixed + (perSample * batch) / workers + (workers > 1 ? joining + perWorker * (workers - 2) : 0)
}

/** Samples a second. */
export function samplesPerSecond(curve: Curve, workers: number): number {
  return workers === 0 ? 0 : curve.batch / stepSeconds(curve, workers)
}

/** Jobs whose work at the sizes that users ask for is `load` of the cluster's time, in the order in which they come. */
export function makeTrace({
  seed,
  jobs,
  load,
  gpus,
}: {
  seed: number
  jobs: number
  load: number
  gpus: number
}): TraceJob[] {
  const random = createSeededRandom(seed)
  const made = Array.from({ length: jobs }, (_, i) => makeJob(random, i))
  const gpuSeconds = made.reduce(
    (sum, job) => sum + (job.requested * job.samples) / samplesPerSecond(job.curve, job.requested),
    0,
  )
  const span = gpuSeconds / (load * gpus)
  const arrivals = made.map(() => random.next() * span).sort((a, b) => a - b)
  return made.map((job, i) => ({ ...job, arrivalSeconds: arrivals[i]! }))
}

function makeJob(random: Random, i: number): TraceJob {
  const requested = pick(random)
  const shape = SHAPES[Math.floor(random.next() * SHAPES.length)]!
  const { fixed, joining, perWorker } = shape
  const curve = {
    batch: BATCH,
    perSample: (STEP_SECONDS * (1 - fixed)) / BATCH,
    fixed: STEP_SECONDS * fixed,
    joining: STEP_SECONDS * joining,
    perWorker: STEP_SECONDS * perWorker,
  }
  const duration = Math.exp(Math.log(DURATION_MEDIAN_SECONDS) + DURATION_SIGMA * normal(random))
  const seconds = Math.min(DURATION_MAX_SECONDS, Math.max(DURATION_MIN_SECONDS, duration))
  const samples = seconds * samplesPerSecond(curve, requested)
  return { id: `job-${i}`, arrivalSeconds: 0, requested, min: 1, max: MAX_WORKERS, samples, curve }
}

function pick(random: Random): number {
  let rest = random.next()
  for (const [gpus, share] of REQUESTS) {
    rest -= share
    if (rest < 0) return gpus
  }
  return 1
}

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next())
}
