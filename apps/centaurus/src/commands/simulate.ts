import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import {
  createReport,
  DEFAULT_SCALE_OPTIONS,
  formatNumber,
  isSound,
  renderHtml,
  runScale,
  serveHollowNodes,
  type Progress,
  type ScaleOptions,
  type ScaleReport,
} from '@centaurus/simulation/scale'
import { startSimulatedCluster, type Topology } from '../simulate/simulated-cluster.ts'
import { ignoreSignals, runPartitionProcess } from '../simulate/partition-process.ts'
import { UserError } from '../user-error.ts'

/** Between two lines of progress when the output is no terminal. */
const PROGRESS_LINE_MS = 10_000
/** Stores grow with what is in them and with their history. */
const DISK_BYTES_PER_POD = 40 * 1024
const DISK_BYTES_PER_NODE = 60 * 1024
const DISK_BYTES_BASE = 2 * 1024 ** 3
const HEAP_MIB = 8_192
/** Signals closer together than this are one: a shell and a supervisor may both pass one on. */
const IMPATIENCE_MS = 2_000

export interface SimulateOptions {
  readonly scale: ScaleOptions
  readonly topology: Topology
  /** Of each tenant partition. */
  readonly tenantsPerPartition: number
  readonly heapMib: number
  /** Folder for `report.json` and `report.html`; absent: only what is printed. */
  readonly reportDir: string | undefined
  /** Folder for the stores while it runs; default: a new one among the machine's temporary files. */
  readonly workDir: string | undefined
  /** Whether the stores and logs stay. */
  readonly keep: boolean
}

/** Reads what the command line says; everything has a default. Throws {@link UserError}. */
export function readSimulateFlags(
  flags: Readonly<Record<string, unknown>>,
  numbers: readonly (readonly [flag: string, member: keyof ScaleOptions, text: string])[],
): SimulateOptions {
  const given = numbers.flatMap(([flag, member]) => {
    const value = flags[camelCase(flag)]
    return value === undefined ? [] : [[member, value] as const]
  })
  const { tps, rps } = flags as { readonly tps?: number; readonly rps?: number }
  if (tps === 0 || rps === 0 || flags['tenants'] === 0)
    throw new UserError('Cannot simulate: --tps, --rps and --tenants must be 1 or more')
  const scale: ScaleOptions = {
    ...DEFAULT_SCALE_OPTIONS,
    ...Object.fromEntries(given),
    crashes: flags['crashes'] !== false,
    services: flags['services'] !== false,
    daemonSet: flags['daemonSet'] !== false,
    events: flags['events'] !== false,
    writesCreating: flags['creatingStatus'] === true,
  }
  if (scale.nodes < 1 || scale.latencyPodsPerSecond < 1 || scale.churnPodsPerSecond < 1 || scale.deploymentReplicas < 1)
    throw new UserError('Cannot simulate: --nodes, --latency-pods, --churn and --deployment-replicas must be 1 or more')
  return {
    scale,
    topology: tps === undefined && rps === undefined ? undefined : { tps: tps ?? 1, rps: rps ?? 1 },
    tenantsPerPartition: (flags['tenants'] as number | undefined) ?? 1,
    heapMib: (flags['heapMib'] as number | undefined) ?? HEAP_MIB,
    reportDir: flags['report'] as string | undefined,
    workDir: flags['workDir'] as string | undefined,
    keep: flags['keep'] === true,
  }
}

/** As commander names the value of a flag. */
function camelCase(flag: string): string {
  return flag.slice(2).replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/**
 * Runs one simulation from start to end on this machine. Returns the exit code: 0 when everything that must hold held. A run that is
 * stopped in the middle leaves work behind that nobody waits for: the caller ends the process.
 */
export async function simulate(options: SimulateOptions): Promise<number> {
  try {
    return (await runIn(options)) ? 0 : 1
  } catch (error) {
    const text = error instanceof UserError ? error.message : (error as Error).stack
    process.stderr.write(`centaurus: ${text}\n`)
    return 1
  }
}

async function runIn(options: SimulateOptions): Promise<boolean> {
  const dir = mkdtempSync(join(options.workDir ?? tmpdir(), 'centaurus-simulate-'))
  const abort = new AbortController()
  stopOnSignals(abort)
  const printer = new ProgressPrinter()
  try {
    requireDisk(dir, options.scale)
    const cluster = await startSimulatedCluster({
      dir,
      topology: options.topology,
      tenantsPerPartition: options.tenantsPerPartition,
      heapMib: options.heapMib,
      onLost: (error) => abort.abort(error),
    })
    try {
      printer.log(`Partitions are up: ${cluster.partitions.map(({ name, url }) => `${name} at ${url}`).join(', ')}`)
      const result = await runScale({
        cluster,
        options: options.scale,
        signal: abort.signal,
        onProgress: (progress) => printer.show(progress),
        log: (text) => printer.log(text),
      })
      const report = createReport(result)
      printer.end()
      writeReport(report, options.reportDir)
      printReport(report)
      return isSound(report)
    } finally {
      printer.end()
      await cluster.close()
    }
  } finally {
    if (options.keep) process.stdout.write(`Stores and logs are in ${dir}\n`)
    else rmSync(dir, { recursive: true, force: true })
  }
}

/** The hidden commands of the processes that a simulation starts. */
export const SIMULATION_PROCESSES: Readonly<Record<string, () => Promise<void>>> = {
  'simulate-partition': runPartitionProcess,
  'simulate-nodes'() {
    ignoreSignals()
    return serveHollowNodes()
  },
}

/** The first signal lets the run clean up; one that comes much later ends it at once. */
function stopOnSignals(abort: AbortController): void {
  let stoppedMs: number | undefined
  const stop = (): void => {
    if (stoppedMs !== undefined && performance.now() - stoppedMs > IMPATIENCE_MS) process.exit(1)
    stoppedMs ??= performance.now()
    abort.abort(new UserError('Stopped'))
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
}

function requireDisk(dir: string, { nodes, pods }: ScaleOptions): void {
  const { bavail, bsize } = statfsSync(dir)
  const needed = DISK_BYTES_BASE + nodes * DISK_BYTES_PER_NODE + pods * DISK_BYTES_PER_POD
  if (bavail * bsize >= needed) return
  const gib = (bytes: number): string => (bytes / 1024 ** 3).toFixed(1)
  throw new UserError(
    `Cannot simulate ${nodes} nodes and ${pods} pods in ${dir}: about ${gib(needed)} GiB of disk are needed and ${gib(bavail * bsize)} are free. Choose another folder with --work-dir`,
  )
}

function writeReport(report: ScaleReport, reportDir: string | undefined): void {
  if (reportDir === undefined) return
  const dir = resolve(reportDir)
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'report.json'), `${JSON.stringify(report, undefined, 1)}\n`)
  writeFileSync(join(dir, 'report.html'), renderHtml(report))
  process.stdout.write(`Report: ${join(dir, 'report.html')} and report.json\n`)
}

function printReport(report: ScaleReport): void {
  const { podStartup, podsPerSecond, leasesPerSecond, messagesPerPod, bytesPerPod, memory, check } = report
  const seconds = [podStartup.p50, podStartup.p90, podStartup.p99].map(formatNumber).join(' / ')
  const lines = [
    '',
    `${formatNumber(report.nodes)} nodes, ${formatNumber(report.pods)} pods, ${formatNumber(report.durationSeconds)} s`,
    `pod startup p50 / p90 / p99: ${seconds} s; saturation: ${formatNumber(podsPerSecond)} pods/s; ${formatNumber(leasesPerSecond)} leases/s`,
    `for each pod: ${formatNumber(messagesPerPod)} messages, ${formatNumber(bytesPerPod)} bytes, ${formatNumber(memory.bytesPerPod / 1024)} KB of memory; for each node: ${formatNumber(memory.bytesPerNode / 1024)} KB`,
    ...report.verdicts.map(
      ({ name, kind, measured, limit, unit, meets }) =>
        `${meets ? 'meets ' : 'MISSES'}  ${name}: ${formatNumber(measured)} ${unit} (${kind === 'slo' ? 'SLO' : 'target'} ${formatNumber(limit)} ${unit})`,
    ),
    ...check.examples,
    ...report.problems,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** One line that is written over on a terminal; a line now and then elsewhere. */
class ProgressPrinter {
  #shownMs = -Infinity
  #dirty = false

  show(progress: Progress): void {
    const text = describe(progress)
    if (process.stdout.isTTY) {
      process.stdout.write(`\r\u001B[K${text.slice(0, (process.stdout.columns ?? 120) - 1)}`)
      this.#dirty = true
      return
    }
    const now = performance.now()
    if (now - this.#shownMs < PROGRESS_LINE_MS) return
    this.#shownMs = now
    process.stdout.write(`${text}\n`)
  }

  log(text: string): void {
    this.end()
    process.stdout.write(`${text}\n`)
  }

  end(): void {
    if (this.#dirty) process.stdout.write('\n')
    this.#dirty = false
  }
}

function describe({ phase, point, leasesPerSecond, podsPerSecond, done, goal, etaSeconds }: Progress): string {
  const cores = Object.values(point.roles).reduce((sum, { anonymousBytes }) => sum + anonymousBytes, 0)
  const parts = [
    `${point.seconds.toFixed(0)} s`,
    goal === undefined || done === undefined ? phase : `${phase} ${formatNumber(done)}/${formatNumber(goal)}`,
    `${formatNumber(point.running)} running`,
    `${formatNumber(podsPerSecond)} pods/s`,
    `${formatNumber(leasesPerSecond)} leases/s`,
    `${(cores / 1024 ** 3).toFixed(1)} GiB`,
    ...(etaSeconds === undefined ? [] : [`ETA ${formatNumber(etaSeconds)} s`]),
  ]
  return parts.join('  ')
}
