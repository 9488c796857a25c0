import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { containerConfig, execute, type ContainerRun, type Volumes } from './container.ts'

const COMMAND_MS = 20_000
const LOOK_MS = 100

/** A pod of containers that run the guests on one kernel. {@link Pod.stop} removes it. Needs root. */
export class Pod {
  readonly #folder = mkdtempSync(join(tmpdir(), 'pod-'))
  readonly #options: { readonly runtime: string; readonly guests: string; readonly volumes?: Volumes }
  readonly #hostNetwork: boolean
  readonly #names: string[] = []

  /** `guests` is the guests' static binary, `/guests` in each container. */
  constructor(
    options: { readonly runtime: string; readonly guests: string; readonly volumes?: Volumes },
    hostNetwork = false,
  ) {
    this.#options = options
    this.#hostNetwork = hostNetwork
    chmodSync(this.#folder, 0o755)
  }

  /** Creates and starts a container, with `linux.resources`; the first is the pod's sandbox, on whose kernel the others run. Throws when the runtime refuses. */
  async start(name: string, args: readonly string[], resources: object = {}): Promise<void> {
    const bundle = join(this.#folder, name)
    const rootfs = join(bundle, 'rootfs')
    for (const folder of ['tmp', 'proc', 'dev', 'sys', 'etc']) mkdirSync(join(rootfs, folder), { recursive: true })
    copyFileSync(this.#options.guests, join(rootfs, 'guests'))
    chmodSync(join(rootfs, 'guests'), 0o755)
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(this.#config(args, resources)))
    this.#names.push(name)
    const output = join(bundle, 'output')
    const create = ['sh', '-c', 'exec "$@" >"$0" 2>&1', output, this.#options.runtime, ...this.#root()]
    const created = await execute(
      create[0] ?? '',
      [...create.slice(1), 'create', '--bundle', bundle, this.#id(name)],
      COMMAND_MS,
    )
    if (created.status !== 0) throw new Error(`Cannot create ${name}: ${created.output}${this.output(name)}`)
    const started = await this.#run(['start', this.#id(name)])
    if (started.status !== 0) throw new Error(`Cannot start ${name}: ${started.output}`)
  }

  /** Runs the guests in a container that is there. */
  exec(name: string, args: readonly string[], timeoutMs: number): Promise<ContainerRun> {
    return execute(this.#options.runtime, [...this.#root(), 'exec', this.#id(name), '/guests', ...args], timeoutMs)
  }

  /** Runs the guests as a container of their own to their end: what they wrote. Throws when they take much longer than `timeoutMs`. */
  async runToEnd(name: string, args: readonly string[], timeoutMs: number, resources: object = {}): Promise<string> {
    await this.start(name, args, resources)
    for (
      let waited = 0;
      !(await this.#run(['state', this.#id(name)])).output.includes('"stopped"');
      waited += LOOK_MS
    ) {
      if (waited > timeoutMs) throw new Error(`${name} does not end: ${this.output(name)}`)
      await setTimeout(LOOK_MS)
    }
    return this.output(name)
  }

  /** What a container has written so far. */
  output(name: string): string {
    return readFileSync(join(this.#folder, name, 'output'), 'utf8')
  }

  /** What the runtime and the kernel have logged. */
  log(): string {
    try {
      return readFileSync(join(this.#folder, 'log'), 'utf8')
    } catch {
      return ''
    }
  }

  /** The host's pid for a container: the first's is the kernel's. */
  async pid(name: string): Promise<number> {
    const { output } = await this.#run(['state', this.#id(name)])
    const state: unknown = JSON.parse(output)
    if (typeof state !== 'object' || state === null || !('pid' in state)) throw new Error(`No state: ${output}`)
    return Number(state.pid)
  }

  /** Kills a container; the runtime's exit status, 0 when it is gone. */
  async remove(name: string): Promise<number | undefined> {
    const { status } = await this.#run(['delete', '--force', this.#id(name)])
    this.#names.splice(this.#names.indexOf(name), 1)
    return status
  }

  async stop(): Promise<void> {
    for (const name of [...this.#names].reverse()) await this.remove(name)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #config(args: readonly string[], resources: object) {
    const first = this.#names.length === 0
    const config = containerConfig({ args, ...(this.#options.volumes && { volumes: this.#options.volumes }) })
    const namespaces = config.linux.namespaces.filter(({ type }) => !this.#hostNetwork || type !== 'network')
    const annotations = {
      'io.kubernetes.cri.container-type': first ? 'sandbox' : 'container',
      'io.kubernetes.cri.sandbox-id': this.#id(this.#names[0] ?? 'none'),
    }
    return { ...config, linux: { ...config.linux, namespaces, resources }, annotations }
  }

  #id(name: string): string {
    return `${this.#folder.slice(this.#folder.lastIndexOf('/') + 1)}-${name}`
  }

  #root(): string[] {
    return ['--root', join(this.#folder, 'state'), '--log', join(this.#folder, 'log')]
  }

  #run(args: readonly string[]): Promise<ContainerRun> {
    return execute(this.#options.runtime, [...this.#root(), ...args], COMMAND_MS)
  }
}
