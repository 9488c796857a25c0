import { ethernet, NetworkNamespace, TestCluster, type TestPod } from '@centaurus/network/testing'
import { type BenchContext, type BenchResult, benchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { measureConnections } from './connections.ts'
import { PacketBench, type PacketStream } from './packet-rate.ts'
import { benchPolicy, CLIENT_IDENTITY } from './paths.ts'
import { GATEWAY_MAC, podPacket, tunnelled } from './frames.ts'
import { createRoutedHost, ipsetWall, nftablesWall } from './walls.ts'

const PACKETS = 1_000_000
const SOURCE_PORT_OFFSET = 34
const DESTINATION_PORT_OFFSET = 36
const TUNNEL_BYTES = 58
const FLOWS = 1_000
const WALL_POLICIES = 1_000

/** Packets a second of one core's time through a whole way, made and counted in the kernel. */
export async function measureRates({ rounds, directory, log }: BenchContext): Promise<readonly BenchResult[]> {
  const bench = new PacketBench(directory)
  try {
    const ours = await ourRates(bench, { rounds, log })
    return [...ours, ...wallRates(bench, { rounds, log }), bareRate(bench, rounds)]
  } finally {
    bench.close()
  }
}

interface Measuring {
  readonly rounds: number
  readonly log: (message: string) => void
}

async function ourRates(bench: PacketBench, { rounds, log }: Measuring): Promise<BenchResult[]> {
  const results: BenchResult[] = []
  for (const attach of ['xdp', 'tcx'] as const) {
    log(`rates: two hosts, ${attach}`)
    const cluster = await TestCluster.create({ hosts: 2, attach, prefix: `pr${attach}-`, isCabled: true })
    const add = (name: string, host: number) =>
      cluster.addPod({ name, host, identity: CLIENT_IDENTITY, policySet: benchPolicy() })
    const [client, neighbour, server] = [add('client', 1), add('near', 1), add('server', 2)]
    for (const pod of [neighbour, server]) bench.attachSink({ namespace: pod.namespace, device: 'eth0' })
    // hosts know each other's MAC afterwards, so that no packet waits
    const [here, there] = [cluster.host(1), cluster.host(2)]
    measureConnections({ client: here.namespace, server: there.namespace, serverIP: there.plan.address }, 1)
    takeFrames(cluster.host(1).namespace, client.device)
    takeFrames(cluster.host(2).namespace, 'eth0')
    const rate = (stream: Omit<PacketStream, 'to'>): number =>
      median(Array.from({ length: rounds }, () => bench.measure(stream, PACKETS)))
    const figure = (what: string, value: number, target?: { atLeast: number }): BenchResult =>
      benchResult({ metric: `packet rate: ours, ${what}`, unit: 'Mpps', value, target })
    const pod = { namespace: client.namespace, device: 'eth0' }
    const wire = { namespace: cluster.host(1).namespace, device: 'eth0' }
    const port = { offset: SOURCE_PORT_OFFSET, values: FLOWS }
    const fromWire = {
      from: wire,
      frame: tunnelled(client, server),
      port: { ...port, offset: port.offset + TUNNEL_BYTES },
    }
    if (attach === 'xdp') results.push(figure('wire to pod (XDP)', rate(fromWire), { atLeast: 2 }))
    else {
      results.push(figure('wire to pod (tcx)', rate(fromWire)))
      results.push(figure('pod to pod, one host (tcx)', rate({ from: pod, frame: podFrame(client, neighbour), port })))
    }
    const whole = `pod to pod, two hosts (tcx, then ${attach === 'xdp' ? 'XDP' : 'tcx'})`
    results.push(figure(whole, rate({ from: pod, frame: podFrame(client, server), port })))
    cluster.close()
  }
  return results
}

/** What the bench itself costs: a packet is made, sent over one cable and counted. */
function bareRate(bench: PacketBench, rounds: number): BenchResult {
  const namespace = NetworkNamespace.create('pr-bare')
  namespace.ip(`
    link add from type veth peer name to
    link set from up
    link set to up`)
  bench.attachSink({ namespace, device: 'to' })
  const packet = podPacket({ source: '10.244.1.2', destination: '10.244.1.3' })
  const frame = ethernet({ source: GATEWAY_MAC, destination: GATEWAY_MAC }, packet)
  const stream = { from: { namespace, device: 'from' }, frame, port: { offset: SOURCE_PORT_OFFSET, values: FLOWS } }
  const value = median(Array.from({ length: rounds }, () => bench.measure(stream, PACKETS)))
  namespace.close()
  return benchResult({ metric: 'packet rate: made and counted, nothing between', unit: 'Mpps', value })
}

/** The same packets between two routed pods behind nftables and ipset. */
function wallRates(bench: PacketBench, { rounds, log }: Measuring): BenchResult[] {
  const { host, client, server, clientIP, serverIP } = createRoutedHost('pw-')
  bench.attachSink({ namespace: server.namespace, device: 'eth0' })
  takeFrames(host, client.device)
  const frame = ethernet(
    { source: client.mac, destination: GATEWAY_MAC },
    podPacket({ source: clientIP, destination: serverIP }),
  )
  const stream = {
    from: { namespace: client.namespace, device: 'eth0' },
    frame,
    port: { offset: SOURCE_PORT_OFFSET, values: FLOWS },
  }
  // connection tracking calls a flow established when it has had an answer
  bench.attachSink({ namespace: client.namespace, device: 'eth0' })
  const answer = podPacket({ source: serverIP, destination: clientIP, isAnswer: true })
  const answers = {
    from: { namespace: server.namespace, device: 'eth0' },
    frame: ethernet({ source: server.mac, destination: GATEWAY_MAC }, answer),
    port: { offset: DESTINATION_PORT_OFFSET, values: FLOWS },
  }
  takeFrames(host, server.device)
  const walls = { 'plain routing': undefined, nftables: nftablesWall(host), ipset: ipsetWall(host) }
  return Object.entries(walls).map(([name, wall]) => {
    log(`rates: ${name}`)
    wall?.apply({ client: clientIP, server: serverIP, policies: WALL_POLICIES })
    for (const each of [stream, answers]) bench.measure(each, FLOWS)
    const value = median(Array.from({ length: rounds }, () => bench.measure(stream, PACKETS)))
    wall?.remove()
    const what = wall === undefined ? name : `${name}, ${WALL_POLICIES} policies`
    return benchResult({ metric: `packet rate: ${what}, one host`, unit: 'Mpps', value })
  })
}

/** Frames that are put on a veth by a program are taken at its other end only where packets are gathered. */
function takeFrames(host: NetworkNamespace, device: string): void {
  host.exec(['ethtool', '-K', device, 'gro', 'on'])
}

function podFrame(from: TestPod, to: TestPod): Buffer {
  const packet = podPacket({ source: from.endpoint.ip, destination: to.endpoint.ip })
  return ethernet({ source: from.mac, destination: GATEWAY_MAC }, packet)
}
