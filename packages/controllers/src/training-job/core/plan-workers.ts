/** How many workers each training job should have. Pure. */
import { assert } from '@centaurus/base'

/** A job as far as its size goes. */
export interface ElasticJob {
  readonly id: string
  /** Fewest workers that it runs with, ≥ 1. */
  readonly min: number
  /** Most, ≥ `min`. */
  readonly max: number
  /** What one worker takes of the capacity, > 0. */
  readonly perWorker: number
  /** Workers that it has now; 0: it does not run. */
  readonly current: number
  /** Useful work a second at a number of workers, in any unit; only ratios count. */
  readonly speedAt: (workers: number) => number
  /** Work that is left, in that unit; undefined: not known. */
  readonly remaining?: number | undefined
  /** Work that is done, in that unit: what is left when nobody knows. */
  readonly done: number
  /** Seconds without work that a change of its workers costs. */
  readonly restartSeconds: number
  /** Seconds since it came. */
  readonly ageSeconds: number
  /** Seconds since its workers last changed; a job that waits: since it came. */
  readonly settledSeconds: number
  /** Jobs of a higher one get theirs first. */
  readonly priority: number
  /** Whether it may be stopped for others once it runs; its workers beyond `min` always may. */
  readonly isPreemptible: boolean
}

export interface PlanWorkersOptions {
  /** What all jobs together may take, in the unit of `perWorker`. */
  readonly capacity: number
}

/** Bounds the sizes that are looked at for one job: all up to here, then steps of an eighth. */
const EACH_SIZE_MAX = 32
/** A job that runs is made larger or smaller only for so much more speed, or others' need. */
const GAIN_MIN = 1.1
/** A job grows at most once in so many times what a change costs it. */
const RESTARTS_APART = 4
/** Between 0 (all jobs progress alike) and 1 (the one that ends first takes all). See the bench gpu-elastic. */
const HASTE = 0.05
/** What counts more the longer a job has been there, up to 1 + AGE_WEIGHT times after AGE_SECONDS, so that the last ones to end do so sooner. */
const AGE_WEIGHT = 3
const AGE_SECONDS = 4 * 3_600

/**
 * Gives each job a number of workers: 0, or between its minimum and its maximum, together no more than the capacity. By priority; in one priority it makes
 * `Σ weight · (speed / remaining)^HASTE` as large as it can, job by job where one more worker adds most: short ones get through, long ones are not starved, and none
 * gets workers that it makes little of. A job that may not be stopped keeps its minimum. Running jobs stay as they are unless it is worth a restart.
 * Cost: O(sizes · log jobs).
 */
export function planWorkers(jobs: readonly ElasticJob[], { capacity }: PlanWorkersOptions): Map<string, number> {
  const plan = new Map(jobs.map(({ id }) => [id, 0]))
  assert(plan.size === jobs.length, 'ids of jobs are unique')
  let free = capacity
  const pinned = jobs.filter(({ current, isPreemptible }) => current > 0 && !isPreemptible)
  for (const { id, min, current, perWorker } of pinned) {
    const kept = Math.min(min, current)
    plan.set(id, kept)
    free -= kept * perWorker
  }
  const priorities = [...new Set(jobs.map(({ priority }) => priority))].sort((a, b) => b - a)
  for (const wanted of priorities) {
    const group = jobs.filter(({ priority }) => priority === wanted)
    free = fill(group, { plan, free })
  }
  return plan
}

/** A way to make a job larger: the next edge of the upper hull of its value over its size. */
interface Step {
  readonly job: ElasticJob
  readonly from: number
  readonly to: number
  /** Value gained for a unit of capacity. */
  readonly gain: number
}

function fill(jobs: readonly ElasticJob[], { plan, free }: { plan: Map<string, number>; free: number }): number {
  const steps = jobs.flatMap((job) => stepsOf(job, plan.get(job.id)!))
  // Steps of one job come in falling order of gain, so a sort keeps their order.
  steps.sort((a, b) => b.gain - a.gain || a.job.id.localeCompare(b.job.id) || a.from - b.from)
  let left = free
  for (const { job, from, to } of steps) {
    const at = plan.get(job.id)!
    if (at !== from) continue
    const room = Math.floor(left / job.perWorker + 1e-9)
    const size = Math.min(to, from + room)
    if (size <= from || size < job.min) continue
    plan.set(job.id, size)
    left -= (size - from) * job.perWorker
  }
  return settle(jobs, { plan, free: left })
}

/** Leaves jobs as they are where a change gains little and there is room. */
function settle(jobs: readonly ElasticJob[], { plan, free }: { plan: Map<string, number>; free: number }): number {
  let left = free
  for (const job of jobs) {
    const { id, current, perWorker } = job
    const planned = plan.get(id)!
    if (planned === current || current < job.min || current > job.max) continue
    if (planned > current && isWorth(job, planned)) continue
    const cost = (current - planned) * perWorker
    if (cost > left) continue
    plan.set(id, current)
    left -= cost
  }
  return left
}

function isWorth(job: ElasticJob, planned: number): boolean {
  return job.speedAt(planned) >= GAIN_MIN * job.speedAt(job.current) && settlesInSeconds(job) <= 0
}

/** Until then a job that runs does not grow; ≤ 0: it may. */
export function settlesInSeconds({ restartSeconds, settledSeconds }: ElasticJob): number {
  return RESTARTS_APART * restartSeconds - settledSeconds
}

function stepsOf(job: ElasticJob, pinned: number): Step[] {
  const left = Math.max(job.remaining ?? job.done, Number.MIN_VALUE)
  const sizes = [pinned, ...sizesOf(job).filter((size) => size > pinned)]
  const weight = 1 + AGE_WEIGHT * Math.min(1, job.ageSeconds / AGE_SECONDS)
  const values = sizes.map((size) => (size === 0 ? 0 : weight * (job.speedAt(size) / left) ** HASTE))
  const steps: Step[] = []
  let from = 0
  while (from < sizes.length - 1) {
    let best = from + 1
    let bestGain = -Infinity
    for (let to = from + 1; to < sizes.length; to++) {
      const gain = (values[to]! - values[from]!) / ((sizes[to]! - sizes[from]!) * job.perWorker)
      if (gain > bestGain) [best, bestGain] = [to, gain]
    }
    if (bestGain <= 0) break
    steps.push({ job, from: sizes[from]!, to: sizes[best]!, gain: bestGain })
    from = best
  }
  return steps
}

function sizesOf({ min, max }: ElasticJob): number[] {
  const sizes: number[] = []
  for (let size = min; size < max; size += size < EACH_SIZE_MAX ? 1 : Math.floor(size / 8)) sizes.push(size)
  sizes.push(max)
  return sizes
}
