/** A simulated cluster of GPUs that runs a trace under a policy. */
import { assert } from '@centaurus/base'
import { samplesPerSecond, type TraceJob } from './jobs.ts'

/** A job in the simulated cluster. */
export interface RunningJob {
  readonly trace: TraceJob
  workers: number
  /** Samples done. */
  done: number
  /** It does no work before: it starts, or its workers have changed. */
  busyUntil: number
  changedAt: number
  /** GPU seconds that it has had. */
  attained: number
}

/** Decides sizes of jobs: 0 waits. All together may not take more than there is. */
export interface Policy {
  readonly name: string
  /** Seconds between two decisions beside those when a job comes or ends; absent: none. */
  readonly roundSeconds?: number | undefined
  decide(jobs: readonly RunningJob[], now: number, gpus: number): ReadonlyMap<string, number>
  /** What a job was seen to do at its size since the last time. */
  observe?(job: RunningJob, seconds: number): void
}

export interface SimulationOptions {
  readonly gpus: number
  /** Seconds without work after a start or a change. */
  readonly restartSeconds: number
}

/** Seconds from arrival to end of each job, in the order of the trace. */
export function simulate(
  trace: readonly TraceJob[],
  policy: Policy,
  { gpus, restartSeconds }: SimulationOptions,
): number[] {
  const active = new Map<string, RunningJob>()
  const ended = new Map<string, number>()
  let now = 0
  let next = 0
  let round = 0
  while (ended.size < trace.length) {
    const at = nextEvent([...active.values()], {
      arrival: trace[next]?.arrivalSeconds,
      round: policy.roundSeconds === undefined || active.size === 0 ? undefined : round,
    })
    for (const job of active.values()) advance(job, now, at, policy)
    now = at
    for (const [id, job] of active) {
      if (job.done < job.trace.samples * (1 - 1e-9)) continue
      active.delete(id)
      ended.set(id, now - job.trace.arrivalSeconds)
    }
    while (next < trace.length && trace[next]!.arrivalSeconds <= now) {
      const job = trace[next++]!
      active.set(job.id, { trace: job, workers: 0, done: 0, busyUntil: 0, changedAt: now, attained: 0 })
    }
    apply([...active.values()], policy.decide([...active.values()], now, gpus), { now, gpus, restartSeconds })
    if (policy.roundSeconds !== undefined && round <= now) round = now + policy.roundSeconds
  }
  return trace.map(({ id }) => ended.get(id)!)
}

function nextEvent(
  jobs: readonly RunningJob[],
  { arrival, round }: { arrival: number | undefined; round: number | undefined },
): number {
  let at = Math.min(arrival ?? Infinity, round ?? Infinity)
  for (const { trace, workers, done, busyUntil } of jobs) {
    if (workers === 0) continue
    at = Math.min(at, endOf({ trace, workers, done, busyUntil }))
  }
  assert(Number.isFinite(at), 'a policy that runs nothing never ends')
  return at
}

/** Relative to the time up to which `done` counts, which is kept in `busyUntil` or later. */
function endOf({
  trace,
  workers,
  done,
  busyUntil,
}: Pick<RunningJob, 'trace' | 'workers' | 'done' | 'busyUntil'>): number {
  return busyUntil + (trace.samples - done) / samplesPerSecond(trace.curve, workers)
}

/** Counts work up to `to`; afterwards `busyUntil` is at least `to` for jobs that run. */
function advance(job: RunningJob, from: number, to: number, policy: Policy): void {
  if (job.workers === 0) return
  job.attained += job.workers * (to - from)
  const seconds = to - job.busyUntil
  if (seconds <= 0) return
  job.done += seconds * samplesPerSecond(job.trace.curve, job.workers)
  job.busyUntil = to
  policy.observe?.(job, seconds)
}

function apply(
  jobs: readonly RunningJob[],
  sizes: ReadonlyMap<string, number>,
  { now, gpus, restartSeconds }: { now: number; gpus: number; restartSeconds: number },
): void {
  let used = 0
  for (const job of jobs) {
    const workers = sizes.get(job.trace.id) ?? 0
    used += workers
    if (workers === job.workers) continue
    job.workers = workers
    job.changedAt = now
    job.busyUntil = now + restartSeconds
  }
  assert(used <= gpus, 'no more GPUs are given than there are')
}
