import { ethernet, ipv4, PROTOCOL_NUMBERS, type TestDataplane, udp } from '@centaurus/network/testing'
import { type BenchContext, benchResult, type BenchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { POD, shape } from './shape.ts'

const LEVEL = 4
/** So few that nothing is dropped, while everything waits. */
const RUNS = 1_000
const FAST = 400e9

/** The program as tests build it, which is a little slower, against itself when it shapes nothing. */
export function measureCosts(host: TestDataplane, { rounds, log }: BenchContext): BenchResult[] {
  log('costs: to_uplink on frames')
  const addresses = { source: '192.168.77.1', destination: '192.168.77.2', protocol: PROTOCOL_NUMBERS.UDP }
  const packet = ipv4(addresses, udp({ sourcePort: 50_000, destinationPort: 6081 }, Buffer.alloc(1000)))
  const frame = ethernet({ source: '02:77:00:00:00:01', destination: '02:77:00:00:00:02' }, packet)
  const pod = { id: POD, level: LEVEL }
  const ways = {
    nothing: () => shape(host, { pods: [pod] }),
    'a pod’s limit': () => shape(host, { pods: [{ ...pod, limit: FAST }] }),
    'a pod’s limit and its level’s, both with a queue': () =>
      shape(host, { pods: [{ ...pod, limit: FAST }], levels: { [LEVEL]: FAST } }),
  }
  const times = new Map(Object.keys(ways).map((name) => [name, [] as number[]]))
  for (let round = 0; round < rounds * 5; round++)
    for (const [name, prepare] of Object.entries(ways)) {
      prepare()
      for (let again = 0; again < 4; again++) {
        const nowNs = BigInt(1e9 * (again + 1))
        const { durationNs } = host.run('to_uplink', frame, { shaper: POD, repeat: RUNS, nowNs })
        times.get(name)!.push(durationNs)
      }
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
