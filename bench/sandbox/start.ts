import type { BenchContext, BenchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { compareOutcomes, measureInTurn } from './compare.ts'
import { copyBusybox } from './busybox.ts'
import { runCommand, runContainer } from './run.ts'
import { writeBundle, type Runtime } from './runtimes.ts'

const RUNS = 20
const RUNS_QUICK = 3
const TIMEOUT_MS = 60_000

/** From the start of `RUNTIME run` to its exit, with `true` of a static busybox as program. */
export async function measureStart(context: BenchContext, runtimes: readonly Runtime[]): Promise<BenchResult[]> {
  const bundle = writeBundle(context.directory, { args: ['/bin/true'], fill: copyBusybox })
  const candidates = runtimes.map((runtime) => ({
    name: runtime.name,
    measure: async () => ({ ms: (await runContainer(runtime, { bundle, timeoutMs: TIMEOUT_MS })).ms }),
  }))
  const native = {
    name: 'native',
    measure: async () => ({ ms: (await runCommand([`${bundle}/rootfs/bin/true`], TIMEOUT_MS)).ms }),
  }
  const runs = context.quick ? RUNS_QUICK : RUNS * context.rounds
  context.log(`start: ${runs} runs each`)
  const outcomes = await measureInTurn(runs, [...candidates, native], context.log)
  const compared = { unit: 'ms', figure: 'ms' }
  return [
    ...compareOutcomes(outcomes, {
      ...compared,
      metric: 'run true, median',
      reduce: median,
      targets: { runsc: { ratioAtMost: 0.1 } },
    }),
    ...compareOutcomes(outcomes, { ...compared, metric: 'run true, best', reduce: (all) => Math.min(...all) }),
  ]
}
