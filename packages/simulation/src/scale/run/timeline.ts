import type { HollowProcess } from '../hollow/hollow-process.ts'
import { createHollowCounters, type HollowCounters } from '../hollow/hollow-stats.ts'
import type { ProcessLedger, ProcessRole, ProcessSample } from '../measure/processes.ts'

const PERIOD_MS = 1_000
/** A rate is told over so many samples. */
const RATE_SAMPLES = 5

/** One look at everything. */
export interface TimelinePoint {
  /** Since the run began. */
  readonly seconds: number
  readonly phase: string
  readonly registered: number
  readonly running: number
  readonly leases: number
  readonly podsStarted: number
  /** CPU seconds so far and memory, by role. */
  readonly roles: Readonly<
    Partial<
      Record<
        ProcessRole,
        { readonly cpuSeconds: number; readonly anonymousBytes: number; readonly residentBytes: number }
      >
    >
  >
}

/** What progress shows. */
export interface Progress {
  readonly phase: string
  readonly point: TimelinePoint
  /** Over the last few seconds. */
  readonly leasesPerSecond: number
  readonly podsPerSecond: number
  /** Of the phase: done, and what it wants; absent when it has no number. */
  readonly done: number | undefined
  readonly goal: number | undefined
  /** Seconds until the goal at the present rate. */
  readonly etaSeconds: number | undefined
}

export interface TimelineDeps {
  readonly ledger: ProcessLedger
  readonly hollow: readonly HollowProcess[]
  readonly onProgress: (progress: Progress) => void
}

interface Goal {
  readonly phase: string
  readonly measure?: ((point: TimelinePoint) => number) | undefined
  readonly goal?: number | undefined
}

/** Samples all processes once a second from start to end. */
export class Timeline {
  readonly points: TimelinePoint[] = []
  readonly #deps: TimelineDeps
  readonly #began = performance.now()
  #goal: Goal = { phase: 'start' }
  #stopped = false
  #loop: Promise<void> | undefined

  constructor(deps: TimelineDeps) {
    this.#deps = deps
  }

  get latest(): TimelinePoint | undefined {
    return this.points.at(-1)
  }

  start(): void {
    this.#loop = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#loop
  }

  /** Names what is being done from now on. */
  enter(goal: Goal): void {
    this.#goal = goal
  }

  /** Looks now, besides the regular looks. */
  async look(): Promise<TimelinePoint> {
    await Promise.all(this.#deps.hollow.map((process) => process.refresh().catch(() => undefined)))
    const counters = sumCounters(this.#deps.hollow)
    const point: TimelinePoint = {
      seconds: (performance.now() - this.#began) / 1000,
      phase: this.#goal.phase,
      registered: counters.registered,
      running: this.#deps.hollow.reduce((sum, { latest }) => sum + (latest?.running ?? 0), 0),
      leases: counters.leases,
      podsStarted: counters.podsStarted,
      roles: sumRoles(this.#deps.ledger.sample()),
    }
    this.points.push(point)
    return point
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const point = await this.look()
      this.#deps.onProgress(this.#progress(point))
      await new Promise((resolve) => setTimeout(resolve, PERIOD_MS))
    }
  }

  #progress(point: TimelinePoint): Progress {
    const before = this.points.at(-1 - RATE_SAMPLES) ?? this.points[0]!
    const elapsed = Math.max(0.001, point.seconds - before.seconds)
    const { phase, measure, goal } = this.#goal
    const done = measure?.(point)
    const rate = measure === undefined ? 0 : (measure(point) - measure(before)) / elapsed
    const left = done === undefined || goal === undefined ? undefined : goal - done
    return {
      phase,
      point,
      leasesPerSecond: (point.leases - before.leases) / elapsed,
      podsPerSecond: (point.podsStarted - before.podsStarted) / elapsed,
      done,
      goal,
      etaSeconds: left === undefined || rate <= 0 ? undefined : Math.max(0, left / rate),
    }
  }
}

/** Counters of all nodes. */
export function sumCounters(hollow: readonly HollowProcess[]): HollowCounters {
  const sum = createHollowCounters()
  for (const { latest } of hollow) {
    if (latest === undefined) continue
    const { refusals, ...numbers } = latest.counters
    for (const [name, value] of Object.entries(numbers) as [keyof typeof numbers, number][]) sum[name] += value
    for (const [name, value] of Object.entries(refusals)) sum.refusals[name] = (sum.refusals[name] ?? 0) + value
  }
  return sum
}

function sumRoles(samples: readonly ProcessSample[]): TimelinePoint['roles'] {
  const roles: Partial<Record<ProcessRole, { cpuSeconds: number; anonymousBytes: number; residentBytes: number }>> = {}
  for (const { role, cpuSeconds, anonymousBytes, residentBytes } of samples) {
    const sum = (roles[role] ??= { cpuSeconds: 0, anonymousBytes: 0, residentBytes: 0 })
    sum.cpuSeconds += cpuSeconds
    sum.anonymousBytes += anonymousBytes
    sum.residentBytes += residentBytes
  }
  return roles
}
