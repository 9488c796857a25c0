import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { installPlugins } from '@centaurus/network'
import { buildTestPrograms, startTestDaemon } from '@centaurus/network/testing'
import { type BenchContext, type BenchResult, benchResult } from '../harness/bench.ts'
import { percentile } from '../harness/measure.ts'

const PODS = 100
/** Calls before those that are measured: the daemon's code is compiled by then. */
const WARM_UP_PODS = 30
const POD_CIDR = '10.244.3.0/24'
const CLOCK_TICKS_A_SECOND = 100

/** What attaching and detaching pods takes, one after the other, by the plugin that a container runtime runs, the daemon's part and the real data plane. */
export async function measureCni({ directory, log }: BenchContext): Promise<readonly BenchResult[]> {
  for (const args of ['link add eth0 type veth peer name eth0-peer', 'addr add 192.0.2.1/24 dev eth0'])
    execFileSync('ip', args.split(' '))
  const daemon = await startTestDaemon({
    folder: directory,
    podCIDR: POD_CIDR,
    programs: await buildTestPrograms(),
  })
  try {
    await installPlugins(join(directory, 'bin'), { socket: join(directory, 'cni.sock'), stateDir: directory })
    const calls = { plugin: join(directory, 'bin', 'centaurus'), daemonPid: daemon.pid! }
    const pods = Array.from({ length: PODS }, (_, index) => `pod-${index}`)
    for (const pod of pods) execFileSync('ip', ['netns', 'add', pod])
    for (const command of ['ADD', 'DEL']) await measureCalls(command, pods.slice(0, WARM_UP_PODS), calls)
    const results: BenchResult[] = []
    for (const command of ['ADD', 'DEL']) {
      log(`cni: ${command} of ${PODS} pods`)
      results.push(...(await measureCalls(command, pods, calls)))
    }
    for (const pod of pods) execFileSync('ip', ['netns', 'del', pod])
    return results
  } finally {
    daemon.kill('SIGKILL')
  }
}

interface Calls {
  readonly plugin: string
  readonly daemonPid: number
}

async function measureCalls(command: string, pods: readonly string[], calls: Calls): Promise<BenchResult[]> {
  const before = readProcessorMs(calls)
  const wallMs: number[] = []
  for (const pod of pods) {
    const began = performance.now()
    await callPlugin(command, pod, calls)
    wallMs.push(performance.now() - began)
  }
  const after = readProcessorMs(calls)
  const target = command === 'ADD' ? { atMost: 30 } : undefined
  const figure = (metric: string, value: number): BenchResult => benchResult({ metric, unit: 'ms', value })
  return [
    benchResult({ metric: `CNI ${command}, p50`, unit: 'ms', value: percentile(wallMs, 0.5), target }),
    figure(`CNI ${command}, p99`, percentile(wallMs, 0.99)),
    figure(`CNI ${command}, processor, the plugin`, (after.plugin - before.plugin) / pods.length),
    figure(`CNI ${command}, processor, the daemon and its children`, (after.daemon - before.daemon) / pods.length),
  ]
}

async function callPlugin(command: string, pod: string, { plugin }: Calls): Promise<void> {
  const child = spawn(plugin, {
    env: {
      PATH: process.env['PATH'],
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod,
      CNI_NETNS: `/run/netns/${pod}`,
      CNI_IFNAME: 'eth0',
      CNI_ARGS: `K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod}`,
    },
    stdio: ['pipe', 'ignore', 'inherit'],
  })
  child.stdin.end(JSON.stringify({ cniVersion: '1.0.0', name: 'centaurus', type: 'centaurus' }))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`CNI ${command} of ${pod} ended with ${code}`)
}

/** Processor time so far, user and system: of the daemon with its children, and of this process's children, which are plugins. */
function readProcessorMs({ daemonPid }: Calls): { readonly daemon: number; readonly plugin: number } {
  const [own, children] = readTimes(daemonPid)
  return { daemon: own + children, plugin: readTimes(process.pid)[1] }
}

/** Milliseconds of a process itself and of its children that ended. Source: proc(5), /proc/pid/stat, fields 14 to 17. */
function readTimes(pid: number): readonly [own: number, children: number] {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map((ticks) => (Number(ticks) * 1_000) / CLOCK_TICKS_A_SECOND)
  return [user + system, childUser + childSystem]
}
