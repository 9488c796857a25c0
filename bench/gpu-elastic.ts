/**
 * Training jobs that shrink and grow, beside jobs of the size that their users asked for, on a simulated trace with scaling curves. What is compared is time from a
 * job's arrival to its end; the peer is the best of the baselines by each measure.
 */
import { createSeededRandom } from '@centaurus/base'
import { makeTrace } from './gpu-elastic/jobs.ts'
import { backfill, elastic, fifo, tiresias } from './gpu-elastic/policies.ts'
import { simulate, type Policy } from './gpu-elastic/simulate.ts'
import { benchResult, type Bench, type BenchResult } from './harness/bench.ts'
import { percentile } from './harness/measure.ts'

const GPUS = 64
const JOBS = 400
const QUICK_JOBS = 150
/** Of the cluster's time at the sizes that users ask for: with room, full, and more than there is for a while. */
const LOADS = [0.8, 1, 1.2]
/** What starting workers anew from a checkpoint takes. Source: measured per model by Sia (SOSP '23), of that order. */
const RESTART_SECONDS = 30
const BASELINES: readonly Policy[] = [fifo, backfill, tiresias]

export const bench: Bench = {
  summary: 'time to completion of elastic training jobs and of jobs of a fixed size, on a simulated trace',
  // eslint-disable-next-line @typescript-eslint/require-await -- a bench is async, this one has nothing to wait for
  async run({ rounds, quick, log }) {
    const seeds = Array.from({ length: quick ? 1 : rounds }, (_, i) => i + 1)
    return LOADS.flatMap((load) => {
      log(`load ${load}, ${seeds.length} traces`)
      return compare(load, { seeds, jobs: quick ? QUICK_JOBS : JOBS })
    })
  },
}

interface Figures {
  readonly average: number
  readonly p99: number
}

function compare(load: number, { seeds, jobs }: { seeds: readonly number[]; jobs: number }): BenchResult[] {
  const runs = seeds.map((seed) => runAll({ seed, load, jobs, gpus: GPUS }))
  return (['average', 'p99'] as const).map((measure) => {
    const meanOf = (name: string): number => runs.reduce((sum, run) => sum + run.get(name)![measure], 0) / runs.length
    const [best] = BASELINES.map(({ name }) => ({ name, value: meanOf(name) })).sort((a, b) => a.value - b.value)
    const ours = meanOf('elastic')
    return benchResult({
      metric: `load ${load}: how much sooner jobs end, ${measure}; theirs over ours`,
      value: best!.value / ours,
      unit: '×',
      peer: { name: `${best!.name}, ${Math.round(best!.value)} s against ${Math.round(ours)} s`, value: 1 },
      target: { atLeast: 1.5 },
    })
  })
}

function runAll(wanted: Parameters<typeof makeTrace>[0]): ReadonlyMap<string, Figures> {
  const trace = makeTrace(wanted)
  const ours = elastic(createSeededRandom(wanted.seed), { restartSeconds: RESTART_SECONDS })
  return new Map(
    [...BASELINES, ours].map((policy) => {
      const times = simulate(trace, policy, { gpus: wanted.gpus, restartSeconds: RESTART_SECONDS })
      const average = times.reduce((sum, time) => sum + time, 0) / times.length
      return [policy.name, { average, p99: percentile(times, 0.99) }]
    }),
  )
}
