import {
  StoreUnavailableError,
  type CommitResult,
  type Store,
  type StoreWatch,
  type Transaction,
} from '@centaurus/store'

/** At which commit a process dies, among those that count. */
export interface Death {
  /** 1: the first. */
  readonly step: number
  /** `after`: the commit is made, and nobody hears of it. */
  readonly when: 'before' | 'after'
  /** Which commits count. */
  readonly counts: (transaction: Transaction) => boolean
  readonly onDeath: () => void
}

/** What a process sees of a store that outlives it: from its death on nothing more. */
export class MortalStore implements Store {
  readonly #store: Store
  #death: Death | undefined
  #step = 0
  #isDead = false

  constructor(store: Store) {
    this.#store = store
  }

  dieAt(death: Death): void {
    this.#death = death
    this.#step = 0
  }

  /** Not to die any more. */
  spare(): void {
    this.#death = undefined
  }

  currentRevision: Store['currentRevision'] = () => this.#alive(() => this.#store.currentRevision())
  get: Store['get'] = (key, options) => this.#alive(() => this.#store.get(key, options))
  range: Store['range'] = (prefix, options) => this.#alive(() => this.#store.range(prefix, options))
  compact: Store['compact'] = (revision) => this.#alive(() => this.#store.compact(revision))

  commit: Store['commit'] = (transaction) =>
    this.#alive(async (): Promise<CommitResult> => {
      const death = this.#death
      if (death?.counts(transaction) !== true || ++this.#step !== death.step) return this.#store.commit(transaction)
      if (death.when === 'before') this.#isDead = true
      const result = death.when === 'after' ? await this.#store.commit(transaction) : undefined
      this.#isDead = true
      death.onDeath()
      return result ?? (await this.#alive(() => this.#store.commit(transaction)))
    })

  watch: Store['watch'] = (prefix, options): StoreWatch =>
    this.#store.watch(prefix, {
      ...options,
      onEvents: (events, revision) => {
        if (!this.#isDead) options.onEvents(events, revision)
      },
      onProgress: (revision) => {
        if (!this.#isDead) options.onProgress?.(revision)
      },
    })

  async close(): Promise<void> {}

  async #alive<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#isDead) {
      const result = await work()
      if (!this.#isDead) return result
    }
    throw new StoreUnavailableError('The process is dead')
  }
}
