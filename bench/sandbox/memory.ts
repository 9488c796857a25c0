import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { BenchContext, BenchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { copyBusybox } from './busybox.ts'
import { compareOutcomes, measureInTurn, type Figures } from './compare.ts'
import { writeBundle, type Runtime } from './runtimes.ts'

const MANY = 50
const MANY_QUICK = 3
/** Sandboxes are idle for so long before they are measured. */
const IDLE_MS = 2_000
const START_MS_EACH = 20_000
const SAID_MAX = 300

/**
 * The first process of a pid namespace: makes sandboxes one after the other, says so, and deletes them when its input ends. What they leave running is
 * its child, so that all their processes are found below it, and end with it.
 */
const SUPERVISE = `
bundle=$1 count=$2; shift 2
each() { i=0; while [ $i -lt $count ]; do "$@" || return 1; i=$((i+1)); done; }
start() { "$@" create --bundle "$bundle" idle-$$-$i </dev/null >/dev/null && "$@" start idle-$$-$i </dev/null >/dev/null; }
remove() { "$@" delete --force idle-$$-$i </dev/null >/dev/null; }
each start "$@" && echo ready && read end
each remove "$@"
`

/** Memory of idle sandboxes: the proportional set size of all their processes, without the shim that an engine adds. */
export async function measureMemory(context: BenchContext, runtimes: readonly Runtime[]): Promise<BenchResult[]> {
  const bundle = writeBundle(context.directory, { args: ['/bin/sleep', '100000'], fill: copyBusybox })
  const results: BenchResult[] = []
  for (const count of [1, context.quick ? MANY_QUICK : MANY]) {
    context.log(`memory: ${count} idle`)
    const candidates = runtimes.map((runtime) => ({
      name: runtime.name,
      measure: () => measureIdle({ runtime, bundle, count, root: `${context.directory}/idle-${runtime.name}` }),
    }))
    const outcomes = await measureInTurn(context.quick ? 1 : context.rounds, candidates, context.log)
    const many = count === 1 ? '1 idle sandbox' : `${count} idle sandboxes`
    const metric = (what: string): string => `${many}, ${what} each`
    results.push(
      ...compareOutcomes(outcomes, { metric: metric('memory'), unit: 'MiB', figure: 'mebibytes', reduce: median }),
      ...compareOutcomes(outcomes, { metric: metric('processes'), unit: '', figure: 'processes', reduce: median }),
      ...compareOutcomes(outcomes, { metric: metric('CPU'), unit: 'ms/s', figure: 'cpuMsPerSecond', reduce: median }),
    )
  }
  return results
}

async function measureIdle(options: {
  readonly runtime: Runtime
  readonly bundle: string
  readonly count: number
  readonly root: string
}): Promise<Figures> {
  const { runtime, bundle, count, root } = options
  const namespaces = ['--pid', '--mount', '--fork', '--kill-child', '--mount-proc', '--propagation', 'private']
  const command = [runtime.command, ...runtime.flags, '--root', root]
  const child = spawn('unshare', [...namespaces, 'sh', '-c', SUPERVISE, 'sh', bundle, String(count), ...command])
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const ended = new Promise<'ended'>((resolve) => child.on('close', () => resolve('ended')))
  const ready = new Promise<'ready'>((resolve) => child.stdout.once('data', () => resolve('ready')))
  try {
    const late = sleep(START_MS_EACH * count, 'not ready in time' as const, { ref: false })
    const state = await Promise.race([ready, ended, late])
    if (state !== 'ready') throw new Error(`cannot start ${count}: ${state}: ${errors.trim().slice(-SAID_MAX)}`)
    return await sampleIdle(child.pid!, count)
  } finally {
    child.stdin.end()
    const killer = setTimeout(() => child.kill('SIGKILL'), START_MS_EACH * count)
    await ended
    clearTimeout(killer)
  }
}

/** `unshare` has one child, the supervisor; what is below that are the sandboxes. */
async function sampleIdle(unshare: number, count: number): Promise<Figures> {
  const supervisor = childrenOf(unshare)[0]
  if (supervisor === undefined) throw new Error('the supervisor is gone')
  const processes = childrenOf(supervisor).flatMap((pid) => treeOf(pid))
  if (processes.length < count) throw new Error(`only ${processes.length} processes run for ${count} sandboxes`)
  await sleep(IDLE_MS)
  const before = processes.reduce((sum, pid) => sum + cpuMs(pid), 0)
  await sleep(IDLE_MS)
  const spent = processes.reduce((sum, pid) => sum + cpuMs(pid), 0) - before
  const kibibytes = processes.reduce((sum, pid) => sum + proportionalKib(pid), 0)
  return {
    mebibytes: kibibytes / 1_024 / count,
    processes: processes.length / count,
    cpuMsPerSecond: spent / (IDLE_MS / 1_000) / count,
  }
}

/** A process and all below it. */
export function treeOf(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap((child) => treeOf(child))]
}

/** Of all threads: a child belongs to the thread that made it. */
function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) => childrenOfThread(`/proc/${pid}/task/${thread}/children`))
}

/** None if the thread has ended meanwhile. */
function childrenOfThread(path: string): number[] {
  try {
    return readFileSync(path, 'utf8').split(' ').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

/** The proportional set size. */
export function proportionalKib(pid: number): number {
  const found = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))
  if (found === null) throw new Error(`process ${pid} has no memory any more`)
  return Number(found[1])
}

/** Source: sched-stats.rst of the kernel: nanoseconds on a processor come first. */
function cpuMs(pid: number): number {
  const nanoseconds = readdirSync(`/proc/${pid}/task`).map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0]),
  )
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e6
}
