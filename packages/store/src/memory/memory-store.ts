import { assert, type Clock } from '@centaurus/base'
import { CompactionSchedule, type AutomaticCompaction } from '../compaction.ts'
import { checkTransaction, Mvcc } from '../mvcc/mvcc.ts'
import { readGet, readRange } from '../mvcc/read.ts'
import type { RevisionNumbers } from '../mvcc/revision-numbers.ts'
import { checkText } from '../mvcc/sort-key.ts'
import { liveAt, toKeyValue, type Version } from '../mvcc/version.ts'
import {
  StoreClosedError,
  type CommitResult,
  type GetResult,
  type RangeOptions,
  type RangeResult,
  type ReadOptions,
  type Store,
  type StoreWatch,
  type Transaction,
  type WatchOptions,
} from '../store.ts'
import { WatchHub } from '../watch/watch-hub.ts'

/** Log entries freed before other work gets its turn: about a millisecond. */
const SWEEP_REVISIONS_A_TURN = 1_000

export interface MemoryStoreOptions {
  /** Absent: everything is kept until `compact`. */
  readonly automaticCompaction?: AutomaticCompaction | undefined
  /** Default: one more each commit. */
  readonly revisions?: RevisionNumbers | undefined
  /** How often an idle watch hears how far it is; default one minute. */
  readonly progressIntervalMs?: number | undefined
  readonly clock?: Clock | undefined
}

/**
 * A store in this process's memory, gone with it: for tests, simulations and throw-away clusters. Keeps the very value arrays it
 * is given (no copy). Costs about 180 bytes a key and 100 an old version beside the values.
 */
export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  return new MemoryStore(options)
}

class MemoryStore implements Store {
  readonly isExclusive = true
  readonly #mvcc: Mvcc
  readonly #hub: WatchHub
  readonly #compaction: CompactionSchedule
  #sweeping: Promise<void> | undefined
  #closed = false

  constructor(options: MemoryStoreOptions) {
    const { clock, progressIntervalMs, revisions } = options
    this.#mvcc = new Mvcc({ numbers: revisions })
    this.#hub = new WatchHub({ mvcc: this.#mvcc, readValue, clock, progressIntervalMs })
    this.#compaction = new CompactionSchedule({
      position: () => this.#mvcc,
      policy: options.automaticCompaction ?? {},
      compact: (revision) => void this.compact(revision),
      clock,
    })
  }

  async currentRevision(): Promise<number> {
    this.#checkOpen()
    return this.#mvcc.visibleRevision
  }

  async get(key: string, options?: ReadOptions): Promise<GetResult> {
    this.#checkOpen()
    return readGet(this.#mvcc, key, { readValue, atRevision: options?.atRevision })
  }

  peek(key: string, revision: number): Uint8Array | undefined {
    const version = liveAt(this.#mvcc.head(key), revision)
    return version?.modRevision === revision ? version.value : undefined
  }

  async range(prefix: string, options?: RangeOptions): Promise<RangeResult> {
    this.#checkOpen()
    return readRange(this.#mvcc, prefix, { ...options, readValue })
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    this.#checkOpen()
    const { compare = [], changes } = transaction
    checkTransaction(compare, changes)
    const found = this.#mvcc.failedComparison(compare)
    if (found !== undefined) {
      const entries = found.map((version) => version && toKeyValue(version, readValue))
      return { committed: false, revision: this.#mvcc.visibleRevision, found: entries }
    }
    this.#mvcc.apply(changes, this.#mvcc.stamp())
    const revision = this.#mvcc.appliedRevision
    if (revision > this.#mvcc.visibleRevision) {
      this.#mvcc.makeVisible(revision)
      this.#hub.advance()
      this.#compaction.onCommit()
    }
    return { committed: true, revision }
  }

  watch(prefix: string, options: WatchOptions): StoreWatch {
    checkText(prefix)
    return this.#hub.watch(prefix, options)
  }

  async compact(revision: number): Promise<void> {
    this.#checkOpen()
    this.#mvcc.compact(revision)
    this.#sweeping ??= this.#sweep()
    await this.#sweeping
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#compaction.close()
    await this.#hub.close()
    await this.#sweeping
  }

  /** Waits for the live watches first: what they have not been given yet must stay in the log. */
  async #sweep(): Promise<void> {
    await this.#hub.caughtUp()
    while (!this.#closed && !this.#mvcc.sweep(SWEEP_REVISIONS_A_TURN)) {
      await new Promise((resolve) => setImmediate(resolve))
      await this.#hub.caughtUp()
    }
    this.#sweeping = undefined // in the same turn as the last sweep: a later compaction starts a new one
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreClosedError('The store is closed')
  }
}

function readValue(version: Version): Uint8Array {
  assert(version.value !== undefined, 'a put in memory has its value')
  return version.value
}
