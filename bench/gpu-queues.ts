/** Queues of workloads, as Kueue's performance test shapes them: the core alone in simulated time, and the controller with our API server. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { benchResult, type Bench, type BenchContext, type BenchResult } from './harness/bench.ts'
import { median } from './harness/measure.ts'
import type { QueueServerFigures } from './harness/queue-server.ts'
import {
  BASELINE,
  LARGE_SCALE,
  measureFairness,
  measureStarvation,
  runQueueLoad,
  type QueueFigures,
  type QueueLoad,
} from './harness/queue-load.ts'

const PUBLISHED = 'minimalkueue’s CI, as published'

interface Size {
  readonly title: string
  readonly load: QueueLoad
  /** Of the whole test, its simulated run times included. Source: rangespec.yaml beside the generator's configuration. */
  readonly publishedPerSecond: number
  readonly publishedAdmissionSeconds: Readonly<Record<string, number>>
}

const SIZES: Readonly<Record<string, Size>> = {
  baseline: {
    title: '15,000 workloads, 30 queues',
    load: BASELINE,
    publishedPerSecond: 42.7,
    publishedAdmissionSeconds: { large: 16.5, medium: 76.8, small: 215.5 },
  },
  large: {
    title: '50,000 workloads, 1,000 queues',
    load: LARGE_SCALE,
    publishedPerSecond: 42.4,
    publishedAdmissionSeconds: { large: 105.6, medium: 256.4, small: 700.4 },
  },
}

export const bench: Bench = {
  summary: 'workloads a second through queues, time to admission, fairness and the longest wait of gangs',
  parts: [...Object.keys(SIZES), 'controller', 'fairness', 'starvation'],
  async run(context) {
    const results: BenchResult[] = []
    for (const [part, size] of Object.entries(SIZES))
      if (context.parts.includes(part)) results.push(...measureSize(context, size))
    if (context.parts.includes('controller')) results.push(...measureController(context))
    if (context.parts.includes('fairness')) results.push(fairness(context))
    if (context.parts.includes('starvation')) results.push(starvation(context))
    return results
  },
}

function measureSize(
  context: BenchContext,
  { title, load, publishedPerSecond, publishedAdmissionSeconds }: Size,
): BenchResult[] {
  const runs: QueueFigures[] = []
  for (let round = 0; round < (context.quick ? 1 : context.rounds); round++) {
    context.log(`core, ${title}, round ${round + 1}`)
    runs.push(runQueueLoad(load))
  }
  const [first] = runs as [QueueFigures]
  const perSecond = median(runs.map(({ workloads, wallMs }) => (workloads * 1_000) / wallMs))
  const admission = Object.entries(first.admissionMs).flatMap(([name, { mean, p99 }]) => [
    benchResult({
      metric: `core ${title}: simulated time to admission of ${name} ones, mean`,
      value: mean / 1_000,
      unit: 's',
      peer: { name: PUBLISHED, value: publishedAdmissionSeconds[name] ?? Number.NaN },
    }),
    benchResult({
      metric: `core ${title}: simulated time to admission of ${name} ones, p99`,
      value: p99 / 1_000,
      unit: 's',
    }),
  ])
  return [
    benchResult({
      metric: `core ${title}: decided, a core`,
      value: perSecond,
      unit: 'workloads/s',
      peer: { name: PUBLISHED, value: publishedPerSecond },
      target: { ratioAtLeast: 20 },
    }),
    benchResult({ metric: `core ${title}: evictions`, value: first.evictions, unit: '' }),
    benchResult({
      metric: `core ${title}: simulated time until the last one has ended`,
      value: first.spanMs / 1_000,
      unit: 's',
    }),
    ...admission,
  ]
}

const CONTROLLER_JOBS = 5_000
const MICROS_PER_SECOND = 1_000_000

/** Jobs through the API: created, held back, admitted, started, ended. A process of its own for each round. */
function measureController(context: BenchContext): BenchResult[] {
  const count = context.quick ? CONTROLLER_JOBS / 10 : CONTROLLER_JOBS
  const script = fileURLToPath(new URL('harness/queue-server.ts', import.meta.url))
  const cpuMicros: number[] = []
  for (let round = 0; round < (context.quick ? 1 : context.rounds); round++) {
    context.log(`with the API server, ${count} Jobs, round ${round + 1}`)
    const output = execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', script, String(count)], {
      encoding: 'utf8',
      env: { ...process.env, NODE_ENV: 'production' },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    cpuMicros.push((JSON.parse(output) as QueueServerFigures).cpuMicrosPerWorkload)
  }
  const title = `with the API server, ${count} Jobs, 30 queues`
  const micros = median(cpuMicros)
  return [
    benchResult({ metric: `${title}: CPU of both, all threads`, value: micros, unit: 'µs a Job' }),
    benchResult({
      metric: `${title}: from creation to the end, a core`,
      value: MICROS_PER_SECOND / micros,
      unit: 'Jobs/s',
      peer: { name: PUBLISHED, value: SIZES['baseline']!.publishedPerSecond },
    }),
  ]
}

function fairness(context: BenchContext): BenchResult {
  const errors = Array.from({ length: context.rounds }, (_, seed) => measureFairness(seed + 1))
  return benchResult({
    metric: 'core 30 queues that always want more, weights 1 to 3: mean distance of what one had from its weight',
    value: median(errors) * 100,
    unit: '%',
    target: { atMost: 2 },
  })
}

function starvation(context: BenchContext): BenchResult {
  const parts = Array.from({ length: context.rounds }, (_, seed) => measureStarvation(seed + 1).ofBound)
  return benchResult({
    metric:
      'core 4 queues, gangs among single pods that take all that is free: longest wait as first, of what is promised',
    value: Math.max(...parts) * 100,
    unit: '%',
    target: { atMost: 100 },
  })
}
