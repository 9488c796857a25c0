import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { silentLogger, systemClock } from '@centaurus/base'
import {
  type Dataplane,
  type Load,
  type NetworkNamespace,
  type Shaper,
  ShaperMeter,
  type ShapingKeeper,
  startShapingKeeper,
  TestCluster,
  type TestPod,
} from '@centaurus/network/testing'

const PATIENCE_MS = 30_000

/** Two hosts with pods a and b, whose uplink is shared as the daemon shares it, and a pod far on the other one. */
export class ShapedHosts {
  readonly cluster: TestCluster
  readonly a: TestPod
  readonly b: TestPod
  readonly far: TestPod
  /** How often levels were given rates. */
  published = 0
  #keeper: ShapingKeeper | undefined
  #port = 5000
  #shaper = 15

  private constructor(cluster: TestCluster) {
    this.cluster = cluster
    this.a = cluster.addPod({ name: 'a', host: 1, identity: 256 })
    this.b = cluster.addPod({ name: 'b', host: 1, identity: 256 })
    this.far = cluster.addPod({ name: 'far', host: 2, identity: 257 })
    // so that what the keeper starts finds the host's device
    this.host.enter()
  }

  static async create(programs: string): Promise<ShapedHosts> {
    return new ShapedHosts(await TestCluster.create({ hosts: 2, attach: 'tcx', programs }))
  }

  get host(): NetworkNamespace {
    return this.cluster.host(1).namespace
  }

  get keeper(): ShapingKeeper {
    assert.ok(this.#keeper !== undefined)
    return this.#keeper
  }

  /** Shares the uplink of the first host, which is said to carry so much. */
  async share(bandwidth: number): Promise<void> {
    await this.#keeper?.close()
    const { dataplane } = this.cluster.host(1)
    const counting: Pick<Dataplane, 'listEndpoints' | 'listShapers' | 'readLevels' | 'setShaping'> = {
      listEndpoints: () => dataplane.listEndpoints(),
      listShapers: () => dataplane.listShapers(),
      readLevels: () => dataplane.readLevels(),
      setShaping: (shaping) => {
        this.published++
        dataplane.setShaping(shaping)
      },
    }
    const keeper = startShapingKeeper({
      dataplane: counting,
      device: () => 'eth0',
      stated: () => ({ bandwidth }),
      clock: systemClock,
      logger: silentLogger,
    })
    this.#keeper = keeper
    await until(() => keeper.state.mode === 'edt' && keeper.state.bandwidth === bandwidth)
  }

  /** Gives the pod a shaper of its own; its number. */
  limit(pod: TestPod, limits: Omit<Shaper, 'id'>): number {
    const id = ++this.#shaper
    this.change(pod, { id, ...limits })
    this.use(pod, id)
    return id
  }

  change(pod: TestPod, shaper: Shaper): void {
    this.cluster.on(pod.host, (dataplane) => dataplane.setShaper(shaper))
  }

  use(pod: TestPod, shaper: number): void {
    this.cluster.on(pod.host, (dataplane) => dataplane.setEndpoint({ ...pod.endpoint, shaper }))
  }

  /** Of the first host. */
  meter(kind: 'level' | 'shaper', index: number): ShaperMeter {
    return new ShaperMeter(this.cluster.tables(this.cluster.host(1)), kind, index)
  }

  /** A stream to the far pod, unless `options` say more. */
  load(name: string, from: TestPod, options: Partial<Load> = {}): Load {
    const { far } = this
    const ends = { client: from.namespace.name, server: far.namespace.name, ip: far.endpoint.ip, port: this.#port++ }
    return { name, protocol: 'TCP', ...ends, ...options }
  }

  async close(): Promise<void> {
    await this.#keeper?.close()
    this.cluster.close()
  }
}

export async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!isSo()) {
    assert.ok(performance.now() < deadline, `It was not so within ${PATIENCE_MS} ms: ${isSo}`)
    await sleep(10)
  }
}

/** Packets that a namespace got with the mark of congestion. */
export function countMarked(namespace: NetworkNamespace): number {
  const text = namespace.run(() => readFileSync('/proc/thread-self/net/netstat', 'utf8'))
  const [names, values] = text
    .split('\n')
    .filter((line) => line.startsWith('IpExt:'))
    .map((line) => line.split(' '))
  return Number(values![names!.indexOf('InCEPkts')])
}

/** How equal shares are: 1 all alike, 1/n: one has all. Jain's index. */
export function fairnessOf(shares: readonly number[]): number {
  const sum = shares.reduce((total, each) => total + each, 0)
  return sum ** 2 / (shares.length * shares.reduce((total, each) => total + each ** 2, 0))
}

export interface Fq {
  readonly kind: string
  readonly drops: number
  readonly throttled: number
  readonly flows_plimit?: number
  readonly horizon_drops?: number
  readonly horizon_caps?: number
}

export function readFq(host: NetworkNamespace): Fq {
  const qdiscs = JSON.parse(host.exec(['tc', '-s', '-json', 'qdisc', 'show', 'dev', 'eth0'])) as Fq[]
  const fq = qdiscs.find(({ kind }) => kind === 'fq')
  assert.ok(fq !== undefined, 'eth0 has fq')
  return fq
}
