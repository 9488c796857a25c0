import { fileURLToPath } from 'node:url'
import { openTestDataplane } from '@centaurus/network/testing'
import type { Bench, BenchContext, BenchResult } from './harness/bench.ts'
import { runMain } from './harness/namespaces.ts'
import { measureClasses, measureLimitChange } from './qos/classes.ts'
import { measureCosts } from './qos/costs.ts'
import { measureLimits } from './qos/limits.ts'
import { measureFlowFairness, measurePodFairness, measureRate } from './qos/rates.ts'

const BANDWIDTHS = [1e6, 10e6, 100e6, 1e9, 10e9]

/** Needs root. */
export const bench: Bench = {
  summary: 'shaping: what it costs a packet, how right and fair its rates are, how long packets wait, against others',
  run,
}

async function run(context: BenchContext): Promise<readonly BenchResult[]> {
  if (process.getuid?.() !== 0) throw new Error('Cannot measure shaping: run it as root')
  const host = await openTestDataplane()
  try {
    const costs = measureCosts(host, context)
    context.log('in virtual time: rates, shares, limits')
    const shares = [
      ...[false, true].map((canMark) => measureFlowFairness(host, { canMark })),
      ...measurePodFairness(host),
    ]
    const rates = BANDWIDTHS.map((each) => measureRate(host, each))
    const limits = measureLimits(host)
    context.log('in virtual time: classes')
    context.log('real sockets: a flood of a link, HTB')
    const flood = await runMain(fileURLToPath(new URL('qos/main.ts', import.meta.url)), [])
    return [...costs, ...rates, ...shares, ...limits, ...measureClasses(host), ...measureLimitChange(host), ...flood]
  } finally {
    host.close()
  }
}
