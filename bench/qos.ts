import {
  ethernet,
  ipv4,
  jainIndex,
  measure,
  openTestDataplane,
  PROTOCOL_NUMBERS,
  ShapedUplink,
  steady,
  type TestDataplane,
  udp,
  windowed,
} from '@centaurus/network/testing'
import { type Bench, type BenchContext, benchResult, type BenchResult } from './harness/bench.ts'
import { median } from './harness/measure.ts'

const POD = 16
const LEVEL = 4
const FULL_BYTES = 1514
const MS = 1e6
/** So few that nothing is dropped, while everything waits. */
const RUNS = 1_000
const BANDWIDTHS = [1e6, 10e6, 100e6, 1e9, 10e9]
const FAST = 400e9

/** Needs root; no device, namespace or pin. */
export const bench: Bench = {
  summary: 'shaping: what it costs a packet, how right its rates are, how fair it is to flows',
  run,
}

async function run(context: BenchContext): Promise<readonly BenchResult[]> {
  if (process.getuid?.() !== 0) throw new Error('Cannot measure shaping: run it as root')
  const host = await openTestDataplane()
  try {
    return [...measureCosts(host, context), ...BANDWIDTHS.map((each) => measureRate(host, each)), measureFairness(host)]
  } finally {
    host.close()
  }
}

/** The program as tests build it, which is a little slower, against itself when it shapes nothing. */
function measureCosts(host: TestDataplane, { rounds, log }: BenchContext): BenchResult[] {
  log('costs: to_uplink on frames')
  const addresses = { source: '192.168.77.1', destination: '192.168.77.2', protocol: PROTOCOL_NUMBERS.UDP }
  const packet = ipv4(addresses, udp({ sourcePort: 50_000, destinationPort: 6081 }, Buffer.alloc(1000)))
  const frame = ethernet({ source: '02:77:00:00:00:01', destination: '02:77:00:00:00:02' }, packet)
  const ways = {
    nothing: () => shape(host, {}),
    'a pod’s limit': () => shape(host, { pod: FAST }),
    'a pod’s limit and its level’s, both with a queue': () => shape(host, { pod: FAST, level: FAST }),
  }
  const times = new Map(Object.keys(ways).map((name) => [name, [] as number[]]))
  for (let round = 0; round < rounds * 20; round++)
    for (const [name, prepare] of Object.entries(ways)) {
      prepare()
      const { durationNs } = host.run('to_uplink', frame, { shaper: POD, repeat: RUNS, nowNs: 1_000_000_000n })
      times.get(name)!.push(durationNs)
    }
  const base = median(times.get('nothing')!)
  return [...times].map(([name, all]) =>
    benchResult({
      metric: `ns a packet: ${name}`,
      unit: 'ns',
      value: median(all),
      ...(name === 'nothing' ? {} : { peer: { name: 'nothing shaped', value: base } }),
    }),
  )
}

function measureRate(host: TestDataplane, bandwidth: number): BenchResult {
  shape(host, { pod: bandwidth })
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

/** A flood, a flood of large packets, and two that give way. */
function measureFairness(host: TestDataplane): BenchResult {
  shape(host, { pod: 100e6 })
  const uplink = new ShapedUplink(host)
  const flow = (index: number) => ({ name: `flow ${index}`, bytes: FULL_BYTES, shaper: POD, flow: index })
  const flows = [
    steady({ ...flow(0), bandwidth: 130e6 }),
    steady({ ...flow(1), bytes: 65_000, bandwidth: 60e6 }),
    windowed({ ...flow(2), roundTripNs: 2 * MS }),
    windowed({ ...flow(3), roundTripNs: 6 * MS, canMark: true }),
  ]
  uplink.run(flows, 2_000 * MS)
  const { rates } = measure(uplink.passed, { fromNs: uplink.nowNs - 1_000 * MS, toNs: uplink.nowNs })
  return benchResult({
    metric: 'fairness between floods and flows that give way (Jain)',
    unit: '',
    value: jainIndex([...rates.values()]),
    target: { atLeast: 0.95 },
  })
}

/** Limits, with clocks that nobody has used. */
function shape(host: TestDataplane, limits: { readonly pod?: number; readonly level?: number }): void {
  for (const [table, index] of [
    ['shaper_clocks', POD],
    ['level_clocks', LEVEL],
  ] as const) {
    const key = Buffer.alloc(4)
    key.writeUInt32LE(index)
    host.map(table).set(key, Buffer.alloc(host.map(table).valueBytes))
  }
  const { pod, level } = limits
  host.tables.setShaper({ id: POD, level: LEVEL, ...(pod === undefined ? {} : { egressBandwidth: pod }) })
  const rates = Array.from({ length: 10 }, (_, index) => (index === LEVEL ? level : undefined))
  host.tables.setShaping({ mode: 'edt', rates, overheadBytes: 24 })
}
