import { spawn } from 'node:child_process'
import { readdirSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { benchResult, type BenchContext, type BenchResult } from '../harness/bench.ts'
import { median, percentile } from '../harness/measure.ts'
import { fillHostRoot } from './host-root.ts'
import { proportionalKib, treeOf } from './memory.ts'
import { runCommand } from './run.ts'
import { writeBundle, type Runtime } from './runtimes.ts'
import { ask, awaitServer, openNetwork, SERVERS, type Network, type Server } from './servers.ts'

const CYCLES = 100
const CYCLES_QUICK = 10
const TIMEOUT_MS = 60_000
/** What has been started is at rest after that. */
const REST_MS = 500

/** A pod that runs, and how it is told to do something. */
export interface Pod {
  readonly server: Server
  readonly address: string
  /** The kernel's. */
  readonly pid: number
  readonly disk: string
  /** From `create` to its first answer. */
  readonly startMs: number
  quark(verb: string, ...args: string[]): Promise<void>
}

/** Servers that sleep: what they take on disk and in memory, and how long the first answer takes, against an awake one's and a new one's. */
export async function measureHibernate(
  context: BenchContext,
  [quark]: readonly [Runtime, ...Runtime[]],
): Promise<BenchResult[]> {
  const network = openNetwork()
  try {
    const results: BenchResult[] = []
    for (const server of SERVERS) {
      context.log(`hibernate: ${server.name}`)
      results.push(
        ...(await withPod({ directory: context.directory, quark, server, network }, (pod) => measurePod(context, pod))),
      )
    }
    return results
  } finally {
    network.close()
  }
}

/** Runs a server in a pod for as long as `use` takes. */
export async function withPod<T>(
  options: {
    readonly directory: string
    readonly quark: Runtime
    readonly server: Server
    readonly network: Network
  },
  use: (pod: Pod) => Promise<T>,
): Promise<T> {
  const { directory, quark, server, network } = options
  const disk = join(directory, 'disk')
  const base = [quark.command, ...quark.flags, '--root', join(directory, 'hibernate'), '--disk', disk]
  const run = async (verb: string, ...args: string[]): Promise<string> =>
    (await runCommand([...base, verb, ...args], TIMEOUT_MS)).output
  const bundle = writeBundle(directory, {
    args: server.args,
    fill: fillHostRoot,
    shared: ['/usr'],
    network: network.path,
  })
  const start = performance.now()
  const request = [server.request, server.answer] as const
  try {
    // What the container inherits must not keep a pipe of ours open.
    await detached([...base, 'create', '--bundle', bundle, 'pod'])
    await run('start', 'pod')
    await awaitServer(network.address, server.prepare ?? request)
    const startMs = performance.now() - start
    const { pid } = JSON.parse(await run('state', 'pod')) as { readonly pid: number }
    return await use({
      server,
      address: network.address,
      pid,
      disk,
      startMs,
      quark: async (...args) => void (await run(...args)),
    })
  } finally {
    await run('delete', '--force', 'pod')
  }
}

function detached([file, ...args]: readonly string[]): Promise<void> {
  const child = spawn(file!, args, { stdio: 'ignore' })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`create ended with status ${code}`))))
  })
}

interface Taken {
  readonly awake: number
  readonly asleep: number
  readonly disk: number
}

async function measurePod(context: BenchContext, pod: Pod): Promise<BenchResult[]> {
  const { server, address } = pod
  const request = [server.request, server.answer] as const
  const sleepNow = (): Promise<void> =>
    pod.quark('hibernate', ...(server.ticks === true ? ['--timers', 'hold'] : []), 'pod')
  const taken = await measureTaken(pod, sleepNow)
  const awake: number[] = []
  const woken: number[] = []
  for (let cycle = 0; cycle < (context.quick ? CYCLES_QUICK : CYCLES); cycle++) {
    awake.push(await ask(address, request))
    await sleepNow()
    woken.push(await ask(address, request))
  }
  return compare(pod, { taken, awake, woken })
}

async function measureTaken(pod: Pod, sleepNow: () => Promise<void>): Promise<Taken> {
  await sleep(REST_MS)
  const awake = total(memoryOf(pod))
  await sleepNow()
  return { awake, asleep: total(memoryOf(pod)), disk: diskOf(pod) }
}

function compare(
  { server, startMs }: Pod,
  measured: { readonly taken: Taken; readonly awake: readonly number[]; readonly woken: readonly number[] },
): BenchResult[] {
  const { taken, awake, woken } = measured
  const figure = (
    what: string,
    value: number,
    unit: string,
    peer?: { readonly name: string; readonly value: number },
  ): BenchResult => benchResult({ metric: `${server.name}, ${what}`, value, unit, peer })
  const usual = { name: 'awake', value: median(awake) }
  return [
    figure('memory asleep', taken.asleep, 'MiB', { name: 'awake', value: taken.awake }),
    figure('on disk', taken.disk, 'MiB'),
    figure('first answer, median', median(woken), 'ms', usual),
    figure('first answer, p99', percentile(woken, 0.99), 'ms', usual),
    figure('first answer, median', median(woken), 'ms', { name: 'a new pod', value: startMs }),
  ]
}

function total({ kernel, others }: { readonly kernel: number; readonly others: number }): number {
  return kernel + others
}

/** Of the pod's kernel, and of what is below it, MiB. */
export function memoryOf({ pid }: Pod): { readonly kernel: number; readonly others: number } {
  const others = treeOf(pid).filter((each) => each !== pid)
  return {
    kernel: proportionalKib(pid) / 1_024,
    others: others.reduce((sum, each) => sum + proportionalKib(each), 0) / 1_024,
  }
}

/** What the file without a name takes that the kernel has open. */
function diskOf({ pid, disk }: Pod): number {
  const files = readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)
  const file = files.find((each) => linkOf(each).startsWith(disk))
  if (file === undefined) throw new Error('the pod has no file for its memory')
  return (statSync(file).blocks * 512) / 1_048_576
}

/** Empty if the descriptor is closed by now. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
