/**
 * The watches of one store, on one stream of etcd's. Nearly always they share one watch of all the store's keys ({@link WatchFeed});
 * one that starts in the past has its own until it has caught up.
 *
 * How far a watch is when nothing happens: etcd's own answer to that (`WatchProgressRequest`) may overtake events before v3.4.25, so
 * the engine asks a different question. Every commit marks its slot; {@link Head} is the newest mark, and the revision of etcd at
 * that moment: a watch that was given the commit of the newest mark was given everything up to that revision.
 */
import { systemClock, type Clock, type Logger, type Timer } from '@centaurus/base'
import {
  CompactedError,
  StoreClosedError,
  StoreUnavailableError,
  type StoreWatch,
  type WatchOptions,
} from '../store.ts'
import { Subscription } from '../watch/subscription.ts'
import { PROGRESS_INTERVAL_MS } from '../watch/watch-hub.ts'
import type { EtcdChannel } from './etcd-channel.ts'
import type { GrpcError } from './grpc-error.ts'
import type { GrpcSession, GrpcStream } from './grpc-session.ts'
import type { KeySpace } from './key-space.ts'
import {
  decodeWatch,
  encodeWatchCancel,
  encodeWatchCreate,
  endOfPrefix,
  METHODS,
  type WatchAnswer,
} from './messages.ts'
import { WatchFeed, type FeedMember, type Head } from './watch-feed.ts'

/** How long one try to open the stream waits for a connection; then it begins again. */
const STREAM_TIMEOUT_MS = 60_000

export interface WatchStreamDeps {
  readonly channel: EtcdChannel
  readonly keys: KeySpace
  readonly clock?: Clock | undefined
  readonly logger: Logger
  readonly progressIntervalMs?: number | undefined
  /** Newest revision that this process has heard of. */
  readonly knownRevision: () => number
  /** A moment that is not before the call. */
  readonly readHead: () => Promise<Head>
}

export class WatchStream {
  readonly #deps: WatchStreamDeps
  /** Oldest first: those that came later join the first one. */
  readonly #feeds = new Set<WatchFeed>()
  /** By id on the present stream. */
  readonly #byId = new Map<number, WatchFeed>()
  readonly #waiting = new Set<() => void>()
  #lastId = 0
  #stream: GrpcStream | undefined
  #running = false
  #closed = false
  #timer: Timer | undefined

  constructor(deps: WatchStreamDeps) {
    this.#deps = deps
  }

  /** See `Store.watch`. */
  watch(prefix: string, options: WatchOptions): StoreWatch {
    const from = options.fromRevision ?? 0
    const next = from > 0 ? from : this.#deps.knownRevision() + 1
    const subscription: Subscription = new Subscription({ prefix, next, options, forget: () => this.#forget(member) })
    const member: FeedMember = { subscription, startsAnywhere: from <= 0, pending: [] }
    if (this.#closed) subscription.end(new StoreClosedError('Cannot watch: the store is closed'))
    else this.#add(member)
    return {
      requestProgress: () => void this.#requestProgress(member),
      close: () => subscription.end(undefined),
    }
  }

  /** Whoever has been given everything up to there need not ask for it again. */
  onHead(head: Head): void {
    for (const feed of Array.from(this.#feeds)) {
      feed.onHead(head)
      this.#merge(feed)
    }
  }

  /** Resolves when each watch of now has been given everything up to now, or has ended. */
  async caughtUp(): Promise<void> {
    if (this.#feeds.size === 0) return
    await Promise.all(Array.from(this.#feeds, (feed) => feed.established.promise))
    const head = await this.#deps.readHead()
    const isBehind = (): boolean => Array.from(this.#feeds).some((feed) => feed.delivered < head.committedRevision)
    while (isBehind()) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  /** Ends all watches. */
  async close(): Promise<void> {
    this.endAll(undefined)
    await Promise.resolve()
  }

  /** Ends all watches with `error`, and refuses new ones. */
  endAll(error: Error | undefined): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const feed of Array.from(this.#feeds)) {
      for (const { subscription } of Array.from(feed.members)) subscription.end(error)
    }
    this.#stream?.close()
  }

  #add(member: FeedMember): void {
    for (const feed of this.#feeds) {
      if (!feed.suits(member)) continue
      feed.members.add(member)
      return
    }
    const feed = new WatchFeed(member.subscription.next - 1, { withPrevious: member.subscription.needsPrevious })
    feed.members.add(member)
    this.#feeds.add(feed)
    if (this.#stream === undefined) void this.#run()
    else this.#create(this.#stream, feed)
    this.#armTimer()
  }

  #forget(member: FeedMember): void {
    for (const feed of this.#feeds) {
      if (feed.members.delete(member) && feed.members.size === 0) this.#drop(feed)
    }
    this.#wake()
  }

  #drop(feed: WatchFeed): void {
    this.#feeds.delete(feed)
    feed.established.resolve()
    for (const [id, other] of this.#byId) {
      if (other !== feed) continue
      this.#byId.delete(id)
      this.#stream?.send(encodeWatchCancel(id))
    }
  }

  /** One that has caught up with another is served by that one. */
  #merge(feed: WatchFeed): void {
    for (const other of this.#feeds) {
      if (other === feed) return // it is the oldest that would do
      if (other.delivered > feed.delivered || (feed.withPrevious && !other.withPrevious)) continue
      for (const member of feed.members) other.members.add(member)
      feed.members.clear()
      this.#drop(feed)
      return
    }
  }

  /** Keeps a stream open for as long as there are watches. */
  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    const { channel, logger } = this.#deps
    const clock = this.#deps.clock ?? systemClock
    for (let attempt = 0; this.#feeds.size > 0; attempt++) {
      try {
        if (attempt > 0) await channel.pause(channel.backOffMs(attempt))
        const session = await channel.session(clock.monotonicMs() + STREAM_TIMEOUT_MS)
        const { error, answered } = await this.#follow(session)
        if (answered) attempt = 0
        channel.noteFailure(session, error)
        if (!this.#closed) logger.debug('Lost the watch stream of etcd, opening another one', { error })
      } catch (error) {
        if (error instanceof StoreClosedError) break
        logger.warn('Could not open a watch stream to etcd, will retry', { error })
      }
    }
    this.#running = false
  }

  /** Opens a stream and resolves when it ends. */
  #follow(session: GrpcSession): Promise<{ readonly error: GrpcError; readonly answered: boolean }> {
    return new Promise((resolve) => {
      let answered = false
      const stream = session.stream(METHODS.watch, {
        onMessage: (message) => {
          answered = true
          this.#onAnswer(decodeWatch(message, this.#deps.keys.dataBytes))
        },
        onEnd: (error) => {
          this.#stream = undefined
          this.#byId.clear()
          resolve({ error, answered })
        },
      })
      this.#stream = stream
      for (const feed of this.#feeds) this.#create(stream, feed)
    })
  }

  /**
   * Starts one revision early, and drops that: before v3.4.35 and v3.5.17, etcd forgets a delete at the very revision of a
   * compaction, and says nothing to who starts there (etcd-io/etcd#19179). So we hear of it when that may have happened.
   */
  #create(stream: GrpcStream, feed: WatchFeed): void {
    const { data } = this.#deps.keys
    const id = ++this.#lastId
    this.#byId.set(id, feed)
    feed.restart()
    const startRevision = Math.max(1, feed.delivered)
    const { withPrevious } = feed
    stream.send(encodeWatchCreate({ id, key: data, end: endOfPrefix(data), startRevision, withPrevious }))
  }

  #onAnswer(answer: WatchAnswer): void {
    const feed = this.#byId.get(answer.id)
    if (feed === undefined) return
    if (answer.canceled) return this.#onCanceled(feed, answer)
    if (answer.created) return feed.established.resolve()
    feed.receive(answer.events, answer)
    this.#merge(feed)
    this.#wake()
  }

  #onCanceled(feed: WatchFeed, { id, compactRevision, cancelReason }: WatchAnswer): void {
    this.#byId.delete(id)
    const members = Array.from(feed.members)
    feed.members.clear()
    this.#drop(feed)
    for (const member of members) {
      const { subscription } = member
      if (compactRevision > 0 && member.startsAnywhere) subscription.next = compactRevision + 1
      if (compactRevision > 0 && subscription.next > compactRevision) this.#add(member)
      else if (compactRevision > 0) subscription.end(new CompactedError(subscription.next, compactRevision))
      else subscription.end(new StoreUnavailableError(`etcd ended a watch: ${cancelReason || 'it does not say why'}`))
    }
    this.#wake()
  }

  async #requestProgress(member: FeedMember): Promise<void> {
    try {
      const head = await this.#deps.readHead()
      for (const feed of Array.from(this.#feeds)) if (feed.members.has(member)) feed.addPending(member, head)
    } catch (error) {
      if (!(error instanceof StoreClosedError)) this.#deps.logger.debug('Could not ask etcd for progress', { error })
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }

  #armTimer(): void {
    if (this.#timer !== undefined || this.#closed) return
    const { clock = systemClock, progressIntervalMs = PROGRESS_INTERVAL_MS } = this.#deps
    this.#timer = clock.setTimer(progressIntervalMs, () => {
      this.#timer = undefined
      for (const feed of this.#feeds) for (const member of feed.members) void this.#requestProgress(member)
      if (this.#feeds.size > 0) this.#armTimer()
    })
  }
}
