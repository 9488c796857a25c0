import { createBareHost, createWire, planHost } from '@centaurus/network/testing'
import { type BenchContext, type BenchResult, benchResult } from '../harness/bench.ts'
import { addBridgePod, joinByVxlan, vxlanMtu } from './bridge-cni.ts'
import { medianPath, measurePath, type PathFigures } from './figures.ts'
import type { Ends } from './traffic.ts'

const UPLINK_MTU = 1500

/** TCP throughput, round trips and new connections between pods, the peers in turn with ours. */
export async function measurePaths({ rounds, log }: BenchContext): Promise<readonly BenchResult[]> {
  const worlds = { bridge: bridgeWorld(), vxlan: vxlanWorld() }
  const samples = new Map<string, PathFigures[]>()
  for (let round = 0; round < rounds; round++) {
    for (const [name, ends] of Object.entries(worlds)) {
      log(`paths: ${name}, round ${round + 1} of ${rounds}`)
      samples.set(name, [...(samples.get(name) ?? []), await measurePath(ends)])
    }
  }
  const of = (name: keyof typeof worlds): PathFigures => medianPath(samples.get(name)!)
  return [...describePath('bridge', of('bridge')), ...describePath('VXLAN', of('vxlan'))]
}

function describePath(name: string, figures: PathFigures): BenchResult[] {
  return [
    benchResult({ metric: `TCP, ${name}`, unit: 'Gbit/s', value: figures.tcpGigabits }),
    benchResult({ metric: `round trip UDP p50, ${name}`, unit: 'µs', value: figures.udpP50 }),
  ]
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
  const add = (index: number) =>
    addBridgePod(hosts[index]!.namespace, {
      name: `vx-${index}`,
      subnet: hosts[index]!.subnet,
      mtu: vxlanMtu(UPLINK_MTU),
    })
  const [client, server] = [add(0), add(1)]
  return { client: client.namespace, server: server.namespace, serverIP: server.ip }
}
