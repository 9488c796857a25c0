import {
  CompactedError,
  FutureRevisionError,
  type CommitResult,
  type KeyValue,
  type ReadOptions,
  type Store,
  type StoreEvent,
} from '../store.ts'

/**
 * Revisions that one store may use: [base, base + span). More than a store reaches in a hundred years of 300 commits a second, and 9,000 spans fit
 * below `Number.MAX_SAFE_INTEGER`.
 */
export const REVISION_SPAN = 1_000_000_000_000

/**
 * A store whose revisions start at `base`, a multiple of {@link REVISION_SPAN}. Partitions have different ones, so that a revision tells from which store it
 * is: what a client read of a tenant before it moved can't be taken for a revision of the store to which it moved. Revisions below `base` are
 * `CompactedError` for reads and watches. With base 0 it is `store` itself.
 */
export function withRevisionBase(store: Store, base: number): Store {
  if (!Number.isSafeInteger(base / REVISION_SPAN) || base < 0)
    throw new RangeError(`Cannot use revision base ${base}: it must be a multiple of ${REVISION_SPAN}`)
  return base === 0 ? store : shiftRevisions(store, base)
}

/** {@link withRevisionBase} for any `base`, negative ones too: shifting there and back must make no difference, which a test checks. */
export function shiftRevisions(store: Store, base: number): Store {
  return new BasedStore(store, base)
}

class BasedStore implements Store {
  readonly #store: Store
  readonly #base: number
  readonly peek?: NonNullable<Store['peek']>

  constructor(store: Store, base: number) {
    this.#store = store
    this.#base = base
    if (store.peek !== undefined) this.peek = (key, revision) => store.peek?.(key, revision - base)
  }

  async currentRevision(): Promise<number> {
    return this.#base + (await this.#store.currentRevision())
  }

  get: Store['get'] = async (key, options) => {
    const own = this.#readOptions(options)
    const { revision, entry } = await this.#translated(() => this.#store.get(key, own))
    return { revision: revision + this.#base, entry: this.#entry(entry) }
  }

  range: Store['range'] = async (prefix, options) => {
    const own = { ...options, ...this.#readOptions(options) }
    const result = await this.#translated(() => this.#store.range(prefix, own))
    const entries = result.entries.map((entry) => shift(entry, this.#base))
    return { ...result, revision: result.revision + this.#base, entries }
  }

  commit: Store['commit'] = async ({ compare = [], changes }) => {
    const own = compare.map(({ key, modRevision }) => ({ key, modRevision: this.#toOwnComparison(modRevision) }))
    const result = await this.#store.commit({ compare: own, changes })
    const revision = result.revision + this.#base
    if (result.committed) return { committed: true, revision }
    const found = result.found.map((entry) => this.#entry(entry))
    return { committed: false, revision, found } satisfies CommitResult
  }

  watch: Store['watch'] = (prefix, options) => {
    const { fromRevision = 0, onProgress } = options
    if (fromRevision !== 0 && fromRevision <= this.#base)
      return endedWatch(options.onEnd, new CompactedError(fromRevision, this.#base))
    return this.#store.watch(prefix, {
      ...options,
      fromRevision: fromRevision === 0 ? 0 : fromRevision - this.#base,
      onEvents: (events, revision) =>
        options.onEvents(
          events.map((event) => this.#event(event)),
          revision + this.#base,
        ),
      ...(onProgress === undefined ? {} : { onProgress: (revision: number) => onProgress(revision + this.#base) }),
      onEnd: (error) => options.onEnd(error === undefined ? undefined : this.#error(error)),
    })
  }

  compact: Store['compact'] = async (revision) => {
    if (revision <= this.#base) throw new CompactedError(revision, this.#base)
    await this.#translated(() => this.#store.compact(revision - this.#base))
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #readOptions(options: ReadOptions | undefined): ReadOptions {
    const at = options?.atRevision ?? 0
    if (at === 0) return {}
    if (at <= this.#base) throw new CompactedError(at, this.#base)
    return { atRevision: at - this.#base }
  }

  /** 0 stays "must not exist"; a revision of another store can't be that of a key here. */
  #toOwnComparison(modRevision: number): number {
    if (modRevision === 0) return 0
    return modRevision > this.#base ? modRevision - this.#base : Number.MAX_SAFE_INTEGER
  }

  #entry(entry: KeyValue | undefined): KeyValue | undefined {
    return entry === undefined ? undefined : shift(entry, this.#base)
  }

  #event(event: StoreEvent): StoreEvent {
    const previous = this.#entry(event.previous)
    if (event.type === 'put') return { type: 'put', entry: shift(event.entry, this.#base), previous }
    return { ...event, modRevision: event.modRevision + this.#base, previous }
  }

  async #translated<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw this.#error(error as Error)
    }
  }

  #error(error: Error): Error {
    if (error instanceof CompactedError)
      return new CompactedError(error.requested + this.#base, error.compactedRevision + this.#base)
    if (error instanceof FutureRevisionError)
      return new FutureRevisionError(error.requested + this.#base, error.current + this.#base)
    return error
  }
}

function shift(entry: KeyValue, base: number): KeyValue {
  return {
    key: entry.key,
    value: entry.value,
    createRevision: entry.createRevision + base,
    modRevision: entry.modRevision + base,
    version: entry.version,
  }
}

function endedWatch(onEnd: (error: Error | undefined) => void, error: Error): ReturnType<Store['watch']> {
  let isEnded = false
  const end = (reason: Error | undefined): void => {
    if (isEnded) return
    isEnded = true
    onEnd(reason)
  }
  queueMicrotask(() => end(error))
  return { requestProgress: () => {}, close: () => queueMicrotask(() => end(undefined)) }
}
