import type { BenchContext, BenchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { copyBusybox } from './busybox.ts'
import { compareOutcomes, measureInTurn } from './compare.ts'
import { runContainer } from './run.ts'
import { writeBundle, type Runtime } from './runtimes.ts'

const AT_ONCE = 4
const SANDBOXES = 40
const SANDBOXES_QUICK = 8
const TIMEOUT_MS = 60_000

/** Sandboxes a second that start, run `true`, end and are deleted, a few at once. */
export async function measureDensity(context: BenchContext, runtimes: readonly Runtime[]): Promise<BenchResult[]> {
  const sandboxes = context.quick ? SANDBOXES_QUICK : SANDBOXES
  const bundle = writeBundle(context.directory, { args: ['/bin/true'], fill: copyBusybox })
  context.log(`density: ${sandboxes} sandboxes, ${AT_ONCE} at once`)
  const candidates = runtimes.map((runtime) => ({
    name: runtime.name,
    measure: async () => ({ perSecond: await startMany({ runtime, bundle, sandboxes }) }),
  }))
  const outcomes = await measureInTurn(context.quick ? 1 : context.rounds, candidates, context.log)
  const metric = `run true, ${AT_ONCE} at once`
  return compareOutcomes(outcomes, { metric, unit: 'sandboxes/s', figure: 'perSecond', reduce: median })
}

/** Rejects with the first failure, after all that were under way have ended. */
async function startMany(options: {
  readonly runtime: Runtime
  readonly bundle: string
  readonly sandboxes: number
}): Promise<number> {
  const { runtime, bundle, sandboxes } = options
  const start = performance.now()
  let left = sandboxes
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left--
      await runContainer(runtime, { bundle, timeoutMs: TIMEOUT_MS })
    }
  }
  const workers = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker))
  const failed = workers.find((each) => each.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return (sandboxes * 1_000) / (performance.now() - start)
}
