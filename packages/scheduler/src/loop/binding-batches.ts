import type { Binder, BindItem, BindResult } from './binder.ts'

/** Decisions that go to the binder in one call. */
export const BATCH_ITEMS_MAX = 256
/** Calls to the binder under way at once. */
const BATCHES_IN_FLIGHT_MAX = 4

export interface BindingBatchesDeps {
  readonly binder: Binder
  /** Called once for each item, in the order of the batch. Must not throw. */
  readonly onResult: (item: BindItem, result: BindResult) => void
}

/**
 * Collects decisions into calls of the binder: as many in one as come before the queue of pods runs dry, and a few calls at once.
 * Holds at most what its user adds between two calls of {@link whenRoom}.
 */
export class BindingBatches {
  readonly #deps: BindingBatchesDeps
  readonly #inFlight = new Set<Promise<void>>()
  readonly #roomWaiters: (() => void)[] = []
  #collected: BindItem[] = []
  /** Calls that are complete as they are. */
  #ready: (readonly BindItem[])[] = []
  #flushing = false

  constructor(deps: BindingBatchesDeps) {
    this.#deps = deps
  }

  /** Keeps the item for the next call. */
  add(item: BindItem): void {
    this.#collected.push(item)
    if (this.#collected.length >= BATCH_ITEMS_MAX) this.#send()
  }

  /** Sends the items in one call of their own, however many. */
  addTogether(items: readonly BindItem[]): void {
    this.#ready.push(items)
    this.#send()
  }

  /** Sends what is collected, now or as soon as a call ends. */
  flush(): void {
    this.#flushing = this.#collected.length > 0
    this.#send()
  }

  /** Resolves when another batch can be collected. */
  async whenRoom(): Promise<void> {
    const isFull = (): boolean => this.#collected.length >= BATCH_ITEMS_MAX || this.#ready.length > 0
    while (isFull() && this.#inFlight.size >= BATCHES_IN_FLIGHT_MAX)
      await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
  }

  /** Resolves when everything added so far has its result. */
  async drain(): Promise<void> {
    this.flush()
    while (this.#inFlight.size > 0) await Promise.race(this.#inFlight)
  }

  #send(): void {
    while (
      this.#inFlight.size < BATCHES_IN_FLIGHT_MAX &&
      (this.#ready.length > 0 ||
        this.#collected.length >= BATCH_ITEMS_MAX ||
        (this.#flushing && this.#collected.length > 0))
    ) {
      const items = this.#ready.shift() ?? this.#takeCollected()
      const call: Promise<void> = this.#bind(items).finally(() => {
        this.#inFlight.delete(call)
        this.#send()
        for (const wake of this.#roomWaiters.splice(0)) wake()
      })
      this.#inFlight.add(call)
    }
    if (this.#collected.length === 0) this.#flushing = false
  }

  #takeCollected(): BindItem[] {
    const items = this.#collected.slice(0, BATCH_ITEMS_MAX)
    this.#collected = this.#collected.slice(BATCH_ITEMS_MAX)
    return items
  }

  /** Never rejects. */
  async #bind(items: readonly BindItem[]): Promise<void> {
    const results = await this.#call(items)
    const missing: BindResult = { type: 'failed', error: new Error('The binder gave no result for the pod') }
    for (const [i, item] of items.entries()) this.#deps.onResult(item, results[i] ?? missing)
  }

  async #call(items: readonly BindItem[]): Promise<readonly BindResult[]> {
    try {
      return await this.#deps.binder.bind(items)
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error))
      return items.map(() => ({ type: 'failed', error: failure }))
    }
  }
}
