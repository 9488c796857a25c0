import { spawn, type ChildProcess } from 'node:child_process'
import { cp, mkdir, mkdtemp, open, readdir, readFile, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { etcdProgram, writeEtcdCertificates } from '@centaurus/store/testing'
import { ROOT } from './cluster.ts'
import { startHostFetch, type ClientTls, type HostAnswer, type HostFetch } from './host-fetch.ts'
import { destroyHome, homePrefix, sweepLeftovers } from './leftovers.ts'
import { mustRun, run, waitFor, type Finished } from './processes.ts'
import { createTestNetwork, type TestHost, type TestNetwork } from './test-hosts.ts'

const PORT = 6443
const COMMAND_TIMEOUT_MS = 90_000
const GATEWAY_PORT = 8443
const MAIN = join(ROOT, 'apps/centaurus/src/main.ts')
export const ETCD_MEMBERS = ['etcd0', 'etcd1', 'etcd2'] as const
/** Without `--pre-vote`, which is etcd's default since 3.5, a member that hears nothing has the others elect again and again. */
const ETCD_FLAGS = ['--unsafe-no-fsync', '--pre-vote']
export const GATEWAYS = ['gw0', 'gw1'] as const
/** `home` is a tenant partition here as well. */
export const PARTITIONS = ['home', 'tp1', 'rp0', 'rp1'] as const
/** Partitions whose stores are on disks of their own, which can be filled. */
export const PARTITIONS_WITH_DISKS = ['tp1', 'rp1'] as const
const DISK_MEGABYTES = 96
const FILLER = 'filler'
const FILL_BYTES = 1024 * 1024

export type PartitionName = (typeof PARTITIONS)[number]
export type MemberName = (typeof ETCD_MEMBERS)[number]
export type GatewayName = (typeof GATEWAYS)[number]
/** Any machine of the cluster that something can happen to. */
export type HostName = PartitionName | MemberName | GatewayName
/** Who asks: an operator, or the administrator of a tenant. */
export type Caller = { readonly tenant: string } | 'operator'

/** An answer of an API server. */
export interface ApiAnswer<T> extends Pick<HostAnswer, 'status' | 'asksAgain'> {
  readonly body: T
}

export interface ApiRequest {
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly contentType?: string | undefined
}

export interface WatchOptions<T> {
  readonly path: string
  readonly onEvent: (event: T) => void
  readonly signal: AbortSignal
}

interface Dirs {
  readonly homes: ReadonlyMap<PartitionName, string>
  readonly gateways: ReadonlyMap<GatewayName, string>
  readonly etcd: string
}

/**
 * A cluster of four partitions, each on a host of its own: `home` (tenants, the registry; its store is an etcd of three members, each on
 * a host of its own too), `tp1` (tenants), `rp0` and `rp1` (simulated nodes). Two gateways, on hosts of their own as well.
 */
export class PartitionHosts {
  readonly network: TestNetwork
  readonly #homes: ReadonlyMap<PartitionName, string>
  readonly #etcdDir: string
  readonly #gatewayHomes: ReadonlyMap<GatewayName, string>
  /** Members of etcd and gateways that run. */
  readonly #processes = new Map<string, ChildProcess>()
  readonly #tenants = new Map<string, ClientTls>()
  #etcdFlags: readonly string[] = []
  #fetch: HostFetch | undefined
  #tls: ClientTls | undefined

  private constructor(network: TestNetwork, dirs: Dirs) {
    this.network = network
    this.#homes = dirs.homes
    this.#gatewayHomes = dirs.gateways
    this.#etcdDir = dirs.etcd
  }

  /** Hosts and folders; nothing runs. */
  static async create(label: string): Promise<PartitionHosts> {
    await sweepLeftovers()
    const network = await createTestNetwork(label, [...PARTITIONS, ...ETCD_MEMBERS, ...GATEWAYS, 'admin'])
    const homes = new Map<PartitionName, string>()
    for (const name of PARTITIONS) homes.set(name, await mkdtemp(homePrefix(`${label}-${name}`)))
    const gateways = new Map<GatewayName, string>()
    for (const name of GATEWAYS) gateways.set(name, await mkdtemp(homePrefix(`${label}-${name}`)))
    for (const name of PARTITIONS_WITH_DISKS) {
      const store = join(homes.get(name)!, 'store')
      await mkdir(store)
      await mustRun(['mount', '-t', 'tmpfs', '-o', `size=${DISK_MEGABYTES}m`, 'tmpfs', store])
    }
    const hosts = new PartitionHosts(network, { homes, gateways, etcd: await mkdtemp(homePrefix(`${label}-etcd`)) })
    hosts.#fetch = startHostFetch(network.host('admin'))
    return hosts
  }

  /** Starts everything: etcd, the home partition, the others as on machines of their own. */
  async up({ nodes }: { readonly nodes: number }): Promise<void> {
    const etcd = await this.#startEtcd()
    await this.mustRun('home', ['up', '--nodes', 'none', ...this.#addresses('home'), ...etcd])
    const others = PARTITIONS.slice(1)
    for (const name of others) {
      await this.mustRun('home', [
        'partition',
        'add',
        name,
        '--roles',
        roleOf(name),
        '--join-bundle',
        this.#bundle(name),
      ])
    }
    const pki = join(this.home('home'), 'pki')
    const [ca, cert, key] = await Promise.all(
      ['ca.crt', 'admin.crt', 'admin.key'].map((file) => readFile(join(pki, file), 'utf8')),
    )
    this.#tls = { ca: ca!, cert: cert!, key: key! }
    await Promise.all([this.#addGateways(), ...others.map((name) => this.#join(name, nodes))])
  }

  /** A tenant that lives in `partition`, whose administrator may call from now on. */
  async addTenant(tenant: string, partition: PartitionName): Promise<void> {
    await this.mustRun('home', ['tenant', 'create', tenant, '--partition', partition])
    const kubeconfig = await this.mustRun('home', ['tenant', 'kubeconfig', tenant])
    const [cert, key] = ['certificate', 'key'].map((what) => {
      const data = new RegExp(`client-${what}-data: (\\S+)`).exec(kubeconfig)?.[1] ?? ''
      return Buffer.from(data, 'base64').toString()
    })
    this.#tenants.set(tenant, { ca: this.#tls!.ca, cert, key })
  }

  home(name: PartitionName): string {
    return this.#homes.get(name)!
  }

  /** What {@link backUp} made. */
  backupOf(name: PartitionName): string {
    return join(this.home(name), 'backup')
  }

  /** Folder of its embedded store. */
  storeOf(name: PartitionName): string {
    return join(this.home(name), 'store')
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
  api<T>(
    name: PartitionName,
    method: string,
    path: string,
    more: Pick<ApiRequest, 'body' | 'contentType'> = {},
  ): Promise<ApiAnswer<T>> {
    return this.#ask(`https://${this.host(name).address}:${PORT}`, { method, path, ...more }, this.#tls!)
  }

  /** One request through a gateway. Rejects when nothing answers. */
  through<T>(gateway: GatewayName, caller: Caller, request: ApiRequest): Promise<ApiAnswer<T>> {
    return this.#ask(this.#gatewayUrl(gateway), request, this.#credentials(caller))
  }

  /** A watch through a gateway; resolves to its status when it ends, rejects when it breaks off. */
  watch<T>(gateway: GatewayName, caller: Caller, options: WatchOptions<T>): Promise<number> {
    const { path, onEvent, signal } = options
    const url = this.#gatewayUrl(gateway) + path
    const onLine = (line: string): void => onEvent(JSON.parse(line) as T)
    return this.#fetch!.watch({ url, method: 'GET', tls: this.#credentials(caller) }, { onLine, signal })
  }

  /** kill -9 of a control plane, which its supervisor starts again; or of a member of etcd or a gateway, which stay away until {@link start}. */
  async kill(name: HostName): Promise<void> {
    await this.signal(name, 'SIGKILL')
    this.#processes.delete(name)
  }

  /** Starts a member of etcd, or a gateway. */
  start(name: MemberName | GatewayName): void {
    const host = this.network.host(name)
    const home = this.#gatewayHomes.get(name as GatewayName)
    const command =
      home === undefined ? [etcdProgram(), ...this.#memberFlags(name)] : [process.execPath, MAIN, 'gateway-server']
    const [program, ...args] = [...host.enter, ...command]
    const env = { PATH: process.env['PATH'], ...(home === undefined ? {} : { CENTAURUS_HOME: home, HOME: home }) }
    this.#processes.set(name, spawn(program!, args, { stdio: 'ignore', env }))
  }

  /** Sends a signal to a control plane, a member of etcd or a gateway. One that has ended gets none. */
  async signal(name: HostName, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const home = this.#homes.get(name as PartitionName)
    if (home === undefined) return void this.#processes.get(name)?.kill(signal)
    const record = await readFile(join(home, 'run/control-plane.json'), 'utf8')
    process.kill((JSON.parse(record) as { pid: number }).pid, signal)
  }

  /** Leaves no room on the disk of a partition's store. */
  async fillDisk(name: (typeof PARTITIONS_WITH_DISKS)[number]): Promise<void> {
    const filler = await open(join(this.storeOf(name), FILLER), 'w')
    try {
      for (const bytes of [FILL_BYTES, 4096]) await writeUntilFull(filler, Buffer.alloc(bytes))
    } finally {
      await filler.close()
    }
  }

  async emptyDisk(name: (typeof PARTITIONS_WITH_DISKS)[number]): Promise<void> {
    await rm(join(this.storeOf(name), FILLER), { force: true })
  }

  /** Copies the embedded store of a partition that is down. */
  async backUp(name: PartitionName): Promise<void> {
    await cp(this.storeOf(name), this.backupOf(name), { recursive: true })
  }

  /** Puts the copy in the place of the store. */
  async restore(name: PartitionName): Promise<void> {
    // The folder itself may be the root of a disk.
    for (const file of await readdir(this.storeOf(name))) await rm(join(this.storeOf(name), file))
    await cp(this.backupOf(name), this.storeOf(name), { recursive: true })
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
    for (const home of [...this.#gatewayHomes.values(), this.#etcdDir]) await destroyHome(home)
    await this.network.remove()
  }

  async #ask<T>(server: string, request: ApiRequest, tls: ClientTls): Promise<ApiAnswer<T>> {
    const { method, path, body, contentType } = request
    const json = body === undefined ? undefined : JSON.stringify(body)
    const { status, text, asksAgain } = await this.#fetch!.fetch({
      url: server + path,
      method,
      body: json,
      contentType,
      tls,
    })
    return { status, asksAgain, body: (text.startsWith('{') ? JSON.parse(text) : text) as T }
  }

  #gatewayUrl(name: GatewayName): string {
    return `https://${this.network.host(name).address}:${GATEWAY_PORT}`
  }

  #credentials(caller: Caller): ClientTls {
    return caller === 'operator' ? this.#tls! : this.#tenants.get(caller.tenant)!
  }

  #bundle(name: PartitionName): string {
    return join(this.home(name), 'join.json')
  }

  async #join(name: PartitionName, nodes: number): Promise<void> {
    const kind = roleOf(name) === 'resource' ? `simulated:${nodes}` : 'none'
    await this.mustRun(name, ['up', '--join', this.#bundle(name), '--nodes', kind, ...this.#addresses(name)])
  }

  /** Makes the gateways' folders at home, and takes them to their own hosts. */
  async #addGateways(): Promise<void> {
    const flags = ['--port', String(GATEWAY_PORT)]
    for (const [name, own] of this.#gatewayHomes) {
      await this.mustRun('home', ['gateway', ...flags, '--advertise', this.network.host(name).address])
      await cp(join(this.home('home'), 'gateways', String(GATEWAY_PORT)), own, { recursive: true })
      await this.mustRun('home', ['gateway', ...flags, '--remove'])
      this.start(name)
    }
  }

  #memberFlags(member: string): string[] {
    const { address } = this.network.host(member)
    return [
      `--name=${member}`,
      `--data-dir=${join(this.#etcdDir, member)}`,
      `--listen-client-urls=https://${address}:2379`,
      `--advertise-client-urls=https://${address}:2379`,
      `--listen-peer-urls=http://${address}:2380`,
      `--initial-advertise-peer-urls=http://${address}:2380`,
      ...this.#etcdFlags,
    ]
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
    this.#etcdFlags = [`--initial-cluster=${peers.join(',')}`, ...ETCD_FLAGS, ...certificates.serverFlags]
    for (const name of ETCD_MEMBERS) this.start(name)
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

function roleOf(name: PartitionName): 'tenant' | 'resource' {
  return name.startsWith('rp') ? 'resource' : 'tenant'
}

async function writeUntilFull(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (;;) {
    try {
      await file.write(bytes)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return
      throw error
    }
  }
}
