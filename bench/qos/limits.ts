import {
  measure,
  type Passed,
  type Sender,
  ShapedUplink,
  steady,
  type TestDataplane,
  windowed,
} from '@centaurus/network/testing'
import { benchResult, type BenchResult } from '../harness/bench.ts'
import { percentile } from '../harness/measure.ts'
import { type PlainClock, runPlainClock } from './reference.ts'
import { FULL_BYTES, MS, OVERHEAD_BYTES, POD, shape } from './shape.ts'

const LIMIT = 50e6
const LINK = 1e9
const ROUND_TRIP_NS = 20 * MS
const DURATION_NS = 5_000 * MS
/** What a new connection does at first is in the plot, and not in the figures. */
const SETTLED_NS = 2_000 * MS
const STREAM = 'stream'
const SMALL = 'small'

/** What else could hold a pod to a limit. */
const PLAIN_CLOCKS: Readonly<Record<string, PlainClock>> = {
  'a policer, horizon 0 (model)': { bandwidth: LIMIT, horizonNs: 0 },
  'one clock, horizon 2 s (model)': { bandwidth: LIMIT, horizonNs: 2_000 * MS },
  'no limit, a link of 1 Gbit/s (model)': { bandwidth: LINK, horizonNs: (1_000 * FULL_BYTES * 8e9) / LINK },
}

/** A stream of TCP that wants all it can get, and a packet of 200 bytes every 4 ms beside it, at a pod's limit of 50 Mbit/s; 20 ms round trip. By what limits them. */
export function runLimits(host: TestDataplane): Map<string, readonly Passed[]> {
  const ours = ({ canMark }: { canMark: boolean }): readonly Passed[] => {
    shape(host, { pods: [{ id: POD, level: 7, limit: LIMIT }] })
    return new ShapedUplink(host).run(senders({ canMark }), DURATION_NS)
  }
  return new Map([
    ['ours', ours({ canMark: false })],
    ['ours, with ECN', ours({ canMark: true })],
    ...Object.entries(PLAIN_CLOCKS).map(
      ([name, clock]) => [name, runPlainClock(clock, senders({ canMark: false }), DURATION_NS)] as const,
    ),
  ])
}

export function measureLimits(host: TestDataplane): BenchResult[] {
  return [...runLimits(host)].flatMap(([name, passed]) => {
    const settled = passed.filter(({ atNs }) => atNs >= passed[0]!.atNs + SETTLED_NS)
    const stream = settled.filter(({ sender }) => sender === STREAM)
    const small = settled.filter(({ sender }) => sender === SMALL)
    const start = passed[0]!.atNs
    const { total } = measure(passed, { fromNs: start + SETTLED_NS, toNs: start + DURATION_NS })
    const used = total / LIMIT
    const isOurs = name.startsWith('ours')
    const figure = (what: string, unit: string, value: number, target?: { atLeast: number } | { atMost: number }) =>
      benchResult({
        metric: `TCP at a pod’s limit, ${what}: ${name}`,
        unit,
        value,
        target: isOurs ? target : undefined,
      })
    return [
      figure('sent of the limit', '%', used * 100, { atLeast: 95 }),
      figure('dropped', '%', lossOf(stream) * 100),
      figure('wait p50', 'ms', percentile(waitsOf(stream), 0.5)),
      figure('wait p99', 'ms', percentile(waitsOf(stream), 0.99), { atMost: 25 }),
      figure('small packets beside it, wait p99', 'ms', percentile(waitsOf(small), 0.99), { atMost: 1 }),
      figure('small packets beside it, dropped', '%', lossOf(small) * 100, { atMost: 0 }),
    ]
  })
}

/** Milliseconds that the stream's packets waited, in order of time. */
export function streamWaits(passed: readonly Passed[]): { readonly atMs: number; readonly waitMs: number }[] {
  const start = passed[0]!.atNs
  return passed
    .filter(({ sender, departureNs }) => sender === STREAM && departureNs !== undefined)
    .map(({ atNs, departureNs }) => ({ atMs: (atNs - start) / MS, waitMs: (departureNs! - atNs) / MS }))
}

function senders({ canMark }: { readonly canMark: boolean }): Sender[] {
  const of = (name: string, flow: number, bytes: number) => ({ name, bytes, shaper: POD, flow })
  return [
    windowed({ ...of(STREAM, 0, FULL_BYTES), roundTripNs: ROUND_TRIP_NS, canMark, startsSlowly: true }),
    steady({ ...of(SMALL, 1, 200 - OVERHEAD_BYTES), bandwidth: ((200 - OVERHEAD_BYTES) * 8) / 0.004 }),
  ]
}

function waitsOf(passed: readonly Passed[]): number[] {
  return passed.flatMap(({ atNs, departureNs }) => (departureNs === undefined ? [] : [(departureNs - atNs) / MS]))
}

function lossOf(passed: readonly Passed[]): number {
  return passed.filter(({ departureNs }) => departureNs === undefined).length / passed.length
}
