import {
  allowPorts,
  createBareHost,
  createWire,
  DENY_ALL,
  planHost,
  policySet,
  type PolicySet,
  TestCluster,
} from '@centaurus/network/testing'
import { type BenchContext, type BenchResult, benchResult, type BenchTarget } from '../harness/bench.ts'
import { addBridgePod, joinByVxlan, vxlanMtu } from './bridge-cni.ts'
import { medianPath, measurePath, type PathFigures } from './figures.ts'
import type { Ends } from './traffic.ts'

const UPLINK_MTU = 1500
export const CLIENT_IDENTITY = 256

/** TCP throughput, round trips and new connections between pods, the peers in turn with ours. */
export async function measurePaths({ rounds, log }: BenchContext): Promise<readonly BenchResult[]> {
  const worlds: Readonly<Record<string, Ends>> = {
    [BRIDGE]: bridgeWorld(),
    [OURS_HERE]: await ourWorld({ prefix: 'oh-', hosts: 1, attach: 'tcx' }),
    [VXLAN]: vxlanWorld(),
    [OURS_TCX]: await ourWorld({ prefix: 'ot-', hosts: 2, attach: 'tcx' }),
    [OURS_XDP]: await ourWorld({ prefix: 'ox-', hosts: 2, attach: 'xdp' }),
  }
  const samples = new Map<string, PathFigures[]>()
  for (let round = 0; round < rounds; round++) {
    for (const [name, ends] of Object.entries(worlds)) {
      log(`paths: ${name}, round ${round + 1} of ${rounds}`)
      samples.set(name, [...(samples.get(name) ?? []), await measurePath(ends)])
    }
  }
  const of = (name: string): PathFigures => medianPath(samples.get(name)!)
  return [
    ...comparePaths(OURS_HERE, { peer: BRIDGE, of, tcpTarget: { ratioAtLeast: 1 } }),
    ...comparePaths(OURS_TCX, { peer: VXLAN, of, tcpTarget: { ratioAtLeast: 1 } }),
    ...comparePaths(OURS_XDP, { peer: VXLAN, of }),
    ...[BRIDGE, VXLAN].flatMap((name) => [
      benchResult({ metric: `TCP stream: ${name}`, unit: 'Gbit/s', value: of(name).tcpGigabits }),
      benchResult({ metric: `UDP round trip: ${name}`, unit: 'µs', value: of(name).udpP50 }),
    ]),
  ]
}

const BRIDGE = 'bridge CNI, one host'
const VXLAN = 'VXLAN, two hosts'
const OURS_HERE = 'ours, one host'
const OURS_TCX = 'ours, two hosts, tcx'
const OURS_XDP = 'ours, two hosts, XDP'

function comparePaths(
  ours: string,
  { peer, of, tcpTarget }: { peer: string; of: (name: string) => PathFigures; tcpTarget?: BenchTarget },
): BenchResult[] {
  const figure = (
    what: string,
    { unit, key, target }: { unit: string; key: keyof PathFigures; target?: BenchTarget },
  ) =>
    benchResult({
      metric: `${what}: ${ours}`,
      unit,
      value: of(ours)[key],
      peer: { name: peer, value: of(peer)[key] },
      target,
    })
  return [
    figure('TCP stream', {
      unit: 'Gbit/s',
      key: 'tcpGigabits',
      ...(tcpTarget === undefined ? {} : { target: tcpTarget }),
    }),
    figure('UDP round trip', { unit: 'µs', key: 'udpP50' }),
    figure('UDP round trip p99', { unit: 'µs', key: 'udpP99' }),
    figure('TCP round trip', { unit: 'µs', key: 'tcpP50' }),
    figure('new TCP connection', { unit: 'µs', key: 'connectionMicroseconds' }),
  ]
}

/** Allows the client what it does here and denies the rest, so that policy is asked. */
export function benchPolicy(): PolicySet {
  const ports = (['TCP', 'UDP'] as const).map((protocol) => ({ protocol, firstPort: 5_000, lastPort: 12_000 }))
  return policySet({
    ingress: { byIdentity: new Map([[CLIENT_IDENTITY, allowPorts(ports)]]), others: DENY_ALL },
  })
}

async function ourWorld(options: { prefix: string; hosts: number; attach: 'tcx' | 'xdp' }): Promise<Ends> {
  const cluster = await TestCluster.create({ ...options, mtu: UPLINK_MTU })
  const client = cluster.addPod({ name: 'client', host: 1, identity: CLIENT_IDENTITY })
  const server = cluster.addPod({ name: 'server', host: options.hosts, identity: 257, policySet: benchPolicy() })
  return { client: client.namespace, server: server.namespace, serverIP: server.endpoint.ip }
}

/** Two pods of one host on the bridge plugin's bridge. */
function bridgeWorld(): Ends {
  const options = { mtu: UPLINK_MTU, prefix: 'br-' }
  const plan = planHost(1, options)
  const host = createBareHost(createWire(options), plan)
  const add = (name: string) => addBridgePod(host, { name, subnet: plan.podCIDR, mtu: UPLINK_MTU })
  const [client, server] = [add('br-a'), add('br-b')]
  return { client: client.namespace, server: server.namespace, serverIP: server.ip }
}

/** A pod on each of two hosts, with VXLAN between them. */
function vxlanWorld(): Ends {
  const options = { mtu: UPLINK_MTU, prefix: 'vx-' }
  const wire = createWire(options)
  const plans = [planHost(1, options), planHost(2, options)]
  const hosts = plans.map((plan) => ({ ...plan, namespace: createBareHost(wire, plan), subnet: plan.podCIDR }))
  joinByVxlan(hosts, UPLINK_MTU)
  const add = (index: number) => {
    const { namespace, subnet } = hosts[index]!
    return addBridgePod(namespace, { name: `vx-${index}`, subnet, mtu: vxlanMtu(UPLINK_MTU) })
  }
  const [client, server] = [add(0), add(1)]
  return { client: client.namespace, server: server.namespace, serverIP: server.ip }
}
