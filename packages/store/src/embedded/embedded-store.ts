import { closeSync, fsyncSync, mkdirSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { silentLogger, type Clock, type Logger } from '@centaurus/base'
import { CompactionSchedule, type AutomaticCompaction } from '../compaction.ts'
import { checkTransaction, type Mvcc } from '../mvcc/mvcc.ts'
import { readGet, readRange } from '../mvcc/read.ts'
import type { RevisionNumbers } from '../mvcc/revision-numbers.ts'
import { checkText } from '../mvcc/sort-key.ts'
import { liveAt, type Version } from '../mvcc/version.ts'
import {
  CompactedError,
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
import { checkStamp, openDatabase, type Database } from './database.ts'
import { damagedFile, explainDamage } from './errors.ts'
import { loadStore } from './load.ts'
import { takeLockFile, type LockFile } from './lock-file.ts'
import { checkStoreFile } from './open-file.ts'
import { readValueRecord, RECORD_KEY_BYTES, RECORD_KINDS, recordSlot, writeRecordKey } from './record.ts'
import { WriteQueue } from './write-queue.ts'
import { Writer } from './writer.ts'

/** Log entries freed before other work gets its turn: about a millisecond. */
const SWEEP_REVISIONS_A_TURN = 1_000

/** Files in the store's directory. */
const FILES = { database: 'store.mdb', readers: 'store.mdb-lock', lock: 'store.pid' } as const

export interface EmbeddedStoreOptions {
  /** The store's directory; made when it is missing. One process at a time. */
  readonly path: string
  /** Absent: everything is kept until `compact`. */
  readonly automaticCompaction?: AutomaticCompaction | undefined
  /** Default: one more each commit. */
  readonly revisions?: RevisionNumbers | undefined
  /**
   * Reads everything in a process of its own first. LMDB may crash on a file that was changed behind its back, which nothing here could tell
   * of: for a file on which a process has crashed. Cost: a second for some 500 MB.
   */
  readonly verify?: boolean | undefined
  /** How often an idle watch hears how far it is; default one minute. */
  readonly progressIntervalMs?: number | undefined
  /** Called after each flush to the disk. Must not throw. */
  readonly onFlush?: (() => void) | undefined
  readonly clock?: Clock | undefined
  readonly logger?: Logger | undefined
}

/**
 * Opens a durable store in a directory: `commit` resolves when the change is on disk, and what was acknowledged survives the end
 * of the process at any moment. Keys and revisions are in memory (about 180 bytes a key, 100 an old version); values are on disk.
 * Throws `StoreLockedError` (another process has it) and `StoreFileError` (damaged, or of an unknown format), whose messages name
 * the file and the way out. Cost: about 2 µs a change that is kept, plus 40 ms.
 */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<Store> {
  mkdirSync(options.path, { recursive: true, mode: 0o700 })
  const file = join(options.path, FILES.database)
  const lock = takeLockFile(join(options.path, FILES.lock))
  let database: Database | undefined
  let writer: Writer | undefined
  try {
    await checkStoreFile(file, { verify: options.verify === true })
    rmSync(join(options.path, FILES.readers), { force: true }) // a killed process's readers would keep pages from being reused
    database = openDatabase(file)
    checkStamp(database, file)
    syncDirectory(options.path)
    const starting = Writer.start(file)
    starting.catch(() => {}) // awaited below, when the load has not thrown
    const loaded = loadStore(database, file, options.revisions)
    writer = await starting
    return new EmbeddedStore({ ...loaded, database, writer, lock, file, options })
  } catch (error) {
    await writer?.close()
    await database?.close()
    lock.release()
    throw explainDamage(error, file)
  }
}

/** Makes the file's name durable too: flushing a new file does not (fsync(2)). */
function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

interface EmbeddedStoreDeps {
  readonly mvcc: Mvcc
  readonly dead: readonly Version[]
  readonly database: Database
  readonly writer: Writer
  readonly lock: LockFile
  readonly file: string
  readonly options: EmbeddedStoreOptions
}

class EmbeddedStore implements Store {
  readonly isExclusive = true
  readonly #deps: EmbeddedStoreDeps
  readonly #mvcc: Mvcc
  readonly #hub: WatchHub
  readonly #queue: WriteQueue
  readonly #compaction: CompactionSchedule
  readonly #valueKey = Buffer.alloc(RECORD_KEY_BYTES)
  #sweeping: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #failure: Error | undefined

  constructor(deps: EmbeddedStoreDeps) {
    const { mvcc, database, writer, options } = deps
    const { clock, progressIntervalMs, logger = silentLogger } = options
    this.#deps = deps
    this.#mvcc = mvcc
    this.#hub = new WatchHub({ mvcc, readValue: this.#readValue, clock, progressIntervalMs })
    this.#queue = new WriteQueue({
      mvcc,
      database,
      writer,
      readValue: this.#readValue,
      onVisible: () => {
        this.#hub.advance()
        this.#compaction.onCommit()
      },
      onFlush: options.onFlush,
      onFailure: (error) => this.#fail(error),
    })
    this.#queue.addDead(deps.dead)
    this.#compaction = new CompactionSchedule({
      position: () => mvcc,
      policy: options.automaticCompaction ?? {},
      compact: (revision) => {
        this.compact(revision).catch((error: unknown) => {
          if (!(error instanceof CompactedError)) logger.warn('Could not compact the store, will retry', { error })
        })
      },
      clock,
    })
  }

  async currentRevision(): Promise<number> {
    this.#checkOpen()
    return this.#mvcc.visibleRevision
  }

  async get(key: string, options?: ReadOptions): Promise<GetResult> {
    this.#checkOpen()
    return readGet(this.#mvcc, key, { readValue: this.#readValue, atRevision: options?.atRevision })
  }

  peek(key: string, revision: number): Uint8Array | undefined {
    const version = liveAt(this.#mvcc.head(key), revision)
    return version?.modRevision === revision ? this.#readValue(version) : undefined
  }

  async range(prefix: string, options?: RangeOptions): Promise<RangeResult> {
    this.#checkOpen()
    return readRange(this.#mvcc, prefix, { ...options, readValue: this.#readValue })
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    this.#checkOpen()
    checkTransaction(transaction.compare ?? [], transaction.changes)
    return this.#queue.commit(transaction)
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
    await this.#queue.compactedOnDisk()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { database, writer, lock } = this.#deps
    this.#compaction.close()
    await this.#queue.drained()
    await this.#hub.close()
    await this.#sweeping
    await this.#queue.drained()
    await writer.close()
    await database.close()
    lock.release()
  }

  /** Waits for the live watches first: what they have not been given yet must stay in the log. */
  async #sweep(): Promise<void> {
    await this.#hub.caughtUp()
    while (this.#failure === undefined && this.#closing === undefined) {
      const dead: Version[] = []
      const isFinished = this.#mvcc.sweep(SWEEP_REVISIONS_A_TURN, (version) => dead.push(version))
      this.#queue.addDead(dead)
      if (isFinished) break
      await new Promise((resolve) => setImmediate(resolve))
      await this.#hub.caughtUp()
    }
    this.#sweeping = undefined // in the same turn as the last sweep: a later compaction starts a new one
  }

  readonly #readValue = (version: Version): Uint8Array => {
    if (version.value !== undefined) return version.value
    const { database, file } = this.#deps
    const revision = version.modRevision
    writeRecordKey(this.#valueKey, 0, { kind: RECORD_KINDS.value, revision, slot: recordSlot(version) })
    const record = database.get(this.#valueKey)
    const value = record && readValueRecord(record)
    if (value === undefined) throw damagedFile(file, `the value of ${version.key} at revision ${revision} is damaged`)
    return value
  }

  #fail(error: Error): void {
    this.#failure = error
    this.#compaction.close()
    this.#hub.endAll(error)
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closing !== undefined) throw new StoreClosedError('The store is closed')
  }
}
