/**
 * How many of a cluster's GPUs pods get, by a trace: `npm run bench -- gpu-placement --trace DIR`. Each list of pods in the folder is inflated to 130 % of
 * all GPUs and comes in random order; nothing ends. Ours is the scheduler's own core, decision by decision; published policies see the same pods.
 */
import { createSeededRandom } from '@centaurus/base'
import { benchResult, type Bench, type BenchContext, type BenchResult } from './harness/bench.ts'
import { placeByCore } from './harness/gpu-ours.ts'
import { PEERS, placeByPeer, type Peer } from './harness/gpu-peers.ts'
import { gpusOf, inflate, readGpuTrace, type GpuTrace, type PodList } from './harness/gpu-trace.ts'
import { median } from './harness/measure.ts'

const DEMAND = 1.3
const SEEDS = 10
const DECISIONS_PER_SECOND_MIN = 2_000
/** Percent, by list; of others there is no target but best fit. */
const TARGETS: Readonly<Record<string, number>> = { default: 95.6 }
const BAR_WIDTH = 40

export const bench: Bench = {
  summary: 'GPUs that pods of a public trace get, ours beside best fit, FGD as published and random (--trace DIR)',
  needsTrace: true,
  async run(context) {
    const trace = readGpuTrace(context.trace ?? '')
    const results: BenchResult[] = []
    const rates: number[] = []
    for (const list of trace.lists) {
      const figures = measureList(context, trace, list)
      rates.push(...figures.rates)
      context.log(drawBars(list.name, figures.shares))
      results.push(...describeList(list.name, figures.shares))
    }
    const target = { atLeast: DECISIONS_PER_SECOND_MIN }
    return [...results, benchResult({ metric: 'decisions, a core', value: median(rates), unit: '/s', target })]
  },
}

/** Percent of all GPUs, the mean over seeds. */
type Shares = Readonly<Record<Peer | 'ours', number>>

function measureList(
  { quick }: BenchContext,
  { nodes }: GpuTrace,
  { pods }: PodList,
): { readonly shares: Shares; readonly rates: readonly number[] } {
  const gpus = gpusOf(nodes)
  const sums: Record<Peer | 'ours', number> = { ours: 0, 'best fit': 0, FGD: 0, random: 0 }
  const rates: number[] = []
  const seeds = quick ? 1 : SEEDS
  for (let seed = 1; seed <= seeds; seed++) {
    const arrivals = inflate(pods, { gpus: DEMAND * gpus, random: createSeededRandom(seed) })
    const ours = placeByCore(nodes, arrivals, createSeededRandom(seed))
    rates.push(ours.decisionsPerSecond)
    sums.ours += ours.allocated
    for (const peer of PEERS)
      sums[peer] += placeByPeer(peer, { nodes, arrivals, known: pods, random: createSeededRandom(seed) })
  }
  const shareOf = (sum: number): number => Number(((sum * 100) / (seeds * gpus)).toFixed(2))
  const shares = Object.fromEntries(Object.entries(sums).map(([policy, sum]) => [policy, shareOf(sum)])) as Record<
    Peer | 'ours',
    number
  >
  return { shares, rates }
}

/** Hundredths count here, so figures are not rounded to three digits. */
function describeList(name: string, shares: Shares): BenchResult[] {
  const { ours } = shares
  const ratio = (peer: Peer): number => Number((ours / shares[peer]).toFixed(4))
  const figures = PEERS.map((peer): BenchResult => {
    const meets = peer === 'best fit' ? { target: '≥ 1 × best fit', meets: ours >= shares[peer] } : {}
    return {
      metric: `${name}: GPUs given`,
      value: ours,
      unit: '%',
      peer,
      peerValue: shares[peer],
      ratio: ratio(peer),
      ...meets,
    }
  })
  const target = TARGETS[name]
  if (target === undefined) return figures
  return [
    { metric: `${name}: GPUs given`, value: ours, unit: '%', target: `≥ ${target}`, meets: ours >= target },
    ...figures,
  ]
}

/** From 80 %: all of them are far from nothing. */
function drawBars(name: string, shares: Shares): string {
  const from = 80
  const rows = Object.entries(shares).map(([policy, share]) => {
    const bar = '█'.repeat(Math.max(0, Math.round(((share - from) / (100 - from)) * BAR_WIDTH)))
    return `  ${policy.padEnd(10)}${bar.padEnd(BAR_WIDTH, '·')} ${share.toFixed(2)} %`
  })
  return [`${name} (${from} to 100 %)`, ...rows].join('\n')
}
