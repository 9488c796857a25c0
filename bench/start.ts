/** How long the control plane takes to be ready and what it needs when idle; beside etcd, which an API server would need as well. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { benchResult, type Bench, type BenchContext, type BenchResult } from './harness/bench.ts'
import { startEtcdProcess } from './harness/etcd.ts'
import { alternateFigures, median } from './harness/measure.ts'
import { freePort, sampleProcess, startProcess, type BenchProcess } from './harness/process.ts'

const READY_MS_MAX = 30_000
/** After this long without a request a process is called idle. */
const IDLE_MS = 10_000
const MEGABYTE = 2 ** 20

/** As the launcher `./centaurus` starts Node. */
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=8']
const MAIN = fileURLToPath(new URL('../apps/centaurus/src/main.ts', import.meta.url))

export const bench: Bench = {
  summary: 'time to ready and idle memory of the control plane, and of a cluster inside a test',
  async run(context) {
    return [...(await measureProcesses(context)), ...measureCluster(context)]
  },
}

interface StartFigures {
  readonly firstMs: number
  readonly againMs: number
  readonly cpuMs: number
  readonly residentBytes: number
  readonly anonymousBytes: number
}

async function measureProcesses(context: BenchContext): Promise<BenchResult[]> {
  const cache = join(context.directory, 'compile-cache')
  context.log('preparing, as the launcher does after an installation')
  execFileSync(process.execPath, [...NODE_FLAGS, MAIN, 'prepare'], {
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
  })
  context.log(`starting each twice a round, idle for ${IDLE_MS / 1_000} s`)
  let home = 0
  const inNewHome = (start: (directory: string) => Promise<BenchProcess>) => (): Promise<StartFigures> => {
    const directory = join(context.directory, `home-${home++}`)
    mkdirSync(directory)
    return measureStarts(() => start(directory))
  }
  const { ours, etcd } = await alternateFigures(context.rounds, {
    ours: inNewHome((directory) => startControlPlane(directory, cache)),
    etcd: inNewHome(startEtcdProcess),
  })
  const figure = (
    metric: string,
    { unit, of, atMost }: { unit: string; of: (figures: StartFigures) => number; atMost?: number },
  ): BenchResult => {
    const peer = { name: 'etcd', value: of(etcd) }
    return benchResult({ metric, unit, value: of(ours), peer, target: atMost === undefined ? undefined : { atMost } })
  }
  return [
    figure('ready after the first start', { unit: 'ms', of: (each) => each.firstMs, atMost: 1_000 }),
    figure('ready after a start with state', { unit: 'ms', of: (each) => each.againMs, atMost: 1_000 }),
    figure('CPU time of a start with state', { unit: 'ms', of: (each) => each.cpuMs }),
    figure('resident memory when idle', { unit: 'MB', of: (each) => each.residentBytes / MEGABYTE, atMost: 150 }),
    figure('anonymous memory when idle', { unit: 'MB', of: (each) => each.anonymousBytes / MEGABYTE }),
  ]
}

/** Starts it in an empty home, and again in the same one, where it stays until it is idle. */
async function measureStarts(start: () => Promise<BenchProcess>): Promise<StartFigures> {
  const began = performance.now()
  const first = await start()
  const firstMs = performance.now() - began
  await first.stop()
  const beganAgain = performance.now()
  const again = await start()
  const againMs = performance.now() - beganAgain
  const { cpuMs } = sampleProcess(again.pid)
  try {
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
    const { residentBytes, anonymousBytes } = sampleProcess(again.pid)
    return { firstMs, againMs, cpuMs, residentBytes, anonymousBytes }
  } finally {
    await again.stop()
  }
}

async function startControlPlane(home: string, compileCache: string): Promise<BenchProcess> {
  const port = await freePort()
  writeFileSync(join(home, 'settings.json'), JSON.stringify({ port, nodes: 'none' }))
  return startProcess([process.execPath, ...NODE_FLAGS, MAIN, 'control-plane'], {
    isReady: () => isReady(port),
    timeoutMs: READY_MS_MAX,
    env: { ...process.env, CENTAURUS_HOME: home, NODE_COMPILE_CACHE: compileCache, NODE_ENV: 'production' },
  })
}

function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    // the certificate's authority is made by the process that is started; nothing but its answer counts here
    const request = get({ port, host: '127.0.0.1', path: '/readyz', rejectUnauthorized: false, agent: false })
    request.on('response', (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode === 200))
    })
    request.on('error', () => resolve(false))
  })
}

interface ClusterReport {
  readonly coldMs: number
  readonly warmMs: number
}

/** `startCluster()` as a test calls it; in a new process each round. */
function measureCluster(context: BenchContext): BenchResult[] {
  context.log('startCluster()')
  const script = fileURLToPath(new URL('harness/start-cluster.ts', import.meta.url))
  const reports = Array.from({ length: context.rounds }, () => {
    const output = execFileSync(process.execPath, [script], { encoding: 'utf8' })
    return JSON.parse(output) as ClusterReport
  })
  const middle = (of: (report: ClusterReport) => number): number => median(reports.map(of))
  return [
    benchResult({
      metric: 'startCluster() in a process that did it before',
      unit: 'ms',
      value: middle((report) => report.warmMs),
      target: { atMost: 500 },
    }),
    benchResult({
      metric: 'a new process until its cluster is ready',
      unit: 'ms',
      value: middle((report) => report.coldMs),
    }),
  ]
}
