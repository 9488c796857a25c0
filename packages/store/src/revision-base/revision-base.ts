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
 * Revisions that one store may use: [base, base + span). More than a store reaches that is open for 31 years, where they grow with time by
 * 10,000 a second; and 900 spans fit below `Number.MAX_SAFE_INTEGER`.
 */
export const REVISION_SPAN = 10_000_000_000_000
/** How many stores can have a span of their own. */
export const REVISION_SPANS_MAX = Math.floor(Number.MAX_SAFE_INTEGER / REVISION_SPAN)

/** Whether two revisions may be of the same store. */
export function isSameSpan(a: number, b: number): boolean {
  return Math.floor(a / REVISION_SPAN) === Math.floor(b / REVISION_SPAN)
}

/**
 * A store whose revisions start at `base`, a multiple of {@link REVISION_SPAN}. Partitions have different ones, so that a revision tells from which store it
 * is: what a client read of a tenant before it moved can't be taken for a revision of the store to which it moved. Revisions below `base` are
 * `CompactedError` for reads and watches. With base 0 it is `store` itself.
 */
export function withRevisionBase(store: Store, base: number): Store {
  const index = base / REVISION_SPAN
  if (!Number.isSafeInteger(index) || index < 0 || index >= REVISION_SPANS_MAX) {
    const what = `one of the first ${REVISION_SPANS_MAX} multiples of ${REVISION_SPAN}, from 0 on`
    throw new RangeError(`Cannot use revision base ${base}: it must be ${what}`)
  }
  return base === 0 ? store : shiftRevisions(store, base)
}

/** {@link withRevisionBase} for any `base`, negative ones too: shifting there and back must make no difference, which a test checks. */
export function shiftRevisions(store: Store, base: number): Store {
  return renumberRevisions(store, { shown: (own) => own + base, own: (shown) => shown - base })
}

/** How the revisions of a store are shown, in the same order. */
export interface Renumbering {
  readonly shown: (own: number) => number
  /** The inverse. Below 1: there is none, and whoever asks is told that it is compacted. */
  readonly own: (shown: number) => number
}

/** The store, with other numbers. */
export function renumberRevisions(store: Store, numbering: Renumbering): Store {
  return new RenumberedStore(store, numbering)
}

class RenumberedStore implements Store {
  readonly isExclusive: boolean | undefined
  readonly #store: Store
  readonly #shown: Renumbering['shown']
  readonly #own: Renumbering['own']
  readonly peek?: NonNullable<Store['peek']>

  constructor(store: Store, { shown, own }: Renumbering) {
    this.#store = store
    this.isExclusive = store.isExclusive
    this.#shown = shown
    this.#own = own
    if (store.peek !== undefined) this.peek = (key, revision) => store.peek?.(key, own(revision))
  }

  async currentRevision(): Promise<number> {
    return this.#shown(await this.#store.currentRevision())
  }

  get: Store['get'] = async (key, options) => {
    const own = this.#readOptions(options)
    const { revision, entry } = await this.#translated(() => this.#store.get(key, own))
    return { revision: this.#shown(revision), entry: this.#entry(entry) }
  }

  range: Store['range'] = async (prefix, options) => {
    const own = { ...options, ...this.#readOptions(options) }
    const result = await this.#translated(() => this.#store.range(prefix, own))
    const entries = result.entries.map((entry) => this.#show(entry))
    return { ...result, revision: this.#shown(result.revision), entries }
  }

  commit: Store['commit'] = async ({ compare = [], changes }) => {
    const own = compare.map(({ key, modRevision }) => ({ key, modRevision: this.#toOwnComparison(modRevision) }))
    const result = await this.#store.commit({ compare: own, changes })
    const revision = this.#shown(result.revision)
    if (result.committed) return { committed: true, revision }
    const found = result.found.map((entry) => this.#entry(entry))
    return { committed: false, revision, found } satisfies CommitResult
  }

  watch: Store['watch'] = (prefix, options) => {
    const { fromRevision = 0, onProgress } = options
    if (fromRevision !== 0 && this.#own(fromRevision) < 1)
      return endedWatch(options.onEnd, this.#compacted(fromRevision))
    return this.#store.watch(prefix, {
      ...options,
      fromRevision: fromRevision === 0 ? 0 : this.#own(fromRevision),
      onEvents: (events, revision) =>
        options.onEvents(
          events.map((event) => this.#event(event)),
          this.#shown(revision),
        ),
      ...(onProgress === undefined ? {} : { onProgress: (revision: number) => onProgress(this.#shown(revision)) }),
      onEnd: (error) => options.onEnd(error === undefined ? undefined : this.#error(error)),
    })
  }

  compact: Store['compact'] = async (revision) => {
    if (this.#own(revision) < 1) throw this.#compacted(revision)
    await this.#translated(() => this.#store.compact(this.#own(revision)))
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #readOptions(options: ReadOptions | undefined): ReadOptions {
    const at = options?.atRevision ?? 0
    if (at === 0) return {}
    if (this.#own(at) < 1) throw this.#compacted(at)
    return { atRevision: this.#own(at) }
  }

  /** 0 stays "must not exist"; a revision of another store can't be that of a key here. */
  #toOwnComparison(modRevision: number): number {
    if (modRevision === 0) return 0
    const own = this.#own(modRevision)
    return own < 1 ? Number.MAX_SAFE_INTEGER : own
  }

  #entry(entry: KeyValue | undefined): KeyValue | undefined {
    return entry === undefined ? undefined : this.#show(entry)
  }

  #show({ key, value, createRevision, modRevision, version }: KeyValue): KeyValue {
    return { key, value, createRevision: this.#shown(createRevision), modRevision: this.#shown(modRevision), version }
  }

  #event(event: StoreEvent): StoreEvent {
    const previous = this.#entry(event.previous)
    if (event.type === 'put') return { type: 'put', entry: this.#show(event.entry), previous }
    return { ...event, modRevision: this.#shown(event.modRevision), previous }
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
      return new CompactedError(this.#shown(error.requested), this.#shown(error.compactedRevision))
    if (error instanceof FutureRevisionError)
      return new FutureRevisionError(this.#shown(error.requested), this.#shown(error.current))
    return error
  }

  #compacted(requested: number): CompactedError {
    return new CompactedError(requested, this.#shown(0))
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
