/** What is compared: jobs of a fixed size, as their users asked, and ours. */
import { fitStepModel, goodput, planWorkers, type StepModel, type StepObservation } from '@centaurus/controllers'
import type { Random } from '@centaurus/base'
import { samplesPerSecond } from './jobs.ts'
import type { Policy, RunningJob } from './simulate.ts'

/** Starts in the order of arrival; who does not fit holds up all others. */
export const fifo: Policy = {
  name: 'FIFO',
  decide: (jobs, _now, gpus) => {
    const sizes = runningSizes(jobs)
    let free = gpus - sum(sizes)
    for (const { trace } of waiting(jobs)) {
      if (trace.requested > free) break
      sizes.set(trace.id, trace.requested)
      free -= trace.requested
    }
    return sizes
  },
}

/** FIFO in which later ones may start if the first that waits starts no later for it. It knows exactly how long jobs take. Source: EASY (Lifka 1995). */
export const backfill: Policy = {
  name: 'EASY backfill, true durations',
  decide: (jobs, now, gpus) => {
    const sizes = runningSizes(jobs)
    let free = gpus - sum(sizes)
    const queue = waiting(jobs)
    while (queue.length > 0 && queue[0]!.trace.requested <= free) {
      const { trace } = queue.shift()!
      sizes.set(trace.id, trace.requested)
      free -= trace.requested
    }
    const head = queue.shift()
    if (head === undefined) return sizes
    const { startsAt, spare } = reserve(
      head,
      jobs.filter(({ trace }) => sizes.has(trace.id)),
      { now, free },
    )
    let extra = spare
    for (const job of queue) {
      const { requested, id } = job.trace
      if (requested > free) continue
      const endsBefore = now + remainingSeconds(job) <= startsAt
      if (!endsBefore && requested > extra) continue
      if (!endsBefore) extra -= requested
      sizes.set(id, requested)
      free -= requested
    }
    return sizes
  },
}

/** When the first that waits will have its GPUs, and how many are left over then. */
function reserve(
  head: RunningJob,
  running: readonly RunningJob[],
  { now, free }: { now: number; free: number },
): { startsAt: number; spare: number } {
  const ends = running.map((job) => ({ at: now + remainingSeconds(job), gpus: job.trace.requested }))
  ends.sort((a, b) => a.at - b.at)
  let available = free
  for (const { at, gpus } of ends) {
    available += gpus
    if (available >= head.trace.requested) return { startsAt: at, spare: available - head.trace.requested }
  }
  return { startsAt: Infinity, spare: 0 }
}

/** GPU seconds after which a job leaves the first queue. */
const FIRST_QUEUE_GPU_SECONDS = 3_600

/** Two queues by GPU time had, the first before the second, each in the order of arrival; who is behind is stopped. Source: Tiresias (NSDI '19), discretized 2D-LAS. */
export const tiresias: Policy = {
  name: 'Tiresias-like (2D-LAS)',
  roundSeconds: 60,
  decide: (jobs, _now, gpus) => {
    const queueOf = ({ attained }: RunningJob): number => (attained < FIRST_QUEUE_GPU_SECONDS ? 0 : 1)
    const order = [...jobs].sort((a, b) => queueOf(a) - queueOf(b) || a.trace.arrivalSeconds - b.trace.arrivalSeconds)
    const sizes = new Map<string, number>()
    let free = gpus
    for (const { trace } of order) {
      if (trace.requested > free) continue
      sizes.set(trace.id, trace.requested)
      free -= trace.requested
    }
    return sizes
  },
}

/** Relative error of the speed that a job reports. */
const REPORT_ERROR = 0.05

/** Ours: sizes by what jobs report, as the training-job controller does it. It knows neither their curves nor how long they take beyond the samples that are left. */
export function elastic(random: Random, { restartSeconds }: { readonly restartSeconds: number }): Policy {
  const seen = new Map<string, Map<number, StepObservation>>()
  const models = new Map<string, StepModel>()
  return {
    name: 'elastic',
    roundSeconds: 60,
    observe({ trace, workers }, seconds) {
      if (seconds < 1) return
      const secondsPerStep = trace.curve.batch / samplesPerSecond(trace.curve, workers)
      const observations = seen.get(trace.id) ?? new Map<number, StepObservation>()
      const before = observations.get(workers)
      const weight = seconds + (before?.weight ?? 0)
      const report = secondsPerStep * (1 + REPORT_ERROR * (2 * random.next() - 1))
      const mean = (report * seconds + (before?.secondsPerStep ?? 0) * (before?.weight ?? 0)) / weight
      observations.set(workers, { workers, batch: trace.curve.batch, secondsPerStep: mean, weight })
      seen.set(trace.id, observations)
      models.set(trace.id, fitStepModel([...observations.values()])!)
    },
    decide: (jobs, now, gpus) =>
      planWorkers(
        jobs.map((job) => {
          const { trace, workers, done, changedAt } = job
          const { batch } = trace.curve
          const rule = { kind: 'constant', batch } as const
          const model = models.get(trace.id)
          const largest = Math.max(0, ...(seen.get(trace.id)?.keys() ?? []))
          return {
            id: trace.id,
            min: trace.min,
            max: model === undefined ? trace.max : Math.min(trace.max, 2 * largest),
            perWorker: 1,
            current: workers,
            speedAt: (size: number) => (model === undefined ? batch * size : goodput(model, size, { rule })),
            remaining: trace.samples - done,
            done,
            restartSeconds,
            ageSeconds: now - trace.arrivalSeconds,
            settledSeconds: now - changedAt,
            priority: 0,
            isPreemptible: true,
          }
        }),
        { capacity: gpus },
      ),
  }
}

function remainingSeconds({ trace, done }: RunningJob): number {
  return (trace.samples - done) / samplesPerSecond(trace.curve, trace.requested)
}

function runningSizes(jobs: readonly RunningJob[]): Map<string, number> {
  return new Map(jobs.filter(({ workers }) => workers > 0).map(({ trace, workers }) => [trace.id, workers]))
}

function waiting(jobs: readonly RunningJob[]): RunningJob[] {
  return jobs.filter(({ workers }) => workers === 0).sort((a, b) => a.trace.arrivalSeconds - b.trace.arrivalSeconds)
}

function sum(sizes: ReadonlyMap<string, number>): number {
  return [...sizes.values()].reduce((total, size) => total + size, 0)
}
