import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { type NetworkNamespace, planClasses, TestCluster, type TestPod } from '@centaurus/network/testing'
import { benchResult, type BenchResult } from '../harness/bench.ts'
import { measureRoundTrips, type RoundTrips } from '../network/traffic.ts'
import { OVERHEAD_BYTES, POD } from './shape.ts'

const LINK = 200e6
/** A thousand packets wait at most, as in a device by default. */
const LINK_QUEUE = `tbf rate ${LINK}bit burst 64k limit ${1_000 * 1514}`
const FLOOD = ['-u', '-b', '300M', '-l', '1300', '-t', '30']
const FLOOD_PORT = 5202
const PREFIX = 'qb-'

/** Round trips of a premium pod to another host, over a switch whose port carries 200 Mbit a second, while a best-effort pod floods it; the same by HTB. Real sockets and programs. */
export async function measureFlood(): Promise<BenchResult[]> {
  const cluster = await TestCluster.create({ hosts: 2, attach: 'tcx', prefix: PREFIX })
  try {
    const [premium, flooder, answerer, sink] = ['premium', 'flooder', 'answerer', 'sink'].map((name, i) =>
      cluster.addPod({ name, host: i < 2 ? 1 : 2, identity: 256 + i }),
    ) as [TestPod, TestPod, TestPod, TestPod]
    for (const [pod, id, level] of [
      [premium, POD, 0],
      [flooder, POD + 1, 7],
    ] as const)
      cluster.on(pod.host, (dataplane) => {
        dataplane.setShaper({ id, level })
        dataplane.setEndpoint({ ...pod.endpoint, shaper: id })
      })
    tc(cluster.wire, [`qdisc replace dev ${PREFIX}host2 root ${LINK_QUEUE}`])
    const ends = { client: premium.namespace, server: answerer.namespace, serverIP: answerer.endpoint.ip }
    const underFlood = () => withFlood(flooder, sink, () => measureRoundTrips(ends, 'UDP'))
    const idle = await measureRoundTrips(ends, 'UDP')
    const plain = await underFlood()
    const here = cluster.host(1)
    tc(here.namespace, [
      'qdisc replace dev eth0 root handle ce00: htb default a',
      ...planClasses('eth0', { bandwidth: LINK, pods: [] }),
    ])
    cluster.on(here, (dataplane) => dataplane.setShaping({ mode: 'htb', rates: [], overheadBytes: OVERHEAD_BYTES }))
    const idleByHtb = await measureRoundTrips(ends, 'UDP')
    const byHtb = await underFlood()
    return [
      ...figures('idle, no shaping', idle),
      ...figures('idle, ours by HTB', idleByHtb, idle),
      ...figures('under a flood, no shaping', plain, idle),
      ...figures('under a flood, ours by HTB', byHtb, idle),
    ]
  } finally {
    cluster.close()
  }
}

function figures(what: string, { p50, p99 }: RoundTrips, idle?: RoundTrips): BenchResult[] {
  const of = (name: 'p50' | 'p99', value: number) =>
    benchResult({
      metric: `premium’s round trip ${name}: ${what}`,
      unit: 'µs',
      value,
      peer: idle === undefined ? undefined : { name: 'idle, no shaping', value: idle[name] },
    })
  return [of('p50', p50), of('p99', p99)]
}

async function withFlood<Result>(from: TestPod, to: TestPod, action: () => Promise<Result>): Promise<Result> {
  const server = start(to.namespace, ['iperf3', '-s', '-1', '-p', String(FLOOD_PORT)])
  await setTimeout(500)
  const client = start(from.namespace, ['iperf3', '-c', to.endpoint.ip, '-p', String(FLOOD_PORT), ...FLOOD])
  try {
    await setTimeout(1_500)
    if (client.exitCode !== null) throw new Error('Cannot flood the link: iperf3 has ended')
    return await action()
  } finally {
    await Promise.all([client, server].map(end))
  }
}

function start(namespace: NetworkNamespace, [name, ...args]: readonly string[]): ChildProcess {
  return namespace.run(() => spawn(name!, args, { stdio: 'ignore' }))
}

async function end(child: ChildProcess): Promise<void> {
  const ended = child.exitCode === null ? once(child, 'exit') : undefined
  child.kill('SIGKILL')
  await ended
}

function tc(namespace: NetworkNamespace, commands: readonly string[]): void {
  namespace.exec(['tc', '-batch', '-'], { input: `${commands.join('\n')}\n` })
}
