/** Work under way whose number is bounded by whoever asks {@link whenRoom} before starting more. */
export class InFlight {
  readonly #max: number
  readonly #onError: (error: unknown) => void
  readonly #work = new Set<Promise<void>>()
  #waiters: (() => void)[] = []

  constructor({ max, onError }: { readonly max: number; readonly onError: (error: unknown) => void }) {
    this.#max = max
    this.#onError = onError
  }

  /** Keeps the work until it ends; reports its error. */
  add(work: Promise<void>): void {
    const tracked: Promise<void> = work.catch(this.#onError).finally(() => {
      this.#work.delete(tracked)
      for (const wake of this.#waiters.splice(0)) wake()
    })
    this.#work.add(tracked)
  }

  async whenRoom(): Promise<void> {
    while (this.#work.size >= this.#max) await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }

  /** Resolves when all of it has ended. */
  async drain(): Promise<void> {
    await Promise.all(this.#work)
  }
}
