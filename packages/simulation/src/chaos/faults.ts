import type { Random } from '@centaurus/base'
import type { ChaosCluster } from './chaos-cluster.ts'
import type { ConnectionFaults, FaultyClient } from './faulty-client.ts'
import { PLANE_PARTS } from './plane.ts'

/** Longest outage in a run with short outages: well below what makes a node NotReady, plus what its pods tolerate. */
const SHORT_OUTAGE_MS_MAX = 90_000
/** And in one with long outages: pods are evicted. */
const LONG_OUTAGE_MS_MAX = 600_000

export interface FaultTargets {
  readonly cluster: ChaosCluster
  readonly random: Random
  /** Connections of users and observers. */
  readonly outside: readonly { readonly client: FaultyClient; readonly faults: ConnectionFaults }[]
  /** Whether nodes may be away for long enough to lose their pods. */
  readonly longOutages: boolean
}

type Fault = (targets: FaultTargets) => Promise<void>

/** Breaks one thing, chosen at random, waits, and repairs it. */
export async function causeFault(targets: FaultTargets): Promise<void> {
  const names = Object.keys(FAULTS)
  const name = names[targets.random.integer(names.length)]!
  targets.cluster.transcript.add(`fault: ${name}`)
  await FAULTS[name]!(targets)
  targets.cluster.transcript.add(`fault over: ${name}`)
}

const wait = ({ cluster, random }: FaultTargets, msMax: number): Promise<void> =>
  cluster.clock.sleep(random.integer(msMax))

const FAULTS: Readonly<Record<string, Fault>> = {
  async 'kill the control plane'(targets) {
    const { cluster, random } = targets
    if (!cluster.planeUp) return
    cluster.killPlane()
    await wait(targets, random.next() < 0.7 ? 5_000 : SHORT_OUTAGE_MS_MAX)
    await cluster.startPlane()
  },
  async 'restart a part'({ cluster, random }) {
    await cluster.restartPart(PLANE_PARTS[random.integer(PLANE_PARTS.length)]!)
  },
  async 'kill a node agent'(targets) {
    const node = chooseNode(targets)
    node.kill()
    await wait(targets, outageMs(targets))
    await node.start()
  },
  async 'power off a node'(targets) {
    const node = chooseNode(targets)
    node.powerOff()
    await wait(targets, outageMs(targets))
    await node.start()
  },
  async 'cut off a node'(targets) {
    const node = chooseNode(targets)
    node.faults.unreachable = true
    node.cutWatches()
    await wait(targets, outageMs(targets))
    node.faults.unreachable = false
  },
  async 'cut watches'({ cluster, outside }) {
    for (const { client } of outside) client.cutWatches()
    for (const node of cluster.nodes) node.cutWatches()
    cluster.cutPartWatches()
  },
  async 'slow watches'(targets) {
    const connections = someConnections(targets)
    for (const faults of connections) faults.watchDelayMs = 1 + targets.random.integer(8_000)
    await wait(targets, 60_000)
    for (const faults of connections) faults.watchDelayMs = 0
  },
  async 'slow requests'(targets) {
    const connections = someConnections(targets)
    for (const faults of connections) faults.latencyMs = 1 + targets.random.integer(3_000)
    await wait(targets, 60_000)
    for (const faults of connections) faults.latencyMs = 0
  },
  async 'lose answers'(targets) {
    const connections = someConnections(targets)
    for (const faults of connections) faults.lostAnswers = 0.1 + targets.random.next() * 0.4
    await wait(targets, 60_000)
    for (const faults of connections) faults.lostAnswers = 0
  },
  async 'cut off a part'(targets) {
    const { cluster, random } = targets
    const faults = cluster.partFaults[PLANE_PARTS[random.integer(PLANE_PARTS.length)]!]
    faults.unreachable = true
    await wait(targets, SHORT_OUTAGE_MS_MAX)
    faults.unreachable = false
  },
  async 'fill the disk'(targets) {
    targets.cluster.storeFaults.full = true
    await wait(targets, 20_000)
    targets.cluster.storeFaults.full = false
  },
  async 'jump the clock'({ cluster, random }) {
    cluster.clock.jump((random.integer(3) - 1) * random.integer(120_000))
  },
}

function chooseNode({ cluster, random }: FaultTargets): ChaosCluster['nodes'][number] {
  return cluster.nodes[random.integer(cluster.nodes.length)]!
}

function outageMs({ random, longOutages }: FaultTargets): number {
  return longOutages && random.next() < 0.4 ? LONG_OUTAGE_MS_MAX : SHORT_OUTAGE_MS_MAX
}

/** About half of all connections. */
function someConnections({ cluster, outside, random }: FaultTargets): ConnectionFaults[] {
  const all = [
    ...outside.map(({ faults }) => faults),
    ...cluster.nodes.map(({ faults }) => faults),
    ...Object.values(cluster.partFaults),
  ]
  return all.filter(() => random.next() < 0.5)
}
