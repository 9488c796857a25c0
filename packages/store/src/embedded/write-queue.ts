/**
 * Groups commits into disk transactions. While one transaction is being written, new commits wait; the next one takes them all. So
 * a lone commit starts at once, and under load one flush serves many.
 *
 * Nothing is told to anybody (an answer, a watch event, a read) before it is on disk: commits are applied to the index when their
 * transaction starts, become visible when it is done, and are rolled back when it fails.
 */
import type { Mvcc } from '../mvcc/mvcc.ts'
import type { ReadValue, Version } from '../mvcc/version.ts'
import { StoreFullError, type CommitResult, type Transaction } from '../store.ts'
import { applyBatch, encodePut, encodePuts, refuseBatch, type Batch, type PendingCommit } from './batch.ts'
import { compactedKey, compactedValue, readCompactedRevision, type Database } from './database.ts'
import { DeadRecords, encodeDeletes } from './dead-records.ts'
import { RecentValues } from './recent-values.ts'
import type { WriteRequest } from './writer-protocol.ts'
import type { Writer } from './writer.ts'

/** What one transaction takes: bounds the time that a commit waits for the one before it. */
const BATCH_COMMITS_MAX = 1_024
const BATCH_BYTES_MAX = 8 * 2 ** 20

/** Deletions that ride on a transaction of commits, and that get one of their own when there are none: about a millisecond each. */
const DELETES_BESIDE_COMMITS_MAX = 256
const DELETES_ALONE_MAX = 1_024

/** Values of the newest commits kept in memory: events and overwritten values of busy keys then need no read. */
const RECENT_VALUES_BYTES_MAX = 4 * 2 ** 20

const NO_BYTES = new Uint8Array(0)

export interface WriteQueueDeps {
  readonly mvcc: Mvcc
  readonly database: Database
  readonly writer: Writer
  readonly readValue: ReadValue
  readonly onVisible: () => void
  /** Called when a disk transaction is done: each is one flush. */
  readonly onFlush?: (() => void) | undefined
  /** Called once, when nothing can be written any more. */
  readonly onFailure: (error: Error) => void
}

export class WriteQueue {
  readonly #deps: WriteQueueDeps
  readonly #dead = new DeadRecords()
  readonly #recent = new RecentValues(RECENT_VALUES_BYTES_MAX)
  #pending: PendingCommit[] = []
  #compactedOnDisk: number
  #running: Promise<void> | undefined
  #failure: Error | undefined

  constructor(deps: WriteQueueDeps) {
    this.#deps = deps
    this.#compactedOnDisk = readCompactedRevision(deps.database)
  }

  /** Queues a checked transaction; resolves when it is on disk. */
  commit(transaction: Transaction): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ transaction, stamp: this.#deps.mvcc.stamp(), resolve, reject })
      this.#start()
    })
  }

  /** Queues the records of dead versions for deletion, in the background. */
  addDead(versions: readonly Version[]): void {
    this.#dead.add(versions)
    if (this.#dead.size > 0) this.#start()
  }

  /** Resolves when the compacted revision is on disk. Throws {@link StoreFullError} when there is no room for that. */
  async compactedOnDisk(): Promise<void> {
    while (this.#compactedOnDisk < this.#deps.mvcc.compactedRevision) {
      const before = this.#compactedOnDisk
      this.#start()
      await this.#running
      if (this.#failure !== undefined) throw this.#failure
      if (this.#compactedOnDisk === before) throw new StoreFullError('Cannot compact the store: its disk is full')
    }
  }

  /** Resolves when every queued commit has been answered. Deletions that are left are found again at the next start. */
  async drained(): Promise<void> {
    while (this.#running !== undefined && this.#pending.length > 0) await Promise.race([this.#running, nextTurn()])
    await this.#running
  }

  /** Starts after the caller's turn, so that commits made in one turn go together. */
  #start(): void {
    this.#running ??= Promise.resolve().then(() => this.#run())
  }

  async #run(): Promise<void> {
    while (this.#failure === undefined && this.#hasWork()) {
      if (!(await this.#writeOnce(this.#takePending()))) break
    }
    this.#running = undefined // in the same turn as the last look: what comes later starts a new run
    if (this.#failure !== undefined) for (const { reject } of this.#pending.splice(0)) reject(this.#failure)
  }

  #hasWork(): boolean {
    return this.#pending.length > 0 || this.#dead.size > 0 || this.#compactedOnDisk < this.#deps.mvcc.compactedRevision
  }

  #takePending(): readonly PendingCommit[] {
    let bytes = 0
    let count = 0
    while (count < this.#pending.length && count < BATCH_COMMITS_MAX && bytes < BATCH_BYTES_MAX) {
      for (const change of this.#pending[count++]!.transaction.changes) {
        if (change.type === 'put') bytes += change.value.byteLength
      }
    }
    return this.#pending.splice(0, count)
  }

  /** One transaction. False when the disk is full and nothing is waiting that could be tried. */
  async #writeOnce(pending: readonly PendingCommit[]): Promise<boolean> {
    const { mvcc } = this.#deps
    const batch = applyBatch(mvcc, pending, this.#deps.readValue)
    try {
      await this.#write(batch.commits, batch.commits.length > 0 ? DELETES_BESIDE_COMMITS_MAX : DELETES_ALONE_MAX)
    } catch (error) {
      mvcc.rollBack(mvcc.visibleRevision)
      refuseBatch(mvcc, batch, { error: error as Error, readValue: this.#deps.readValue })
      if (!(error instanceof StoreFullError)) return this.#fail(error as Error)
      return this.#makeRoom()
    }
    this.#publish(batch)
    return true
  }

  #publish(batch: Batch): void {
    const { mvcc, database, onVisible } = this.#deps
    if (batch.commits.length > 0) {
      database.resetReadTxn() // the next read sees what the writer wrote
      mvcc.makeVisible(mvcc.appliedRevision)
      for (const versions of batch.commits) this.#recent.add(versions)
      onVisible()
    }
    for (const { pending, result } of batch.items) pending.resolve(result)
  }

  /**
   * Deletes dead records on a full disk. That needs some pages before it frees any, the fewer the less it deletes: so it tries
   * smaller and smaller steps. False when there is nothing more to try.
   */
  async #makeRoom(): Promise<boolean> {
    if (this.#dead.size === 0 && this.#compactedOnDisk === this.#deps.mvcc.compactedRevision) return true
    for (let deletesMax = DELETES_BESIDE_COMMITS_MAX; deletesMax >= 1; deletesMax /= 4) {
      try {
        await this.#write([], deletesMax)
        return true
      } catch (error) {
        if (!(error instanceof StoreFullError)) return this.#fail(error as Error)
      }
    }
    return this.#pending.length > 0
  }

  async #write(commits: readonly (readonly Version[])[], deletesMax: number): Promise<void> {
    const { mvcc } = this.#deps
    const compacted = mvcc.compactedRevision
    const mustCompact = compacted > this.#compactedOnDisk
    const dead = this.#dead.take(deletesMax)
    if (commits.length === 0 && dead.length === 0 && !mustCompact) return
    try {
      // On disk before the first deletion that it allows, or a reopened store would miss revisions that it promises.
      if (mustCompact)
        await this.#flush({ puts: encodePut(compactedKey(), compactedValue(compacted)), deletes: NO_BYTES })
      this.#compactedOnDisk = compacted
      if (commits.length > 0 || dead.length > 0) {
        await this.#flush({ puts: encodePuts(commits, mvcc.visibleRevision), deletes: encodeDeletes(dead) })
      }
    } catch (error) {
      this.#dead.putBack(dead)
      throw error
    }
  }

  async #flush(request: WriteRequest): Promise<void> {
    await this.#deps.writer.write(request)
    this.#deps.onFlush?.()
  }

  #fail(error: Error): false {
    this.#failure = error
    this.#deps.onFailure(error)
    return false
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
