import { randomUUID } from 'node:crypto'
import { silentLogger, systemClock, systemRandom, type Clock, type Logger, type Random } from '@centaurus/base'
import { CompactionSchedule, type AutomaticCompaction } from '../compaction.ts'
import { checkTransaction } from '../mvcc/mvcc.ts'
import { rangeStart } from '../mvcc/read.ts'
import { checkKey, checkText } from '../mvcc/sort-key.ts'
import {
  CompactedError,
  FutureRevisionError,
  StoreClosedError,
  type CommitResult,
  type GetResult,
  type KeyValue,
  type RangeOptions,
  type RangeResult,
  type ReadOptions,
  type Store,
  type StoreWatch,
  type Transaction,
  type WatchOptions,
} from '../store.ts'
import { CommitSlots } from './commit-slots.ts'
import { Committer } from './committer.ts'
import { findCompactedRevision } from './compacted-revision.ts'
import { EtcdChannel } from './etcd-channel.ts'
import { explainRefusal, GrpcError, isCompacted, isFuture } from './grpc-error.ts'
import type { EtcdTls } from './grpc-session.ts'
import { createKeySpace, type KeySpace } from './key-space.ts'
import {
  decodeRange,
  encodeCompaction,
  encodeRange,
  endOfPrefix,
  METHODS,
  type RangeAnswer,
  type RangeMessage,
} from './messages.ts'
import { SingleFlight } from './single-flight.ts'
import { readNewestCommit, tidySlots } from './slot-keys.ts'
import type { Head } from './watch-feed.ts'
import { WatchStream } from './watch-stream.ts'

/** How long a read is tried, milliseconds. */
const READ_TIMEOUT_MS = 15_000
/** Entries asked for at once: the first time, and at most. */
const PAGE_ENTRIES_FIRST = 500
const PAGE_ENTRIES_MAX = 10_000
/** What an answer should have: bounds what etcd and we must hold, and how long one takes. */
const PAGE_BYTES = 4 * 2 ** 20
/** A range of the newest state starts anew when its revision is compacted between two pages; rarely more than once. */
const RANGE_ATTEMPTS_MAX = 5
/** How long a compaction, or a close, waits for this store's watches. */
const CATCH_UP_TIMEOUT_MS = 2_000

/** Where a store's keys are when nothing else is said. */
export const ETCD_PREFIX_DEFAULT = '/centaurus'

export interface EtcdStoreOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT` of the members of one etcd, v3.4 or later; some may be down. */
  readonly endpoints: readonly string[]
  /** For `https`: PEM texts, asked for at each new connection, so that certificates may be renewed. */
  readonly tls?: (() => EtcdTls) | undefined
  /** The store's keys start with it, so that several stores may share one etcd; default {@link ETCD_PREFIX_DEFAULT}. */
  readonly prefix?: string | undefined
  /** Absent: everything is kept until `compact`. It concerns the whole etcd. */
  readonly automaticCompaction?: AutomaticCompaction | undefined
  /** How often an idle watch hears how far it is; default one minute. */
  readonly progressIntervalMs?: number | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
  readonly logger?: Logger | undefined
}

/**
 * Opens a store in an etcd that this process reaches over the network; others may have the same store open. Revisions are the whole
 * etcd's: they skip what other stores in it write. Throws `StoreUnavailableError` when no endpoint answers within 15 seconds, and
 * `TypeError` for options that cannot be meant.
 *
 * Limits are etcd's: some 125 changes and comparisons a commit, 1.5 MiB a request, by default. What differs from the other engines:
 * commits that are under way at once may be made in any order, and a watch from the very revision of a compaction is refused.
 */
export async function openEtcdStore(options: EtcdStoreOptions): Promise<Store> {
  checkEndpoints(options.endpoints)
  const keys = createKeySpace(options.prefix ?? ETCD_PREFIX_DEFAULT)
  const store = new EtcdStore(options, keys)
  try {
    await store.currentRevision()
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

function checkEndpoints(endpoints: readonly string[]): void {
  if (endpoints.length === 0) throw new TypeError('Cannot open an etcd store without an endpoint')
  for (const endpoint of endpoints) {
    if (!/^https?:\/\/[^/]+$/.test(endpoint) || !URL.canParse(endpoint)) {
      throw new TypeError(`Cannot use etcd endpoint ${JSON.stringify(endpoint)}: it must be like https://10.0.0.1:2379`)
    }
  }
}

class EtcdStore implements Store {
  readonly #keys: KeySpace
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #channel: EtcdChannel
  readonly #slots: CommitSlots
  readonly #ownSlots: string
  readonly #committer: Committer
  readonly #watches: WatchStream
  readonly #compaction: CompactionSchedule
  readonly #head = new SingleFlight(() => this.#readHead())
  /** Compactions are made one after the other, in the order of the calls. */
  #compacting: Promise<void> = Promise.resolve()
  #compactedRevision = 0
  #knownRevision = 0
  #closing: Promise<void> | undefined
  #failure: StoreClosedError | undefined

  constructor(options: EtcdStoreOptions, keys: KeySpace) {
    const { clock = systemClock, random = systemRandom, logger = silentLogger, endpoints, tls } = options
    this.#keys = keys
    this.#clock = clock
    this.#logger = logger
    this.#channel = new EtcdChannel({ endpoints, tls, clock, random, logger })
    this.#ownSlots = `${keys.slots}${randomUUID()}/` // not from `random`: no other process may ever have the same
    this.#slots = new CommitSlots(this.#ownSlots)
    this.#committer = new Committer({ channel: this.#channel, slots: this.#slots, keys, clock })
    this.#watches = new WatchStream({
      channel: this.#channel,
      keys,
      clock,
      logger,
      progressIntervalMs: options.progressIntervalMs,
      knownRevision: () => this.#knownRevision,
      readHead: () => this.#head.run(),
    })
    this.#compaction = this.#createSchedule(options.automaticCompaction ?? {})
  }

  async currentRevision(): Promise<number> {
    this.#checkOpen()
    return (await this.#head.run()).revision
  }

  async get(key: string, { atRevision = 0 }: ReadOptions = {}): Promise<GetResult> {
    this.#checkOpen()
    checkKey(key)
    const { revision, entries } = await this.#range({ key: this.#keys.data + key, revision: Math.max(0, atRevision) })
    return { revision, entry: entries[0] }
  }

  async range(prefix: string, options: RangeOptions = {}): Promise<RangeResult> {
    this.#checkOpen()
    const from = rangeStart(prefix, options.from)
    const atRevision = Math.max(0, options.atRevision ?? 0)
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#rangePages(prefix, { ...options, from, atRevision })
      } catch (error) {
        const isOvertaken = error instanceof CompactedError && atRevision === 0
        if (!isOvertaken || attempt >= RANGE_ATTEMPTS_MAX) throw error
      }
    }
  }

  async commit(transaction: Transaction): Promise<CommitResult> {
    this.#checkOpen()
    checkTransaction(transaction.compare ?? [], transaction.changes)
    if (transaction.changes.length === 0 && (transaction.compare ?? []).length === 0) {
      return { committed: true, revision: await this.currentRevision() }
    }
    const known = this.#knownRevision
    const result = await this.#committer.commit(transaction)
    if (result.revision < known) throw this.#fail(known, result.revision)
    this.#note(result.revision)
    if (result.committed) this.#compaction.onCommit()
    return result
  }

  watch(prefix: string, options: WatchOptions): StoreWatch {
    checkText(prefix)
    return this.#watches.watch(prefix, options)
  }

  async compact(revision: number): Promise<void> {
    this.#checkOpen()
    const compaction = this.#compacting.then(() => this.#compact(revision))
    this.#compacting = compaction.catch(() => {})
    await compaction
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#compaction.close()
    await this.#slots.drained()
    await this.#compacting
    if (this.#knownRevision > 0) await this.#catchUp()
    await this.#watches.close()
    this.#channel.close()
  }

  async #rangePages(
    prefix: string,
    options: RangeOptions & { readonly from: string; readonly atRevision: number },
  ): Promise<RangeResult> {
    const { data } = this.#keys
    const { keysOnly, limit = 0 } = options
    const end = endOfPrefix(data + prefix)
    const wanted = limit > 0 ? limit : Number.POSITIVE_INFINITY
    let pageEntries = keysOnly === true ? PAGE_ENTRIES_MAX : PAGE_ENTRIES_FIRST
    const read = async (from: string, revision: number, left: number): Promise<RangeAnswer> => {
      const answer = await this.#range({
        key: data + from,
        end,
        revision,
        limit: Math.min(left, pageEntries),
        keysOnly,
      })
      pageEntries = nextPageEntries(answer.entries)
      return answer
    }
    const first = await read(options.from, options.atRevision, wanted)
    const revision = options.atRevision > 0 ? options.atRevision : first.revision
    const entries = [...first.entries]
    let { more } = first
    while (more && entries.length < wanted) {
      const page = await read(`${entries.at(-1)!.key}\0`, revision, wanted - entries.length)
      for (const entry of page.entries) entries.push(entry)
      more = page.more
    }
    return { revision, entries, more, count: first.count }
  }

  async #range(range: RangeMessage): Promise<RangeAnswer> {
    try {
      const frame = encodeRange(range)
      const message = await this.#channel.callRepeatedly(METHODS.range, frame, READ_TIMEOUT_MS)
      const answer = decodeRange(message, this.#keys.dataBytes)
      this.#note(answer.revision)
      return answer
    } catch (error) {
      throw await this.#explain(error, range.revision ?? 0)
    }
  }

  async #readHead(): Promise<Head> {
    const known = this.#knownRevision
    const head = await readNewestCommit(this.#channel, this.#keys, READ_TIMEOUT_MS)
    if (head.revision < known) throw this.#fail(known, head.revision)
    this.#note(head.revision)
    this.#watches.onHead(head)
    return head
  }

  async #compact(revision: number): Promise<void> {
    if (revision <= this.#compactedRevision) throw new CompactedError(revision, this.#compactedRevision)
    await this.#catchUp()
    try {
      await this.#channel.callRepeatedly(METHODS.compact, encodeCompaction(revision), READ_TIMEOUT_MS)
    } catch (error) {
      throw await this.#explain(error, revision)
    }
    this.#compactedRevision = revision
    tidySlots(this.#channel, { slots: this.#keys.slots, except: this.#ownSlots, before: revision }).catch(
      (error: unknown) => this.#logger.debug('Could not tidy away old commit slots of etcd', { error }),
    )
  }

  /** What was acknowledged is gone: whoever goes on would believe what is no longer so. */
  #fail(known: number, found: number): Error {
    this.#failure ??= new StoreClosedError(
      `Cannot go on: etcd went back from revision ${known} to ${found}. It was restored from a backup or is another one; ` +
        'restore it with a higher revision (etcdutl snapshot restore --bump-revision), and start everything that uses it again',
    )
    this.#logger.error('Stopped using etcd, which lost what it had acknowledged', { error: this.#failure })
    this.#watches.endAll(this.#failure)
    return this.#failure
  }

  /** So that what this store's watches have not been given yet stays. Waits a little while, not for ever. */
  async #catchUp(): Promise<void> {
    const waiting = new AbortController()
    const timeout = this.#clock.sleep(CATCH_UP_TIMEOUT_MS, { signal: waiting.signal }).catch(() => {})
    await Promise.race([timeout, this.#watches.caughtUp().catch(() => {})])
    waiting.abort()
  }

  async #explain(error: unknown, revision: number): Promise<unknown> {
    if (!(error instanceof GrpcError)) return error
    if (isFuture(error)) return new FutureRevisionError(revision, await this.currentRevision())
    if (!isCompacted(error)) return explainRefusal(error)
    const found = await findCompactedRevision({ channel: this.#channel, keys: this.#keys, clock: this.#clock })
    this.#compactedRevision = Math.max(this.#compactedRevision, found)
    return new CompactedError(revision, this.#compactedRevision)
  }

  #createSchedule(policy: AutomaticCompaction): CompactionSchedule {
    return new CompactionSchedule({
      position: () => ({
        visibleRevision: this.#knownRevision,
        compactedRevision: this.#compactedRevision,
        historyLength: this.#knownRevision - this.#compactedRevision,
        revisionBefore: (commits) => this.#knownRevision - commits,
      }),
      policy,
      compact: (revision) => {
        this.compact(revision).catch((error: unknown) => {
          if (!(error instanceof CompactedError)) this.#logger.warn('Could not compact etcd, will retry', { error })
        })
      },
      clock: this.#clock,
    })
  }

  #note(revision: number): void {
    if (revision > this.#knownRevision) this.#knownRevision = revision
  }

  #checkOpen(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#closing !== undefined) throw new StoreClosedError('The store is closed')
  }
}

/** As many as make an answer of {@link PAGE_BYTES} when they are as large as those. */
function nextPageEntries(entries: readonly KeyValue[]): number {
  const bytes = entries.reduce((sum, { key, value }) => sum + key.length + value.byteLength, 1)
  return Math.min(PAGE_ENTRIES_MAX, Math.max(1, Math.floor((PAGE_BYTES * entries.length) / bytes)))
}
