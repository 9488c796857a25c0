/** Runs one task after another for each key, in the order of the calls; tasks of different keys run at once. */
export class KeyedLocks {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Resolves and rejects as the task does. */
  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve()
    const mine = before.then(task, task)
    const settled = mine.catch(() => {}) // who called is told
    this.#last.set(key, settled)
    try {
      return await mine
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key)
    }
  }

  /** Whether a task of the key runs or waits. */
  isHeld(key: string): boolean {
    return this.#last.has(key)
  }
}
