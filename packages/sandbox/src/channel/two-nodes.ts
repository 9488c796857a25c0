import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { containerConfig, execute } from '../cases/container.ts'

const COMMAND_MS = 30_000
const LOOK_MS = 50
const WAIT_MS = 30_000

/** A pod by name: the node that it is on, and its address. */
export const PODS = {
  client: { node: 1, address: '10.77.1.2' },
  neighbour: { node: 1, address: '10.77.1.3' },
  far: { node: 2, address: '10.77.2.2' },
} as const
export type PodName = keyof typeof PODS

/** From one pod to ports of another. */
export interface Flow {
  readonly from: PodName
  readonly to: PodName
  readonly ports: readonly (readonly [first: number, last: number])[]
}

const NETWORK = 5
const identityOf = (name: PodName): number => 300 + Object.keys(PODS).indexOf(name)
const serviceOf = (node: number): string => `192.168.77.${node}:7788`

/**
 * Two nodes with pods, in network namespaces that a wire connects. Pods reach each other by the nodes' networks only while `forward(true)` holds;
 * channels are what `plan` says. {@link TwoNodes.stop} removes all of it. Needs root.
 */
export class TwoNodes {
  readonly #folder = mkdtempSync(join(tmpdir(), 'nodes-'))
  readonly #names = ['node1', 'node2', ...Object.keys(PODS)]
  readonly #services = new Map<number, ChildProcess>()
  readonly #controls = new Map<number, Socket>()
  #flows: readonly Flow[] = []
  readonly #containers: string[] = []
  readonly #options: { readonly quark: string; readonly guests: string }

  constructor(options: { readonly quark: string; readonly guests: string }) {
    this.#options = options
    chmodSync(this.#folder, 0o755)
    for (const name of this.#names) {
      ip(`netns add ${this.#netns(name)}`)
      this.#in(name, 'ip link set lo up')
    }
    ip(`link add one netns ${this.#netns('node1')} type veth peer name two netns ${this.#netns('node2')}`)
    for (const [node, device] of [
      [1, 'one'],
      [2, 'two'],
    ] as const) {
      this.#in(`node${node}`, `ip addr add 192.168.77.${node}/24 dev ${device}`)
      this.#in(`node${node}`, `ip link set ${device} up`)
      this.#in(`node${node}`, 'ip link add pods type bridge')
      this.#in(`node${node}`, `ip addr add 10.77.${node}.1/24 dev pods`)
      this.#in(`node${node}`, 'ip link set pods up')
      this.#in(`node${node}`, `ip route add 10.77.${3 - node}.0/24 via 192.168.77.${3 - node}`)
    }
    for (const [name, { node, address }] of Object.entries(PODS)) {
      const wire = `link add ${name} netns ${this.#netns(`node${node}`)} type veth peer name eth0 netns ${this.#netns(name)}`
      ip(wire)
      this.#in(`node${node}`, `ip link set ${name} master pods up`)
      this.#in(name, `ip addr add ${address}/24 dev eth0`)
      this.#in(name, 'ip link set eth0 up')
      this.#in(name, `ip route add default via 10.77.${node}.1`)
    }
    this.forward(false)
  }

  /** Whether the nodes' networks carry what pods send: between nodes, and between pods of one. */
  forward(on: boolean): void {
    for (const node of [1, 2]) this.#in(`node${node}`, `sysctl -qw net.ipv4.ip_forward=${on ? 1 : 0}`)
    for (const [name, { node }] of Object.entries(PODS))
      this.#in(`node${node}`, `bridge link set dev ${name} isolated ${on ? 'off' : 'on'}`)
  }

  /** Starts a node's service, which is told the last plan. */
  async serve(node: number): Promise<void> {
    const [socket, control] = [this.#socket(node), join(this.#folder, `control${node}.sock`)]
    rmSync(control, { force: true })
    const places = ['--listen', serviceOf(node), '--control', control, '--socket', socket]
    const command = [this.#options.quark, ...this.#root(), 'channel', ...places]
    const child = spawn('ip', ['netns', 'exec', this.#netns(`node${node}`), ...command], { stdio: 'inherit' })
    this.#services.set(node, child)
    await until(`the service of node ${node}`, () => existsSync(control))
    const connection = connect(control)
    await once(connection, 'connect')
    connection.on('error', () => {}).resume()
    this.#controls.set(node, connection)
    this.plan(this.#flows)
  }

  /** Kills a node's service. */
  kill(node: number): void {
    this.#services.get(node)?.kill('SIGKILL')
    this.#services.delete(node)
    this.#controls.delete(node)
  }

  /** Leaves a node's service alone: nobody tells it anything any more. */
  leave(node: number): void {
    this.#controls.get(node)?.destroy()
    this.#controls.delete(node)
  }

  /** Tells both services what may be a channel. */
  plan(flows: readonly Flow[]): void {
    this.#flows = flows
    for (const [node, control] of this.#controls) {
      const here = Object.entries(PODS).filter(([, pod]) => pod.node === node)
      const pods = here.map(([name, { address }], set) => {
        const sender = { network: NETWORK, identity: identityOf(name as PodName), isolated: false }
        return [address, { sandbox: this.#id(name), ...sender, set }] as const
      })
      const sets = here.map(([name]) => ({
        others: [],
        peers: flows
          .filter(({ to }) => to === name)
          .map(({ from, ports }) => ({ identities: [identityOf(from)], ports })),
      }))
      const other = 3 - node
      const nodes = [{ service: serviceOf(other), blocks: [`10.77.${other}.0/24`] }]
      control.write(`${JSON.stringify({ pods: Object.fromEntries(pods), sets, nodes })}\n`)
    }
  }

  /** Starts a pod that runs the guests. */
  async start(name: PodName, args: readonly string[]): Promise<void> {
    const bundle = join(this.#folder, name)
    const rootfs = join(bundle, 'rootfs')
    for (const folder of ['tmp', 'proc', 'dev', 'sys', 'etc']) mkdirSync(join(rootfs, folder), { recursive: true })
    copyFileSync(this.#options.guests, join(rootfs, 'guests'))
    chmodSync(join(rootfs, 'guests'), 0o755)
    const config = containerConfig({ args })
    const namespaces = config.linux.namespaces.map((namespace) =>
      namespace.type === 'network' ? { ...namespace, path: `/run/netns/${this.#netns(name)}` } : namespace,
    )
    writeFileSync(join(bundle, 'config.json'), JSON.stringify({ ...config, linux: { namespaces } }))
    this.#containers.push(name)
    const flags = [...this.#root(), '--channel', this.#socket(PODS[name].node)]
    const create = [this.#options.quark, ...flags, 'create', '--bundle', bundle, this.#id(name)]
    const shell = ['-c', 'exec "$@" >"$0" 2>&1', join(bundle, 'output'), ...create]
    const created = await execute('sh', shell, COMMAND_MS)
    if (created.status !== 0) throw new Error(`Cannot create ${name}: ${this.output(name)}`)
    const started = await execute(this.#options.quark, [...this.#root(), 'start', this.#id(name)], COMMAND_MS)
    if (started.status !== 0) throw new Error(`Cannot start ${name}: ${started.output}`)
  }

  /** Runs the guests in a pod that is there: what they wrote. */
  async run(name: PodName, args: readonly string[], timeoutMs = COMMAND_MS): Promise<string> {
    const command = [...this.#root(), 'exec', this.#id(name), '/guests', ...args]
    return (await execute(this.#options.quark, command, timeoutMs)).output.trim()
  }

  /** What a pod's first container has written. */
  output(name: PodName): string {
    return readFileSync(join(this.#folder, name, 'output'), 'utf8')
  }

  /** How many bytes a pod has sent by its device. */
  sentBytes(name: PodName): number {
    return Number(this.#in(name, 'cat /sys/class/net/eth0/statistics/tx_bytes'))
  }

  async stop(): Promise<void> {
    for (const name of this.#containers)
      await execute(this.#options.quark, [...this.#root(), 'delete', '--force', this.#id(name)], COMMAND_MS)
    for (const control of this.#controls.values()) control.destroy()
    for (const node of this.#services.keys()) this.kill(node)
    for (const name of this.#names) ip(`netns del ${this.#netns(name)}`)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #in(name: string, command: string): string {
    return execFileSync('ip', ['netns', 'exec', this.#netns(name), ...command.split(' ')], { encoding: 'utf8' })
  }

  #netns(name: string): string {
    return `${this.#folder.slice(-6)}-${name}`
  }

  #id(name: string): string {
    return `${this.#folder.slice(-6)}-${name}`
  }

  #socket(node: number): string {
    return join(this.#folder, `node${node}.sock`)
  }

  #root(): string[] {
    return ['--root', join(this.#folder, 'state'), '--log', join(this.#folder, 'log')]
  }
}

function ip(command: string): void {
  execFileSync('ip', command.split(' '))
}

/** Waits, with a generous limit, until the condition holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const start = performance.now()
  while (!(await holds())) {
    if (performance.now() - start > WAIT_MS) throw new Error(`Waited in vain for ${what}`)
    await setTimeout(LOOK_MS)
  }
}
