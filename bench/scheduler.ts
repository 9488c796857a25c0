/**
 * The scheduler in the shapes of upstream's scheduler_perf: its core alone, with our API server in one process, and as a process of its
 * own over HTTPS, where a kube-scheduler can stand in for it. Environment:
 * `BENCH_SCHEDULER_PODS` (default 10,000; upstream's larger runs have 50,000), `BENCH_SCHEDULER_SHAPES` (default: all, by comma),
 * `BENCH_KUBE_SCHEDULER` (path of a kube-scheduler to compare with; bench/README.md tells how to build one).
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { benchResult, type Bench, type BenchContext, type BenchResult, type BenchTarget } from './harness/bench.ts'
import { alternateFigures } from './harness/measure.ts'
import type { CoreFigures } from './harness/scheduler-core.ts'
import type { PeerFigures } from './harness/scheduler-peer.ts'
import type { ServerFigures } from './harness/scheduler-server.ts'
import { SHAPES, type Shape } from './harness/scheduler-shapes.ts'

const NODES = 5_000
const MANY_NODES = 60_000
const PODS = Number(process.env['BENCH_SCHEDULER_PODS'] ?? 10_000)
const PEER_PODS = 3_000
const WANTED = process.env['BENCH_SCHEDULER_SHAPES']?.split(',')
const KUBE_SCHEDULER = process.env['BENCH_KUBE_SCHEDULER']
const MICROS_PER_SECOND = 1_000_000
/** A preemption costs milliseconds, also in the API; nodes are filled first, and what the scheduler makes of that at its start is in the figure. */
const PREEMPTIONS = 2_000
/** The core alone takes no such start into account. */
const CORE_PREEMPTIONS = 500

/** Pods a second that upstream's CI demands of kube-scheduler at 5,000 nodes. Source: test/integration/scheduler_perf, v1.37. */
const PUBLISHED_FLOORS: Readonly<Record<Shape, number>> = {
  basic: 680,
  'anti-affinity': 180,
  'pod-affinity': 70,
  'node-affinity': 540,
  spread: 460,
  preemption: 570,
  churn: 710,
}
const PUBLISHED = "kube-scheduler's CI floor, as published"

export const bench: Bench = {
  summary: 'pods a second, decision times and memory of the scheduler in the shapes of upstream’s scheduler_perf',
  async run(context) {
    const shapes = SHAPES.filter((shape) => WANTED?.includes(shape) ?? true)
    const results: BenchResult[] = []
    for (const shape of shapes) {
      if (shape !== 'churn')
        results.push(...(await measureCore(context, { shape, nodes: NODES, pods: corePodsOf(shape) })))
      results.push(...(await measureServer(context, { shape, nodes: NODES, pods: podsOf(shape) })))
    }
    if (shapes.includes('basic')) {
      results.push(...(await measureCore(context, { shape: 'basic', nodes: MANY_NODES, pods: PODS })))
      results.push(...(await measureServer(context, { shape: 'basic', nodes: MANY_NODES, pods: PODS })))
    }
    if (shapes.includes('spread'))
      results.push(...(await measureCore(context, { shape: 'spread', nodes: MANY_NODES, pods: PODS })))
    return KUBE_SCHEDULER === undefined ? results : [...results, ...(await comparePeer(context, KUBE_SCHEDULER))]
  },
}

interface Run {
  readonly shape: Shape
  readonly nodes: number
  readonly pods: number
}

function podsOf(shape: Shape): number {
  return shape === 'preemption' ? Math.min(PODS, PREEMPTIONS) : PODS
}

function corePodsOf(shape: Shape): number {
  return shape === 'preemption' ? Math.min(PODS, CORE_PREEMPTIONS) : PODS
}

const title = ({ shape, nodes, pods }: Run): string => `${shape}, ${nodes} nodes, ${pods} pods`

async function measureCore(context: BenchContext, run: Run): Promise<BenchResult[]> {
  context.log(`core: ${title(run)}`)
  const core = async (): Promise<CoreFigures> => runScript('scheduler-core.ts', run)
  const { ours } = await alternateFigures(context.rounds, { ours: core })
  const figure = (what: string, value: number, unit: string, target?: BenchTarget): BenchResult =>
    benchResult({ metric: `core ${title(run)}: ${what}`, value, unit, target })
  const isBasic = run.shape === 'basic'
  const p99 = run.shape === 'preemption' ? undefined : { atMost: run.nodes > NODES ? 3_000 : 1_000 }
  return [
    figure('decisions, a core', ours.podsPerSecond, '/s'),
    figure('decision p50', ours.p50Micros, 'µs'),
    figure('decision p99', ours.p99Micros, 'µs', p99),
    figure('decisions that nobody disturbed', ours.undisturbed * 100, '%'),
    ...(isBasic ? [figure('memory a node', ours.bytesPerNode, 'B', { atMost: 2_048 })] : []),
    ...(isBasic ? [figure('memory a bound pod', ours.bytesPerPod, 'B', { atMost: 400 })] : []),
  ]
}

async function measureServer(context: BenchContext, run: Run): Promise<BenchResult[]> {
  context.log(`with the API server: ${title(run)}`)
  const server = async (): Promise<ServerFigures> => runScript('scheduler-server.ts', run)
  const { ours } = await alternateFigures(context.rounds, { ours: server })
  const hasFloor = run.nodes === NODES
  return [
    benchResult({
      metric: `with the API server ${title(run)}: bound`,
      value: ours.podsPerSecond,
      unit: '/s',
      peer: hasFloor ? { name: PUBLISHED, value: PUBLISHED_FLOORS[run.shape] } : undefined,
    }),
    benchResult({
      metric: `with the API server ${title(run)}: CPU of both, all threads`,
      value: ours.cpuMicrosPerPod,
      unit: 'µs a pod',
    }),
    benchResult({
      metric: `with the API server ${title(run)}: bound, a core`,
      value: MICROS_PER_SECOND / ours.cpuMicrosPerPod,
      unit: '/s',
      target: run.shape === 'basic' && hasFloor ? { atLeast: 5_000 } : undefined,
    }),
  ]
}

/** Both as processes of their own, over HTTPS, with the same API server. */
async function comparePeer(context: BenchContext, kubeScheduler: string): Promise<BenchResult[]> {
  const run: Run = { shape: 'basic', nodes: NODES, pods: PEER_PODS }
  context.log(`over HTTPS, beside kube-scheduler: ${title(run)}`)
  const over = (scheduler: string) => async (): Promise<PeerFigures> => runScript('scheduler-peer.ts', run, scheduler)
  const { ours, theirs } = await alternateFigures(context.rounds, { ours: over('ours'), theirs: over(kubeScheduler) })
  const figure = (what: string, of: (figures: PeerFigures) => number, unit: string): BenchResult =>
    benchResult({
      metric: `over HTTPS ${title(run)}: ${what}`,
      value: of(ours),
      unit,
      peer: { name: 'kube-scheduler', value: of(theirs) },
    })
  return [
    figure('bound', ({ podsPerSecond }) => podsPerSecond, '/s'),
    figure('CPU of the scheduler, its start included', ({ cpuMicrosPerPod }) => cpuMicrosPerPod, 'µs a pod'),
    figure('resident memory of the scheduler', ({ residentMegabytes }) => residentMegabytes, 'MB'),
  ]
}

/** Each run has a process of its own: nothing of another run is in its heap or compiled for it. */
function runScript<Figures>(script: string, { shape, nodes, pods }: Run, ...more: readonly string[]): Figures {
  const path = fileURLToPath(new URL(`harness/${script}`, import.meta.url))
  const flags = ['--expose-gc', '--disable-warning=ExperimentalWarning']
  const output = execFileSync(process.execPath, [...flags, path, shape, String(nodes), String(pods), ...more], {
    encoding: 'utf8',
    env: { ...process.env, NODE_ENV: 'production' }, // as `centaurus up` starts it
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return JSON.parse(output) as Figures
}
