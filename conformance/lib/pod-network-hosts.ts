import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectMeta } from '@centaurus/api/meta/v1'
import type { Pod } from '@centaurus/api/core/v1'
import type { NetworkStatus } from '@centaurus/network'
import { TestCluster } from './cluster.ts'
import { openPodSockets, type PodSockets } from './pod-sockets.ts'
import { createTestNetwork, type TestHost, type TestNetwork } from './test-hosts.ts'

/** Machines with containers: `east` is the home partition, `west` joins it. */
export const POD_HOSTS = ['east', 'west'] as const
export type PodHostName = (typeof POD_HOSTS)[number]

const ROLES = ['--roles', 'tenant,resource']
const UP_TIMEOUT_MS = 150_000

/** The pod as one of a host, which ends soon. */
export function onHost(host: PodHostName, { metadata, spec, ...rest }: Pod, more: Partial<ObjectMeta> = {}): Pod {
  return {
    ...rest,
    metadata: { ...metadata, ...more, labels: { ...metadata.labels, ...more.labels } },
    spec: { ...spec!, terminationGracePeriodSeconds: 1, nodeSelector: { 'kubernetes.io/hostname': host } },
  }
}

/** Two hosts with containers and the network of Centaurus, and the world: a third one that runs nothing. */
export class PodNetworkHosts {
  readonly east: TestCluster
  readonly west: TestCluster
  readonly world: TestHost
  readonly #network: TestNetwork
  readonly #sockets: PodSockets[] = []

  private constructor(network: TestNetwork, clusters: Pick<PodNetworkHosts, PodHostName>) {
    this.#network = network
    this.east = clusters.east
    this.west = clusters.west
    this.world = network.host('world')
  }

  /** Starts everything. */
  static async create(label: string): Promise<PodNetworkHosts> {
    const network = await createTestNetwork(label, [...POD_HOSTS, 'world'])
    const machine = (name: PodHostName): Promise<TestCluster> => {
      const { address, enter } = network.host(name)
      // A node is named for its machine.
      const named = ['unshare', '--uts', 'sh', '-c', 'hostname "$0" && exec "$@"', name]
      return TestCluster.create(`${label}-${name}`, {
        network: { name, address, enter: [...enter, ...named], remove: async () => {} },
      })
    }
    const hosts = new PodNetworkHosts(network, { east: await machine('east'), west: await machine('west') })
    try {
      const bundle = join(hosts.west.home, 'join.json')
      await hosts.up('east', '--nodes', 'local', '--network', 'centaurus')
      await hosts.east.mustCentaurus(['partition', 'add', 'west', ...ROLES, '--join-bundle', bundle])
      await hosts.up('west', '--join', bundle, '--network', 'centaurus')
      return hosts
    } catch (error) {
      await hosts.remove().catch(() => {}) // it tells less than what went wrong before
      throw error
    }
  }

  async up(name: PodHostName, ...args: readonly string[]): Promise<void> {
    await this[name].mustCentaurus(['up', ...args], { timeoutMs: UP_TIMEOUT_MS })
  }

  address(name: PodHostName): string {
    return this.#network.host(name).address
  }

  /** DSCPs of what one host sent to others in tunnels since this was asked before. */
  tunnelDscps(name: PodHostName): Promise<number[]> {
    return this.#network.tunnelDscps(name)
  }

  async status(name: PodHostName): Promise<NetworkStatus> {
    return JSON.parse(await this[name].mustCentaurus(['network', 'status', '-o', 'json'])) as NetworkStatus
  }

  /** Sockets in the network of a pod that runs, by its name, `TENANT/NAME` for others than the operators' own. */
  async openPod(
    { metadata, spec }: Pod,
    { tenant }: { readonly tenant?: string | undefined } = {},
  ): Promise<PodSockets> {
    const host = spec!.nodeName as PodHostName
    const dir = join(this[host].home, 'network/attachments')
    const records = await Promise.all((await readdir(dir)).map((file) => readFile(join(dir, file), 'utf8')))
    const attachments = records.map((text) => JSON.parse(text) as { uid?: string; phase: string; netns?: string })
    const own = attachments.find(({ uid, phase }) => uid === metadata.uid && phase === 'ready')
    if (own?.netns === undefined) throw new Error(`Pod ${metadata.name} is not attached on ${host}: ${records.join()}`)
    const name = tenant === undefined ? metadata.name! : `${tenant}/${metadata.name}`
    return this.#keep(await openPodSockets(name, ['nsenter', `--net=${own.netns}`]))
  }

  /** Sockets of a host itself. */
  async openHost(name: PodHostName | 'world'): Promise<PodSockets> {
    return this.#keep(await openPodSockets(name, this.#network.host(name).enter))
  }

  /** Ends and removes everything. */
  async remove(): Promise<void> {
    for (const sockets of this.#sockets) await sockets.close()
    const removed = await Promise.allSettled([this.west.remove(), this.east.remove()])
    await this.#network.remove()
    for (const each of removed) if (each.status === 'rejected') throw each.reason
  }

  #keep(sockets: PodSockets): PodSockets {
    this.#sockets.push(sockets)
    return sockets
  }
}
