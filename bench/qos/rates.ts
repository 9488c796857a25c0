import {
  fairShares,
  jainIndex,
  measure,
  ShapedUplink,
  steady,
  type TestDataplane,
  windowed,
} from '@centaurus/network/testing'
import { benchResult, type BenchResult } from '../harness/bench.ts'
import { runPlainClock } from './reference.ts'
import { FULL_BYTES, MS, POD, shape } from './shape.ts'

const LIMIT = 100e6
/** Of the pods that share a level; the first has one flow only. */
const FLOWS_OF_PODS = [1, 6, 3]
/** Of each flow, bits a second. */
const OFFERED = 60e6
const LEVEL = 7
/** Packets that a device holds by default. */
const DEVICE_QUEUE = 1_000

export function measureRate(host: TestDataplane, bandwidth: number): BenchResult {
  shape(host, { pods: [{ id: POD, level: LEVEL, limit: bandwidth }] })
  const uplink = new ShapedUplink(host)
  const durationNs = (2_000 * FULL_BYTES * 8e9) / bandwidth
  uplink.run(
    [steady({ name: 'flow', bytes: FULL_BYTES, shaper: POD, flow: 0, bandwidth: bandwidth * 1.5 })],
    durationNs,
  )
  const { total } = measure(uplink.passed, { fromNs: uplink.nowNs - durationNs * 0.6, toNs: uplink.nowNs })
  return benchResult({
    metric: `rate error at ${bandwidth / 1e6} Mbit/s`,
    unit: '%',
    value: Math.abs(total / bandwidth - 1) * 100,
    target: { atMost: 1 },
  })
}

/** A flood, a flood of large packets, and two that give way; `canMark`: one of these listens to marks, and not to losses only. */
export function measureFlowFairness(host: TestDataplane, { canMark }: { readonly canMark: boolean }): BenchResult {
  shape(host, { pods: [{ id: POD, level: LEVEL, limit: LIMIT }] })
  const uplink = new ShapedUplink(host)
  const flow = (index: number) => ({ name: `flow ${index}`, bytes: FULL_BYTES, shaper: POD, flow: index })
  const flows = () => [
    steady({ ...flow(0), bandwidth: 130e6 }),
    steady({ ...flow(1), bytes: 65_000, bandwidth: OFFERED }),
    windowed({ ...flow(2), roundTripNs: 2 * MS, startsSlowly: true }),
    windowed({ ...flow(3), roundTripNs: 6 * MS, canMark, startsSlowly: true }),
  ]
  uplink.run(flows(), 2_000 * MS)
  const of = (passed: typeof uplink.passed): number => {
    const { rates } = measure(passed, { fromNs: uplink.nowNs - 1_000 * MS, toNs: uplink.nowNs })
    return jainIndex(flows().map(({ name }) => rates.get(name) ?? 0))
  }
  const fifo = runPlainClock({ bandwidth: LIMIT, horizonNs: 40 * MS }, flows(), 2_000 * MS)
  return benchResult({
    metric: `fairness of flows of a pod, floods and such that give way${canMark ? ', one by ECN' : ''} (Jain)`,
    unit: '',
    value: of(uplink.passed),
    peer: { name: 'one clock for all (model)', value: of(fifo) },
    target: { atLeast: 0.95 },
  })
}

/** Three pods of a level with one, six and three flows that do not give way. */
export function measurePodFairness(host: TestDataplane): BenchResult[] {
  const pods = FLOWS_OF_PODS.map((count, i) => ({ id: POD + i, level: LEVEL, count }))
  const flows = () =>
    pods.flatMap(({ id, count }, i) =>
      Array.from({ length: count }, (_, flow) => {
        const phaseNs = (i * 10 + flow) * 701
        return steady({ name: `pod ${id}`, shaper: id, bytes: FULL_BYTES, flow, bandwidth: OFFERED, phaseNs })
      }),
    )
  shape(host, { pods, levels: { [LEVEL]: LIMIT } })
  const uplink = new ShapedUplink(host)
  uplink.run(flows(), 600 * MS)
  const window = { fromNs: uplink.nowNs - 400 * MS, toNs: uplink.nowNs }
  const indexOf = (rates: ReadonlyMap<string, number>): number =>
    jainIndex(pods.map(({ id }) => rates.get(`pod ${id}`) ?? 0))
  const queueNs = (DEVICE_QUEUE * FULL_BYTES * 8e9) / LIMIT
  const device = runPlainClock({ bandwidth: LIMIT, horizonNs: queueNs }, flows(), 600 * MS)
  const figure = (how: string, value: number, target?: { atLeast: number }): BenchResult =>
    benchResult({ metric: `fairness of pods of a level (Jain): ${how}`, unit: '', value, target })
  return [
    figure('ours', indexOf(measure(uplink.passed, window).rates), { atLeast: 0.95 }),
    figure('without the level’s rate, a device’s queue (model)', indexOf(measure(device, window).rates)),
    figure('without the level’s rate, a fair queue of flows (computed)', indexOf(fairByFlows(pods))),
  ]
}

/** What pods get where each flow has the same. */
function fairByFlows(pods: readonly { readonly id: number; readonly count: number }[]): Map<string, number> {
  const wanted = pods.flatMap(({ id, count }) =>
    Array.from({ length: count }, (_, flow) => [`${id} ${flow}`, OFFERED] as const),
  )
  const shares = fairShares(new Map(wanted), LIMIT)
  return new Map(
    pods.map(({ id, count }) => [
      `pod ${id}`,
      Array.from({ length: count }, (_, flow) => shares.get(`${id} ${flow}`)!).reduce((a, b) => a + b, 0),
    ]),
  )
}
