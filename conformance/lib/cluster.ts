import { existsSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { bundledTool, type BundledMinor } from '../../apps/centaurus/src/bundled-kubectl.ts'
import { destroyHome, homePrefix, mountsUnder, processesOf, sweepLeftovers } from './leftovers.ts'
import { createNetworkNamespace, type NetworkNamespace } from './network-namespace.ts'
import { mustRun, run, start, waitFor, type Finished, type RunOptions } from './processes.ts'

export const ROOT = join(import.meta.dirname, '../..')

const RESET_TIMEOUT_MS = 60_000
const COMMAND_TIMEOUT_MS = 60_000
const INSTALL_TIMEOUT_MS = 300_000

/** Clusters to take away when the test is told to stop. */
const interrupted = new Set<TestCluster>()

function removeWhenInterrupted(cluster: TestCluster): void {
  if (interrupted.size === 0) {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(
        signal,
        () => void Promise.allSettled([...interrupted].map((one) => one.destroy())).then(() => process.exit(1)),
      )
    }
  }
  interrupted.add(cluster)
}

/** All have defaults. */
export interface TestClusterOptions {
  /** Checkout whose `./centaurus` runs; this one by default. */
  readonly root?: string
  /** Command that runs `./centaurus`, such as one that changes the user. */
  readonly prefix?: readonly string[]
  /** Where it runs; goes with the cluster. By default one of its own, for root. */
  readonly network?: NetworkNamespace
}

/** A cluster that `./centaurus` runs for a test, and the clients that use it. */
export class TestCluster {
  readonly home: string
  readonly network: NetworkNamespace | undefined
  readonly #root: string
  readonly #prefix: readonly string[]

  private constructor(
    parts: Pick<TestCluster, 'home' | 'network'> & Required<Pick<TestClusterOptions, 'root' | 'prefix'>>,
  ) {
    this.home = parts.home
    this.network = parts.network
    this.#root = parts.root
    this.#prefix = parts.prefix
  }

  /** A home and, as root, a network namespace. Nothing runs yet: see {@link up}. */
  static async create(label: string, options: TestClusterOptions = {}): Promise<TestCluster> {
    const { root = ROOT, prefix = [] } = options
    await sweepLeftovers()
    const home = await mkdtemp(homePrefix(label))
    const network = options.network ?? (process.getuid?.() === 0 ? await createNetworkNamespace(label) : undefined)
    const cluster = new TestCluster({ home, network, root, prefix: [...(network?.enter ?? []), ...prefix] })
    removeWhenInterrupted(cluster)
    // The network of the test leads nowhere: what the launcher must fetch it fetches before.
    if (root === ROOT)
      await run([join(ROOT, 'centaurus'), 'status'], { env: cluster.#env, timeoutMs: INSTALL_TIMEOUT_MS })
    return cluster
  }

  get kubeconfig(): string {
    return join(this.home, 'kubeconfig')
  }

  get #env(): NodeJS.ProcessEnv {
    return { ...process.env, CENTAURUS_HOME: this.home, KUBECONFIG: this.kubeconfig, HOME: this.home, NODE_OPTIONS: '' }
  }

  /** `./centaurus …`, whatever its code. */
  centaurus(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return run([...this.#prefix, join(this.#root, 'centaurus'), ...args], {
      timeoutMs: COMMAND_TIMEOUT_MS,
      ...options,
      env: { ...this.#env, ...options.env },
    })
  }

  /** `./centaurus …`; throws when it fails. */
  mustCentaurus(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return mustRun([...this.#prefix, join(this.#root, 'centaurus'), ...args], {
      timeoutMs: COMMAND_TIMEOUT_MS,
      ...options,
      env: this.#env,
    })
  }

  async up(...args: string[]): Promise<string> {
    return this.mustCentaurus(['up', ...args])
  }

  /** Output of a kubectl that must succeed. */
  kubectl(args: string | readonly string[], options: RunOptions & { minor?: BundledMinor } = {}): Promise<string> {
    return mustRun(this.#tool('kubectl', args, options.minor), { ...options, env: this.#env, cwd: ROOT })
  }

  /** A kubectl that may fail. */
  tryKubectl(args: string | readonly string[], options: RunOptions & { minor?: BundledMinor } = {}): Promise<Finished> {
    return run(this.#tool('kubectl', args, options.minor), { ...options, env: this.#env, cwd: ROOT })
  }

  /** Applies objects; see {@link kubectl}. */
  apply(...objects: readonly object[]): Promise<string> {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })
    return this.kubectl('apply -f -', { input })
  }

  /** A shell command in a container of a pod; its standard output. */
  exec(pod: string, script: string): Promise<string> {
    return this.kubectl(['exec', ...pod.split(' '), '--', 'sh', '-c', script])
  }

  /** A kubectl that goes on, such as `port-forward`; end it with `kill`. */
  startKubectl(args: string | readonly string[], minor?: BundledMinor): ChildProcess {
    return start(this.#tool('kubectl', args, minor), { env: this.#env, cwd: ROOT })
  }

  helm(args: readonly string[], minor?: BundledMinor): Promise<string> {
    return mustRun(this.#tool('helm', args, minor), { env: this.#env, cwd: ROOT })
  }

  /** Runs a command in the cluster's network. */
  inNetwork(command: readonly string[], options: RunOptions = {}): Promise<string> {
    return mustRun([...(this.network?.enter ?? []), ...command], options)
  }

  async json<T>(args: string): Promise<T> {
    return JSON.parse(await this.kubectl(`${args} -o json`)) as T
  }

  /** Waits until a kubectl's output (of a successful run) satisfies `accept`. */
  async eventually(args: string, accept: (stdout: string) => boolean, timeoutMs = 60_000): Promise<string> {
    let last: Finished | undefined
    return waitFor(
      `kubectl ${args}`,
      async () => {
        last = await this.tryKubectl(args)
        return last.code === 0 && accept(last.stdout) ? last.stdout : undefined
      },
      { timeoutMs, describe: async () => `${last?.stdout}\n${last?.stderr}\n${await this.diagnose()}` },
    )
  }

  /** What a person would look at first when something hangs. */
  async diagnose(): Promise<string> {
    const parts = [
      await this.tryKubectl('get pods -A -o wide'),
      await this.tryKubectl('get events -A --sort-by=.metadata.creationTimestamp'),
      await this.centaurus(['logs', '-n', '40']),
    ]
    return parts.map(({ stdout, stderr }) => stdout.slice(-6000) + stderr.slice(-1000)).join('\n')
  }

  /**
   * Ends and deletes everything that the test made. Throws when `./centaurus reset` failed or left something behind, after
   * having taken that away.
   */
  async remove(): Promise<void> {
    const { code, stdout, stderr } = await this.centaurus(['reset', '--yes'], { timeoutMs: RESET_TIMEOUT_MS })
    const left = [...processesOf(this.home), ...mountsUnder(this.home), ...(existsSync(this.home) ? [this.home] : [])]
    await this.destroy()
    if (code !== 0 || left.length > 0) {
      throw new Error(`reset ended with ${code} and left ${left.join(', ') || 'nothing'}\n${stdout}\n${stderr}`)
    }
  }

  /** Takes everything away without asking the cluster. */
  async destroy(): Promise<void> {
    await destroyHome(this.home)
    await this.network?.remove()
    interrupted.delete(this)
  }

  /** The command line of a kubectl in the cluster's network, for tests that wrap it. */
  kubectlCommand(args: string | readonly string[]): string[] {
    return ['env', `KUBECONFIG=${this.kubeconfig}`, ...this.#tool('kubectl', args, undefined)]
  }

  #tool(tool: 'kubectl' | 'helm', args: string | readonly string[], minor: BundledMinor | undefined): string[] {
    const list = typeof args === 'string' ? args.split(' ').filter((word) => word !== '') : args
    return [...(this.network?.enter ?? []), bundledTool(tool, minor), ...list]
  }
}

/** Why real containers can't be tested here; false when they can. For `describe(…, { skip })`. */
export function whyNoRoot(): string | false {
  return process.getuid?.() === 0 ? false : 'not root: real containers need it'
}
