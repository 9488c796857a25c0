import { Queues, type QueueSettings, type Workload } from '@centaurus/controllers/queue'
import { createSeededRandom } from '@centaurus/base'

/** Workloads of one kind that each queue gets, one every `everyMs`. */
interface LoadClass {
  readonly name: string
  readonly count: number
  readonly everyMs: number
  readonly runtimeMs: number
  readonly priority: number
  readonly request: number
}

export interface QueueLoad {
  readonly cohorts: number
  readonly queuesPerCohort: number
  readonly classes: readonly LoadClass[]
}

/** Source: kubernetes-sigs/kueue test/performance/scheduler/configs/baseline/generator.yaml, v0.19. */
export const BASELINE: QueueLoad = {
  cohorts: 5,
  queuesPerCohort: 6,
  classes: [
    { name: 'small', count: 350, everyMs: 100, runtimeMs: 200, priority: 50, request: 1 },
    { name: 'medium', count: 100, everyMs: 500, runtimeMs: 500, priority: 100, request: 5 },
    { name: 'large', count: 50, everyMs: 1_200, runtimeMs: 1_000, priority: 200, request: 20 },
  ],
}

/** Source: configs/large-scale/generator.yaml there. */
export const LARGE_SCALE: QueueLoad = {
  cohorts: 10,
  queuesPerCohort: 100,
  classes: [
    { name: 'small', count: 35, everyMs: 60, runtimeMs: 150, priority: 50, request: 1 },
    { name: 'medium', count: 11, everyMs: 300, runtimeMs: 350, priority: 100, request: 5 },
    { name: 'large', count: 4, everyMs: 700, runtimeMs: 700, priority: 200, request: 20 },
  ],
}

export interface QueueFigures {
  readonly workloads: number
  /** Time of this process for all decisions. */
  readonly wallMs: number
  /** Until the last one has ended, in the simulated time. */
  readonly spanMs: number
  readonly evictions: number
  /** Simulated time from creation to the first admission, by class. */
  readonly admissionMs: Readonly<Record<string, { readonly mean: number; readonly p99: number }>>
}

const NOMINAL = 20
const BORROWING = 100
const RESERVE_AFTER_MS = 5_000

/** Two lists of times at which something happens, in order. */
class Timeline {
  readonly #at = new Map<number, (() => void)[]>()
  readonly #times: number[] = []

  add(atMs: number, action: () => void): void {
    const actions = this.#at.get(atMs)
    if (actions !== undefined) return void actions.push(action)
    this.#at.set(atMs, [action])
    let i = this.#times.length
    while (i > 0 && this.#times[i - 1]! < atMs) i--
    this.#times.splice(i, 0, atMs) // descending, so that the next one is at the end
  }

  /** Undefined: nothing happens any more. */
  next(): { readonly atMs: number; readonly actions: readonly (() => void)[] } | undefined {
    const atMs = this.#times.pop()
    if (atMs === undefined) return undefined
    const actions = this.#at.get(atMs)!
    this.#at.delete(atMs)
    return { atMs, actions }
  }
}

/** Runs a load in simulated time: workloads come, are admitted, run, give way at once when told, start over, and end. */
export function runQueueLoad(load: QueueLoad): QueueFigures {
  const queues = new Queues()
  const timeline = new Timeline()
  const classOf = new Map<string, LoadClass>()
  const workloads = new Map<string, Workload>()
  const waits = new Map<string, number[]>(load.classes.map(({ name }) => [name, []]))
  const admitted = new Set<string>()
  const runs = new Map<string, number>()
  let [evictions, spanMs, ended, wallMs] = [0, 0, 0, 0]
  for (const settings of settingsOf(load)) queues.putQueue(settings)
  for (const { id, createdMs, workload, kind } of workloadsOf(load)) {
    classOf.set(id, kind)
    workloads.set(id, workload)
    timeline.add(createdMs, () => queues.put(workload))
  }
  for (let moment = timeline.next(); moment !== undefined; moment = timeline.next()) {
    const nowMs = moment.atMs
    const began = performance.now()
    for (const action of moment.actions) action()
    const { admit, evict, wakeAtMs } = queues.plan(nowMs)
    wallMs += performance.now() - began
    for (const { id } of admit) {
      const { name, runtimeMs } = classOf.get(id)!
      if (!admitted.has(id)) waits.get(name)!.push(nowMs - workloads.get(id)!.queuedAtMs)
      admitted.add(id)
      const run = (runs.get(id) ?? 0) + 1
      runs.set(id, run)
      timeline.add(nowMs + runtimeMs, () => {
        if (runs.get(id) !== run) return // evicted meanwhile
        runs.delete(id)
        queues.remove(id)
        ended++
        spanMs = nowMs + runtimeMs
      })
    }
    for (const { id } of evict) {
      evictions++
      runs.set(id, (runs.get(id) ?? 0) + 1)
      timeline.add(nowMs + 1, () => {
        queues.remove(id)
        queues.put(workloads.get(id)!)
      })
    }
    if (wakeAtMs !== undefined) timeline.add(Math.max(nowMs + 1, Math.ceil(wakeAtMs)), () => {})
  }
  if (ended !== workloads.size) throw new Error(`${ended} of ${workloads.size} workloads ended: queues lost some`)
  const admissionMs = Object.fromEntries([...waits].map(([name, times]) => [name, summarize(times)]))
  return { workloads: workloads.size, wallMs, spanMs, evictions, admissionMs }
}

function summarize(times: readonly number[]): { readonly mean: number; readonly p99: number } {
  const sorted = times.toSorted((a, b) => a - b)
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length
  return { mean, p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0 }
}

export function settingsOf({ cohorts, queuesPerCohort }: QueueLoad): QueueSettings[] {
  const common = {
    weight: 1,
    strategy: 'BestEffortFIFO',
    stopPolicy: 'None',
    withinQueue: 'LowerPriority',
    reclaim: 'Any',
    reserveAfterMs: RESERVE_AFTER_MS,
    halfLifeMs: 0,
  } as const
  const quotas = new Map([['cpu', { nominal: NOMINAL, borrowingLimit: BORROWING }]])
  return Array.from({ length: cohorts }, (_, i) => [
    { ...common, name: `cohort-${i}`, quotas: new Map() },
    ...Array.from({ length: queuesPerCohort }, (__, j) => ({
      ...common,
      name: `cohort-${i}-queue-${j}`,
      parent: `cohort-${i}`,
      quotas,
    })),
  ]).flat()
}

export function workloadsOf(load: QueueLoad): { id: string; createdMs: number; workload: Workload; kind: LoadClass }[] {
  const queues = settingsOf(load).filter(({ parent }) => parent !== undefined)
  return queues.flatMap(({ name: queue }) =>
    load.classes.flatMap((kind) =>
      Array.from({ length: kind.count }, (_, i) => {
        const id = `${queue}-${kind.name}-${i}`
        const createdMs = kind.everyMs * (i + 1)
        const podSets = [{ name: 'main', count: 1, minCount: 1, request: new Map([['cpu', kind.request]]) }]
        const workload = { id, queue, priority: kind.priority, preemptible: true, queuedAtMs: createdMs, podSets }
        return { id, createdMs, workload, kind }
      }),
    ),
  )
}

const FAIR_QUEUES = 30
const FAIR_ROOM = 600
const FAIR_SPAN_MS = 20_000

/** The mean, over queues that always want more, of | what one had − what its weight is worth | ÷ what its weight is worth. */
export function measureFairness(seed: number): number {
  const random = createSeededRandom(seed)
  const queues = new Queues()
  const common = settingsOf({ cohorts: 1, queuesPerCohort: 0, classes: [] })[0]!
  queues.putQueue({ ...common, quotas: new Map([['cpu', { nominal: FAIR_ROOM }]]), halfLifeMs: 2_000 })
  const weights = Array.from({ length: FAIR_QUEUES }, (_, i) => 1 + (i % 3))
  weights.forEach((weight, i) =>
    queues.putQueue({ ...common, name: `queue-${i}`, parent: common.name, weight, reclaim: 'Never' }),
  )
  const timeline = new Timeline()
  const used = weights.map(() => 0)
  let made = 0
  const add = (i: number, nowMs: number): void => {
    const podSets = [{ name: 'main', count: 1, minCount: 1, request: new Map([['cpu', 1 + random.integer(8)]]) }]
    const id = `${i}/${made++}`
    queues.put({ id, queue: `queue-${i}`, priority: 0, preemptible: true, queuedAtMs: nowMs, podSets })
  }
  weights.forEach((_, i) => {
    for (let n = 0; n < 40; n++) add(i, 0)
  })
  timeline.add(0, () => {})
  for (let moment = timeline.next(); moment !== undefined && moment.atMs < FAIR_SPAN_MS; moment = timeline.next()) {
    const nowMs = moment.atMs
    for (const action of moment.actions) action()
    for (const { id } of queues.plan(nowMs).admit) {
      const i = Number(id.split('/')[0])
      const runtimeMs = 50 + random.integer(500)
      used[i]! += runtimeMs * (queues.usedBy(id).get('cpu') ?? 0)
      add(i, nowMs)
      timeline.add(nowMs + runtimeMs, () => queues.remove(id))
    }
  }
  const total = used.reduce((sum, each) => sum + each, 0)
  const weightSum = weights.reduce((sum, each) => sum + each, 0)
  const errors = weights.map((weight, i) => Math.abs(used[i]! / total / (weight / weightSum) - 1))
  return errors.reduce((sum, each) => sum + each, 0) / errors.length
}

/** How long the first gang of a queue waited at most, as a part of what {@link Queues} promises, while single pods fill all that is free. */
export function measureStarvation(seed: number): { readonly ofBound: number; readonly gangs: number } {
  const random = createSeededRandom(seed)
  const [queuesCount, runtimeMs, reserveAfterMs] = [4, 400, 300]
  const queues = new Queues()
  const common = settingsOf({ cohorts: 1, queuesPerCohort: 0, classes: [] })[0]!
  queues.putQueue(common)
  const names = Array.from({ length: queuesCount }, (_, i) => `queue-${i}`)
  for (const name of names) {
    const quotas = new Map([['cpu', { nominal: NOMINAL }]])
    queues.putQueue({
      ...common,
      name,
      parent: common.name,
      quotas,
      reserveAfterMs,
      reclaim: 'Never',
      withinQueue: 'Never',
    })
  }
  const timeline = new Timeline()
  let [longestMs, gangs] = [0, 0]
  const firstSince = new Map<string, { readonly id: string | undefined; readonly atMs: number }>()
  for (let atMs = 0; atMs < 30_000; atMs += 5) {
    timeline.add(atMs, () => {
      for (const queue of names) {
        const isGang = random.integer(200) === 0
        if (isGang) gangs++
        const request = new Map([['cpu', isGang ? NOMINAL : 1]])
        const podSets = [{ name: 'main', count: 1, minCount: 1, request }]
        const id = `${queue}/${atMs}`
        queues.put({ id, queue, priority: isGang ? 1 : 0, preemptible: true, queuedAtMs: atMs, podSets })
      }
    })
  }
  for (let moment = timeline.next(); moment !== undefined && moment.atMs < 30_000; moment = timeline.next()) {
    const nowMs = moment.atMs
    for (const action of moment.actions) action()
    for (const { id } of queues.plan(nowMs).admit)
      timeline.add(nowMs + 50 + random.integer(runtimeMs - 50), () => queues.remove(id))
    for (const name of names) {
      const id = queues.firstOf(name)
      const since = firstSince.get(name)
      if (since?.id !== id) firstSince.set(name, { id, atMs: nowMs })
      else if (id !== undefined) longestMs = Math.max(longestMs, nowMs - since!.atMs)
    }
  }
  return { ofBound: longestMs / (reserveAfterMs + queuesCount * runtimeMs), gangs }
}
