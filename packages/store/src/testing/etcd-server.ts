/** etcd for tests, the one on PATH or what `ETCD` names: members of its own in a directory of its own, on free ports of loopback, gone afterwards. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { openGrpcSession, type EtcdTls } from '../etcd/grpc-session.ts'
import { encodeRange, METHODS } from '../etcd/messages.ts'
import { systemClock } from '@centaurus/base'
import { writeEtcdCertificates } from './etcd-certificates.ts'

const READY_MS_MAX = 20_000
const POLL_MS = 10
const OUTPUT_BYTES_KEPT = 8_000
const CALL_TIMEOUT_MS = 1_000

export interface EtcdServerOptions {
  /** 1 (default) or 3. */
  readonly members?: number | undefined
  /** Serve over TLS, and only clients with a certificate. */
  readonly tls?: boolean | undefined
  /** Flush to disk, as etcd does outside of tests. Default false: the tests do not cut the power. */
  readonly flush?: boolean | undefined
  /** More flags, such as `--quota-backend-bytes=…`. */
  readonly flags?: readonly string[] | undefined
}

export interface EtcdMember {
  readonly endpoint: string
  /** Undefined while it is down. */
  readonly pid: number | undefined
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>
  /** Stops it for a while, as a machine that hangs; resolves when it does nothing any more. */
  freeze(): Promise<void>
  thaw(): void
  /** Starts it again with its data; resolves when it serves. */
  start(): Promise<void>
  /** Removes its data; it must be down. */
  erase(): void
}

export interface EtcdServer {
  readonly endpoints: readonly string[]
  readonly members: readonly EtcdMember[]
  /** What a client needs; undefined without TLS. */
  readonly tls: EtcdTls | undefined
  /** Paths of the same as PEM files. */
  readonly tlsFiles: { readonly ca: string; readonly cert: string; readonly key: string } | undefined
  /** Ends the members and removes their data. */
  close(): Promise<void>
}

/** Why there is no etcd to test with, for `skip`; `false` when there is one. */
export function whyNoEtcd(): string | false {
  if (findEtcd() !== undefined) return false
  return 'there is no etcd on PATH: apt-get install etcd-server'
}

/** Starts etcd; resolves when every member serves. Throws with etcd's own words when it does not. */
export async function startEtcdServer(options: EtcdServerOptions = {}): Promise<EtcdServer> {
  const directory = mkdtempSync(join(tmpdir(), 'centaurus-etcd-'))
  const certificates = options.tls === true ? await writeEtcdCertificates(directory) : undefined
  const count = options.members ?? 1
  const ports = await freePorts(count * 2)
  const scheme = certificates === undefined ? 'http' : 'https'
  const peers = Array.from({ length: count }, (_, i) => `m${i}=http://127.0.0.1:${ports[count + i]}`)
  const members = peers.map(
    (peer, i) =>
      new Member({
        directory,
        name: `m${i}`,
        endpoint: `${scheme}://127.0.0.1:${ports[i]}`,
        peerUrl: peer.slice(peer.indexOf('=') + 1),
        flags: [
          `--initial-cluster=${peers.join(',')}`,
          ...(certificates?.serverFlags ?? []),
          ...(options.flush === true ? [] : ['--unsafe-no-fsync']),
          ...(options.flags ?? []),
        ],
        tls: certificates?.client,
      }),
  )
  const close = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.kill()))
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await Promise.all(members.map((member) => member.start()))
  } catch (error) {
    await close()
    throw error
  }
  const endpoints = members.map(({ endpoint }) => endpoint)
  return { endpoints, members, tls: certificates?.client, tlsFiles: certificates?.clientFiles, close }
}

interface MemberOptions {
  readonly directory: string
  readonly name: string
  readonly endpoint: string
  readonly peerUrl: string
  readonly flags: readonly string[]
  readonly tls: EtcdTls | undefined
}

class Member implements EtcdMember {
  readonly #options: MemberOptions
  #process: ChildProcess | undefined

  constructor(options: MemberOptions) {
    this.#options = options
  }

  get endpoint(): string {
    return this.#options.endpoint
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  async start(): Promise<void> {
    const { directory, name, endpoint, peerUrl, flags } = this.#options
    const args = [
      `--name=${name}`,
      `--data-dir=${join(directory, name)}`,
      `--listen-client-urls=${endpoint}`,
      `--advertise-client-urls=${endpoint}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      '--heartbeat-interval=50',
      '--election-timeout=500',
      '--logger=zap',
      '--log-level=warn',
      ...flags,
    ]
    const child = spawn(etcdProgram(), args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-OUTPUT_BYTES_KEPT)))
    }
    child.on('error', (error) => (output += error.message))
    child.once('exit', () => {
      if (this.#process === child) this.#process = undefined
    })
    const deadline = performance.now() + READY_MS_MAX
    while (!(await this.#serves())) {
      if (this.#process !== child) throw new Error(`Cannot start etcd: it ended\n${output}`)
      if (performance.now() > deadline) throw new Error(`Cannot start etcd: it does not serve\n${output}`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  async kill(): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  async freeze(): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    child.kill('SIGSTOP')
    while (!isStopped(child.pid!)) await new Promise((resolve) => setImmediate(resolve))
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  erase(): void {
    const { directory, name } = this.#options
    rmSync(join(directory, name), { recursive: true })
  }

  /** Whether it answers a linearizable read: then it has a leader. */
  async #serves(): Promise<boolean> {
    try {
      const { endpoint, tls } = this.#options
      const session = await openGrpcSession({ endpoint, tls, clock: systemClock })
      try {
        await session.unary(METHODS.range, encodeRange({ key: '/' }), CALL_TIMEOUT_MS)
        return true
      } finally {
        session.destroy('it was only asked whether it serves')
      }
    } catch {
      return false
    }
  }
}

/** Whether each thread is. Source: proc_pid_stat(5), field 3. */
function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T')
  })
}

/** The program that tests start: what `ETCD` names, else the first on PATH. */
export function etcdProgram(): string {
  return findEtcd() ?? 'etcd'
}

function findEtcd(): string | undefined {
  const wanted = process.env['ETCD']
  if (wanted !== undefined) {
    if (!isProgram(wanted)) throw new Error(`Cannot test with ETCD=${wanted}: it is no program`)
    return wanted
  }
  const dirs = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/local/bin']
  return dirs.map((dir) => join(dir, 'etcd')).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Ports that were all free at one moment: etcd must know its own before it starts. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}
