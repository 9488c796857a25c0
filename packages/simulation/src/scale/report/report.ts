import { isClean, type CheckResult } from '../load/checkers.ts'
import { Histogram, subtractHistogram } from '../measure/histogram.ts'
import type { ProcessRole, ProcessSample } from '../measure/processes.ts'
import type { Mark } from '../run/marks.ts'
import type { ScaleOptions } from '../run/options.ts'
import type { RunContext, RunResult } from '../run/run.ts'
import { sumCounters, type TimelinePoint } from '../run/timeline.ts'

/** Seconds. */
export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
  readonly count: number
}

/** One promise and whether it was kept. */
export interface Verdict {
  readonly name: string
  /** Kubernetes' own objective, or a target of this project. */
  readonly kind: 'slo' | 'target'
  readonly limit: number
  readonly measured: number
  readonly unit: string
  readonly meets: boolean
}

export interface LatencyRow extends Percentiles {
  readonly verb: string
  readonly resource: string
}

export interface ProcessRow {
  readonly name: string
  readonly role: ProcessRole
  readonly residentBytes: number
  readonly anonymousBytes: number
  readonly cpuSeconds: number
  readonly writtenBytes: number
}

/** What a run found. Times in seconds, memory in bytes, unless the name says otherwise. */
export interface ScaleReport {
  readonly seed: number
  readonly durationSeconds: number
  readonly topology: { readonly tps: number; readonly rps: number; readonly tenants: number }
  readonly options: ScaleOptions
  readonly nodes: number
  readonly pods: number
  readonly podStartup: Percentiles
  /** Of pods of Deployments while everything starts at once: waiting in line is most of it. */
  readonly saturationStartup: Percentiles
  /** While pods are timed, and while there is churn: what the objectives are about. */
  readonly apiLatency: readonly LatencyRow[]
  /** While everything starts at once, as fast as it can: calls wait in line. */
  readonly apiLatencySaturation: readonly LatencyRow[]
  readonly podsPerSecond: number
  readonly podsPerSecondPeak: number
  readonly leasesPerSecond: number
  readonly overcommit: number
  readonly lostPods: number
  readonly conflicts: number
  readonly refusals: Readonly<Record<string, number>>
  readonly leasesLate: number
  readonly memory: {
    readonly processes: readonly ProcessRow[]
    readonly bytesPerNode: number
    readonly bytesPerPod: number
    readonly bytesPerNodeByRole: Readonly<Record<string, number>>
    readonly bytesPerPodByRole: Readonly<Record<string, number>>
  }
  readonly cpu: {
    /** Cores in use while there are heartbeats and nothing else. */
    readonly idleCoresByRole: Readonly<Record<string, number>>
    readonly microsecondsPerLeaseByRole: Readonly<Record<string, number>>
    readonly saturationCoresByRole: Readonly<Record<string, number>>
    readonly millisecondsPerPodByRole: Readonly<Record<string, number>>
    readonly secondsByRole: Readonly<Record<string, number>>
  }
  /** Requests and watch events on connections, a pod that came to run at saturation; heartbeats are taken off. */
  readonly messagesPerPod: number
  readonly bytesPerPod: number
  readonly commitsPerPod: number
  readonly flushesPerPod: number
  readonly diskBytesPerPod: number
  readonly bytesPerLease: number
  readonly flushesPerLease: number
  readonly diskBytesPerLease: number
  readonly check: CheckResult
  readonly problems: readonly string[]
  readonly verdicts: readonly Verdict[]
  readonly timeline: readonly TimelinePoint[]
}

/** Puts together what a run found. */
export function createReport({ context, check }: RunResult): ScaleReport {
  const { options, cluster, timeline, marks } = context
  const counters = sumCounters(context.hollow.map(({ process }) => process))
  const figures = {
    ...leaseFigures(context),
    ...podFigures(context),
  }
  const partial = {
    seed: options.seed,
    durationSeconds: timeline.latest?.seconds ?? 0,
    topology: {
      tps: cluster.partitions.filter(({ isTenant }) => isTenant).length,
      rps: cluster.partitions.filter(({ isResource }) => isResource).length,
      tenants: cluster.tenants.length,
    },
    options,
    nodes: check.nodes,
    pods: check.pods,
    podStartup: percentilesOf(context.startup),
    saturationStartup: percentilesOf(context.saturationStartup),
    apiLatency: latencyRows(marks.latencyFrom, marks.churnTo ?? marks.latencyTo),
    apiLatencySaturation: latencyRows(marks.saturationFrom, marks.saturationTo),
    podsPerSecond: marks.saturationSeconds === 0 ? 0 : marks.saturationPods / marks.saturationSeconds,
    podsPerSecondPeak: peakRate(timeline.points),
    overcommit: check.overcommit,
    lostPods: check.lostPods,
    conflicts: Object.entries(counters.refusals).reduce((sum, [name, n]) => (name.endsWith(' 409') ? sum + n : sum), 0),
    refusals: counters.refusals,
    leasesLate: counters.leasesLate,
    memory: memoryFigures(context),
    cpu: cpuFigures(context),
    ...figures,
    check,
    problems: marks.problems,
    timeline: timeline.points,
  }
  return { ...partial, verdicts: judge(partial) }
}

function percentilesOf(histogram: Histogram): Percentiles {
  const seconds = (value: number): number => (Number.isNaN(value) ? 0 : value / 1000)
  return {
    p50: seconds(histogram.percentile(0.5)),
    p90: seconds(histogram.percentile(0.9)),
    p99: seconds(histogram.percentile(0.99)),
    max: seconds(histogram.maxMs),
    count: histogram.count,
  }
}

/** What was called between two marks. */
function latencyRows(from: Mark | undefined, to: Mark | undefined): LatencyRow[] {
  return Object.entries(to?.latencies ?? {})
    .map(([name, data]) => {
      const histogram = new Histogram()
      histogram.add(subtractHistogram(data, from?.latencies[name]))
      const space = name.indexOf(' ')
      return { verb: name.slice(0, space), resource: name.slice(space + 1), ...percentilesOf(histogram) }
    })
    .filter(({ resource, count }) => count > 0 && resource !== 'watch')
    .toSorted((a, b) => b.p99 - a.p99)
}

/** The best ten seconds. */
function peakRate(points: readonly TimelinePoint[]): number {
  let best = 0
  let from = 0
  for (const [to, point] of points.entries()) {
    while (point.seconds - points[from]!.seconds > 10 && from < to) from++
    const elapsed = point.seconds - points[from]!.seconds
    if (elapsed > 5) best = Math.max(best, (point.podsStarted - points[from]!.podsStarted) / elapsed)
  }
  return best
}

function byRole(samples: readonly ProcessSample[], value: (sample: ProcessSample) => number): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const sample of samples) sums[sample.role] = (sums[sample.role] ?? 0) + value(sample)
  return sums
}

/** What each role used between two marks, over `divisor`. */
function growth(
  from: Mark | undefined,
  to: Mark | undefined,
  { divisor, value }: { readonly divisor: number; readonly value: (sample: ProcessSample) => number },
): Record<string, number> {
  if (from === undefined || to === undefined || divisor <= 0) return {}
  const before = byRole(from.processes, value)
  return Object.fromEntries(
    Object.entries(byRole(to.processes, value)).map(([role, sum]) => [role, (sum - (before[role] ?? 0)) / divisor]),
  )
}

function total(parts: Readonly<Record<string, number>>): number {
  return Object.values(parts).reduce((sum, value) => sum + value, 0)
}

const anonymous = (sample: ProcessSample): number => sample.anonymousBytes
const cpu = (sample: ProcessSample): number => sample.cpuSeconds
const written = (sample: ProcessSample): number => sample.writtenBytes

function memoryFigures({ marks, options, processes }: RunContext): ScaleReport['memory'] {
  const bytesPerNodeByRole = growth(marks.started, marks.idleTo, { divisor: options.nodes, value: anonymous })
  const bytesPerPodByRole = growth(marks.idleTo, marks.saturationTo, {
    divisor: marks.saturationPods,
    value: anonymous,
  })
  return {
    processes: processes.sample().map((sample) => ({ ...sample })),
    bytesPerNode: total(bytesPerNodeByRole),
    bytesPerPod: total(bytesPerPodByRole),
    bytesPerNodeByRole,
    bytesPerPodByRole,
  }
}

function cpuFigures({ marks, processes }: RunContext): ScaleReport['cpu'] {
  const { idleFrom, idleTo, saturationFrom, saturationTo, saturationSeconds, saturationPods } = marks
  const idleSeconds = (idleTo?.seconds ?? 0) - (idleFrom?.seconds ?? 0)
  const leases = (idleTo?.counters.leases ?? 0) - (idleFrom?.counters.leases ?? 0)
  return {
    idleCoresByRole: growth(idleFrom, idleTo, { divisor: idleSeconds, value: cpu }),
    microsecondsPerLeaseByRole: growth(idleFrom, idleTo, { divisor: leases / 1e6, value: cpu }),
    saturationCoresByRole: growth(saturationFrom, saturationTo, { divisor: saturationSeconds, value: cpu }),
    millisecondsPerPodByRole: growth(saturationFrom, saturationTo, { divisor: saturationPods / 1e3, value: cpu }),
    secondsByRole: byRole(processes.sample(), cpu),
  }
}

function leaseFigures({
  marks: { idleFrom: from, idleTo: to },
}: RunContext): Pick<ScaleReport, 'leasesPerSecond' | 'bytesPerLease' | 'flushesPerLease' | 'diskBytesPerLease'> {
  if (from === undefined || to === undefined)
    return { leasesPerSecond: 0, bytesPerLease: 0, flushesPerLease: 0, diskBytesPerLease: 0 }
  const leases = Math.max(1, to.counters.leases - from.counters.leases)
  return {
    leasesPerSecond: leases / (to.seconds - from.seconds),
    bytesPerLease: (wireBytes(to) - wireBytes(from)) / leases,
    flushesPerLease: (to.store.flushes - from.store.flushes) / leases,
    diskBytesPerLease: total(growth(from, to, { divisor: leases, value: written })),
  }
}

function wireBytes({ wire }: Mark): number {
  return wire.bytesSent + wire.bytesReceived
}

function podFigures(
  context: RunContext,
): Pick<ScaleReport, 'messagesPerPod' | 'bytesPerPod' | 'commitsPerPod' | 'flushesPerPod' | 'diskBytesPerPod'> {
  const { marks } = context
  const { saturationFrom: from, saturationTo: to, saturationPods: pods } = marks
  if (from === undefined || to === undefined || pods === 0)
    return { messagesPerPod: 0, bytesPerPod: 0, commitsPerPod: 0, flushesPerPod: 0, diskBytesPerPod: 0 }
  const lease = leaseFigures(context)
  const beats = to.counters.leases - from.counters.leases + to.counters.nodeStatuses - from.counters.nodeStatuses
  const requests = to.wire.requests - from.wire.requests - beats
  const events = to.counters.watchEvents - from.counters.watchEvents
  return {
    messagesPerPod: (requests + events) / pods,
    bytesPerPod: (wireBytes(to) - wireBytes(from) - beats * lease.bytesPerLease) / pods,
    commitsPerPod: (to.store.commits - from.store.commits - beats) / pods,
    flushesPerPod: (to.store.flushes - from.store.flushes) / pods,
    diskBytesPerPod:
      total(growth(from, to, { divisor: pods, value: written })) - (beats * lease.diskBytesPerLease) / pods,
  }
}

/** Source of the objectives: kubernetes/community sig-scalability/slos. */
const API_SECONDS_MAX = 1
const API_LIST_SECONDS_MAX = 30
const STARTUP_SECONDS_MAX = 5
/** Fewer calls than this say little: of single objects, and of lists, which are rarer. */
const CALLS_MIN = 100
const LIST_CALLS_MIN = 10

function judge(report: Omit<ScaleReport, 'verdicts'>): Verdict[] {
  const most = (
    name: string,
    kind: Verdict['kind'],
    [measured, limit, unit]: readonly [number, number, string],
  ): Verdict => ({
    name,
    kind,
    limit,
    measured,
    unit,
    meets: measured <= limit,
  })
  const least = (name: string, [measured, limit, unit]: readonly [number, number, string]): Verdict => ({
    name,
    kind: 'target',
    limit,
    measured,
    unit,
    meets: measured >= limit,
  })
  const worst = (isList: boolean): number =>
    Math.max(
      0,
      ...report.apiLatency
        .filter((row) => isListRow(row) === isList && row.count >= (isList ? LIST_CALLS_MIN : CALLS_MIN))
        .map(({ p99 }) => p99),
    )
  return [
    most('API p99, single objects', 'slo', [worst(false), API_SECONDS_MAX, 's']),
    most('API p99, lists', 'slo', [worst(true), API_LIST_SECONDS_MAX, 's']),
    most('Pod startup p99', 'slo', [report.podStartup.p99, STARTUP_SECONDS_MAX, 's']),
    most('Overcommitted nodes', 'target', [report.overcommit, 0, '']),
    most('Lost pods', 'target', [report.lostPods, 0, '']),
    most('Other findings of the checkers', 'target', [isClean(report.check) ? 0 : 1, 0, '']),
    least('Saturation', [report.podsPerSecond, 1_000, 'pods/s']),
    most('Memory a node, all processes', 'target', [report.memory.bytesPerNode / 1024, 60, 'KB']),
    most('Memory a pod, all processes', 'target', [report.memory.bytesPerPod / 1024, 12, 'KB']),
  ]
}

/** Lists and watches' first answers are judged by another limit than single objects. */
function isListRow({ resource }: LatencyRow): boolean {
  return resource.includes(' list') || resource.includes('(')
}

/** Whether everything that must hold held: no overcommit, nothing lost. Times are not part of it. */
export function isSound({ check, problems }: ScaleReport): boolean {
  return isClean(check) && problems.length === 0
}
