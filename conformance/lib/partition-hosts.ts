import { spawn, type ChildProcess } from 'node:child_process'
import { cp, mkdtemp, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { writeEtcdCertificates } from '@centaurus/store/testing'
import { ROOT } from './cluster.ts'
import { startHostFetch, type ClientTls, type HostFetch } from './host-fetch.ts'
import { destroyHome, homePrefix, processesOf, sweepLeftovers } from './leftovers.ts'
import { run, waitFor, type Finished } from './processes.ts'
import { createTestNetwork, type TestHost, type TestNetwork } from './test-hosts.ts'

const PORT = 6443
const COMMAND_TIMEOUT_MS = 90_000
/** What is written over a store to break it, and how often. */
const DAMAGE = Buffer.alloc(512, 0xa5)
const DAMAGE_STEP_BYTES = 4096
const ETCD_MEMBERS = ['etcd0', 'etcd1', 'etcd2']
/** `home` is a tenant partition here as well. */
const PARTITIONS = ['home', 'tp1', 'rp0', 'rp1'] as const

export type PartitionName = (typeof PARTITIONS)[number]

/** An answer of an API server. */
export interface ApiAnswer<T> {
  readonly status: number
  readonly body: T
}

/**
 * A cluster of four partitions, each on a host of its own: `home` (tenants, the registry; its store is an etcd of three members, each on
 * a host of its own too), `tp1` (tenants), `rp0` and `rp1` (simulated nodes).
 */
export class PartitionHosts {
  readonly network: TestNetwork
  readonly #homes: ReadonlyMap<PartitionName, string>
  readonly #etcdDir: string
  readonly #etcd = new Map<string, ChildProcess>()
  #etcdFlags: readonly string[] = []
  #fetch: HostFetch | undefined
  #tls: ClientTls | undefined

  private constructor(network: TestNetwork, homes: ReadonlyMap<PartitionName, string>, etcdDir: string) {
    this.network = network
    this.#homes = homes
    this.#etcdDir = etcdDir
  }

  /** Hosts and folders; nothing runs. */
  static async create(label: string): Promise<PartitionHosts> {
    await sweepLeftovers()
    const network = await createTestNetwork(label, [...PARTITIONS, ...ETCD_MEMBERS, 'admin'])
    const homes = new Map<PartitionName, string>()
    for (const name of PARTITIONS) homes.set(name, await mkdtemp(homePrefix(`${label}-${name}`)))
    const hosts = new PartitionHosts(network, homes, await mkdtemp(homePrefix(`${label}-etcd`)))
    hosts.#fetch = startHostFetch(network.host('admin'))
    return hosts
  }

  /** Starts everything: etcd, the home partition, the others as on machines of their own. */
  async up({ nodes }: { readonly nodes: number }): Promise<void> {
    const etcd = await this.#startEtcd()
    await this.mustRun('home', ['up', '--nodes', 'none', ...this.#addresses('home'), ...etcd])
    for (const name of PARTITIONS.slice(1)) {
      const bundle = join(this.home(name), 'join.json')
      const roles = name.startsWith('tp') ? 'tenant' : 'resource'
      await this.mustRun('home', ['partition', 'add', name, '--roles', roles, '--join-bundle', bundle])
      const kind = roles === 'resource' ? `simulated:${nodes}` : 'none'
      await this.mustRun(name, ['up', '--join', bundle, '--nodes', kind, ...this.#addresses(name)])
    }
    const pki = join(this.home('home'), 'pki')
    const [ca, cert, key] = await Promise.all(
      ['ca.crt', 'admin.crt', 'admin.key'].map((file) => readFile(join(pki, file), 'utf8')),
    )
    this.#tls = { ca: ca!, cert: cert!, key: key! }
  }

  home(name: PartitionName): string {
    return this.#homes.get(name)!
  }

  host(name: PartitionName): TestHost {
    return this.network.host(name)
  }

  /** `./centaurus …` on the partition's host, whatever its code. */
  centaurus(name: PartitionName, args: readonly string[]): Promise<Finished> {
    return run([...this.host(name).enter, join(ROOT, 'centaurus'), ...args], {
      timeoutMs: COMMAND_TIMEOUT_MS,
      env: { ...process.env, CENTAURUS_HOME: this.home(name), HOME: this.home(name), NODE_OPTIONS: '' },
    })
  }

  /** Like {@link centaurus}; throws with what it printed and the end of the logs when it fails. */
  async mustRun(name: PartitionName, args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.centaurus(name, args)
    if (code === 0) return stdout
    throw new Error(
      `centaurus ${args.join(' ')} on ${name} ended with ${code}\n${stdout}\n${stderr}\n${await this.logs(name)}`,
    )
  }

  /** One request to the API server of a partition, as administrator. Rejects when nothing answers. */
  async api<T>(
    name: PartitionName,
    method: string,
    path: string,
    { body, contentType }: { readonly body?: unknown; readonly contentType?: string } = {},
  ): Promise<ApiAnswer<T>> {
    const { status, text } = await this.#fetch!.fetch({
      url: `https://${this.host(name).address}:${PORT}${path}`,
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
      contentType,
      tls: this.#tls!,
    })
    return { status, body: (text.startsWith('{') ? JSON.parse(text) : text) as T }
  }

  /** kill -9 of the control plane; its supervisor starts it again. */
  async killControlPlane(name: PartitionName): Promise<void> {
    const record = await readFile(join(this.home(name), 'run/control-plane.json'), 'utf8')
    process.kill((JSON.parse(record) as { pid: number }).pid, 'SIGKILL')
  }

  /** kill -9 of a member of home's etcd. */
  killEtcd(member: string): void {
    this.#etcd.get(member)?.kill('SIGKILL')
    this.#etcd.delete(member)
  }

  startEtcd(member: string): void {
    const host = this.network.host(member)
    const flags = [
      `--name=${member}`,
      `--data-dir=${join(this.#etcdDir, member)}`,
      `--listen-client-urls=https://${host.address}:2379`,
      `--advertise-client-urls=https://${host.address}:2379`,
      `--listen-peer-urls=http://${host.address}:2380`,
      `--initial-advertise-peer-urls=http://${host.address}:2380`,
      ...this.#etcdFlags,
    ]
    const [program, ...args] = [...host.enter, 'etcd', ...flags]
    this.#etcd.set(member, spawn(program!, args, { stdio: 'ignore', env: { PATH: process.env['PATH'] } }))
  }

  /** Copies the embedded store of a partition that is down. */
  async backUp(name: PartitionName): Promise<void> {
    await cp(join(this.home(name), 'store'), join(this.home(name), 'backup'), { recursive: true })
  }

  /** Puts the copy in the place of the store. */
  async restore(name: PartitionName): Promise<void> {
    await rm(join(this.home(name), 'store'), { recursive: true })
    await cp(join(this.home(name), 'backup'), join(this.home(name), 'store'), { recursive: true })
  }

  /** Overwrites the middle of each file of the embedded store of a partition that is down. */
  async damage(name: PartitionName): Promise<void> {
    const dir = join(this.home(name), 'store')
    for (const file of await readdir(dir)) {
      const { size } = await stat(join(dir, file))
      const handle = await open(join(dir, file), 'r+')
      for (let at = 0; at < size; at += DAMAGE_STEP_BYTES) await handle.write(DAMAGE, 0, DAMAGE.length, at)
      await handle.close()
    }
  }

  /** The last lines of what a partition's processes said. */
  async logs(name: PartitionName): Promise<string> {
    const { stdout } = await this.centaurus(name, ['logs', '-n', '30'])
    return stdout
  }

  /** Ends and removes everything. */
  async destroy(): Promise<void> {
    await this.#fetch?.close()
    for (const home of this.#homes.values()) await destroyHome(home)
    for (const child of this.#etcd.values()) child.kill('SIGKILL')
    await waitFor('etcd to end', async () => processesOf(this.#etcdDir).length === 0)
    await rm(this.#etcdDir, { recursive: true, force: true })
    await this.network.remove()
  }

  #addresses(name: PartitionName): string[] {
    const { address } = this.host(name)
    return ['--port', String(PORT), '--advertise', address]
  }

  async #startEtcd(): Promise<string[]> {
    const hosts = ETCD_MEMBERS.map((name) => this.network.host(name))
    const certificates = await writeEtcdCertificates(
      this.#etcdDir,
      hosts.map(({ address }) => address),
    )
    const peers = hosts.map(({ name, address }) => `${name}=http://${address}:2380`)
    this.#etcdFlags = [`--initial-cluster=${peers.join(',')}`, '--unsafe-no-fsync', ...certificates.serverFlags]
    for (const name of ETCD_MEMBERS) this.startEtcd(name)
    const endpoints = hosts.map(({ address }) => `https://${address}:2379`)
    await waitFor('etcd to elect a leader', async () => {
      const health = endpoints.map((endpoint) =>
        this.#fetch!.fetch({ url: `${endpoint}/health`, method: 'GET', tls: certificates.client }),
      )
      return (await Promise.allSettled(health)).every(
        (answer) => answer.status === 'fulfilled' && answer.value.text.includes('"true"'),
      )
    })
    const { ca, cert, key } = certificates.clientFiles
    const files = ['--etcd-ca', ca, '--etcd-cert', cert, '--etcd-key', key]
    return ['--store', 'etcd', '--etcd-endpoints', endpoints.join(','), ...files]
  }
}
