/**
 * Queues of writes that want the same key of the store, such as what a quota has used: one after the other they all get through, where
 * at once all but one would fail and try again. Between servers the commit decides, as ever.
 */
export class Lanes {
  readonly #tails = new Map<string, Promise<void>>()

  /** True while somebody is in the key's lane. */
  isBusy(key: string): boolean {
    return this.#tails.has(key)
  }

  /** Resolves when it is the caller's turn, in the order of the calls; call what it resolves to when done. */
  async enter(key: string): Promise<() => void> {
    const before = this.#tails.get(key)
    let leave = (): void => {}
    const own = new Promise<void>((resolve) => (leave = resolve))
    const tail = (before ?? Promise.resolve()).then(() => own)
    this.#tails.set(key, tail)
    await before
    return () => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
      leave()
    }
  }
}
