import type { ShaperCounts } from '../dataplane/dataplane.ts'
import { planRates, type LevelUse, type RateHistory } from './plan-rates.ts'

type Counts = Pick<ShaperCounts, 'backlogNs' | 'bytes' | 'drops'>

/** Turns counters that only grow into what each level did between two looks, and that into rates. */
export class RateController {
  #history: RateHistory = []
  #before: { readonly levels: readonly Counts[]; readonly atMs: number } | undefined

  /** The link is another: nothing that was seen counts. */
  forget(): void {
    this.#history = []
    this.#before = undefined
  }

  /** Undefined: there is nothing to compare with yet. */
  next(
    levels: readonly Counts[],
    { nowMs, bandwidth }: { readonly nowMs: number; readonly bandwidth: number },
  ): { readonly rates: readonly number[]; readonly isBusy: boolean } | undefined {
    const before = this.#before
    this.#before = { levels, atMs: nowMs }
    const seconds = before === undefined ? 0 : (nowMs - before.atMs) / 1000
    if (before === undefined || seconds <= 0) return undefined
    const uses = levels.map((now, level): LevelUse => {
      const then = before.levels[level] ?? now
      return {
        bandwidth: ((now.bytes - then.bytes) * 8) / seconds,
        backlogNs: now.backlogNs,
        drops: now.drops - then.drops,
      }
    })
    const { history, ...plan } = planRates(this.#history, uses, bandwidth)
    this.#history = history
    return plan
  }
}
