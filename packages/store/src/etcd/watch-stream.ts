/**
 * The watches of one store, on one stream of etcd's. Each is a watch of all the store's keys from some revision on, and what is not
 * under its prefix is left out here: so each knows how far it is by the newest commit of all.
 *
 * How far a watch is when nothing happens: etcd's own answer to that (`WatchProgressRequest`) may overtake events before v3.4.25, so
 * the engine asks a different question. Every commit marks its slot; {@link Head} is the newest mark, and the revision of etcd at
 * that moment: a watch that was given the commit of the newest mark was given everything up to that revision.
 */
import { systemClock, type Clock, type Logger, type Timer } from '@centaurus/base'
import { CompactedError, StoreClosedError, type StoreEvent, type StoreWatch, type WatchOptions } from '../store.ts'
import { Subscription } from '../watch/subscription.ts'
import { PROGRESS_INTERVAL_MS } from '../watch/watch-hub.ts'
import type { EtcdChannel } from './etcd-channel.ts'
import { GrpcError } from './grpc-error.ts'
import type { GrpcSession, GrpcStream } from './grpc-session.ts'
import type { KeySpace } from './key-space.ts'
import {
  decodeWatch,
  encodeWatchCancel,
  encodeWatchCreate,
  endOfPrefix,
  METHODS,
  type WatchAnswer,
  type WatchEventMessage,
} from './messages.ts'

/** How long one try to open the stream waits for a connection; then it begins again. */
const STREAM_TIMEOUT_MS = 60_000

/** Requests for progress that a watch remembers. */
const PENDING_MAX = 64

/** A moment of the store: at `revision` of etcd, the newest commit was that of `committedRevision`. */
export interface Head {
  readonly revision: number
  readonly committedRevision: number
}

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

/** One subscription, and how far its watch at etcd is. */
interface Watch {
  readonly subscription: Subscription
  /** Where it starts: no revision was asked for, and nothing has been delivered. */
  startsAnywhere: boolean
  /** Everything up to here was delivered, or not asked for. */
  delivered: number
  /** Parts of one answer. */
  fragments: WatchEventMessage[]
  /** Moments to tell of once they are reached, in order. */
  readonly pending: Head[]
  readonly established: PromiseWithResolvers<void>
}

export class WatchStream {
  readonly #deps: WatchStreamDeps
  readonly #watches = new Set<Watch>()
  /** By id on the present stream. */
  readonly #byId = new Map<number, Watch>()
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
    const forget = (): void => this.#forget(watch)
    const subscription: Subscription = new Subscription({ prefix, next, options, forget })
    const watch: Watch = {
      subscription,
      startsAnywhere: from <= 0,
      delivered: next - 1,
      fragments: [],
      pending: [],
      established: Promise.withResolvers(),
    }
    if (this.#closed) subscription.end(new StoreClosedError('Cannot watch: the store is closed'))
    else this.#add(watch)
    return {
      requestProgress: () => void this.#requestProgress(watch),
      close: () => subscription.end(undefined),
    }
  }

  /** Tells every watch of a moment: those that have been given everything up to there need not ask for it again. */
  onHead(head: Head): void {
    for (const watch of this.#watches) {
      if (watch.delivered >= head.committedRevision) this.#advance(watch, head.revision)
    }
  }

  /** Resolves when each watch of now has been given everything up to now, or has ended. */
  async caughtUp(): Promise<void> {
    if (this.#watches.size === 0) return
    await Promise.all(Array.from(this.#watches, (watch) => watch.established.promise))
    const head = await this.#deps.readHead()
    const isBehind = (): boolean => {
      for (const watch of this.#watches) if (watch.delivered < head.committedRevision) return true
      return false
    }
    while (isBehind()) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  /** Ends all watches. */
  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    for (const watch of Array.from(this.#watches)) watch.subscription.end(undefined)
    this.#stream?.close()
    await Promise.resolve()
  }

  #add(watch: Watch): void {
    this.#watches.add(watch)
    if (this.#stream === undefined) void this.#run()
    else this.#create(this.#stream, watch)
    this.#armTimer()
  }

  #forget(watch: Watch): void {
    this.#watches.delete(watch)
    watch.established.resolve()
    this.#wake()
    for (const [id, other] of this.#byId) {
      if (other !== watch) continue
      this.#byId.delete(id)
      this.#stream?.send(encodeWatchCancel(id))
    }
  }

  /** Keeps a stream open for as long as there are watches. */
  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    const { channel, logger } = this.#deps
    const clock = this.#deps.clock ?? systemClock
    for (let attempt = 0; this.#watches.size > 0; attempt++) {
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
      for (const watch of this.#watches) this.#create(stream, watch)
    })
  }

  /**
   * Starts one revision early, and drops that: before v3.4.35 and v3.5.17, etcd forgets a delete at the very revision of a
   * compaction, and says nothing to who starts there (etcd-io/etcd#19179). So we hear of it when that may have happened.
   */
  #create(stream: GrpcStream, watch: Watch): void {
    const { data } = this.#deps.keys
    const id = ++this.#lastId
    this.#byId.set(id, watch)
    watch.fragments = []
    const startRevision = Math.max(1, watch.subscription.next - 1)
    stream.send(encodeWatchCreate({ id, key: data, end: endOfPrefix(data), startRevision }))
  }

  #onAnswer(answer: WatchAnswer): void {
    const watch = this.#byId.get(answer.id)
    if (watch === undefined) return
    if (answer.canceled) return this.#onCanceled(watch, answer)
    if (answer.created) return watch.established.resolve()
    if (answer.isFragment || watch.fragments.length > 0) watch.fragments.push(...answer.events)
    if (answer.isFragment) return
    const events = watch.fragments.length > 0 ? watch.fragments : answer.events
    watch.fragments = []
    this.#deliver(watch, events)
  }

  #onCanceled(watch: Watch, { id, compactRevision, cancelReason }: WatchAnswer): void {
    const { subscription } = watch
    this.#byId.delete(id)
    if (compactRevision === 0) {
      subscription.end(new GrpcError(0, `etcd ended a watch: ${cancelReason || 'it does not say why'}`))
    } else if (watch.startsAnywhere && this.#stream !== undefined) {
      subscription.next = compactRevision + 1
      watch.delivered = compactRevision
      this.#create(this.#stream, watch)
    } else {
      subscription.end(new CompactedError(subscription.next, compactRevision))
    }
  }

  /** `events` holds whole revisions, in order. */
  #deliver(watch: Watch, events: readonly WatchEventMessage[]): void {
    for (let start = 0; start < events.length;) {
      const revision = events[start]!.entry.modRevision
      let end = start + 1
      while (end < events.length && events[end]!.entry.modRevision === revision) end++
      this.#deliverRevision(watch, revision, events.slice(start, end))
      start = end
    }
    this.#tellPending(watch)
    this.#wake()
  }

  #deliverRevision(watch: Watch, revision: number, events: readonly WatchEventMessage[]): void {
    const { subscription } = watch
    if (revision < subscription.next) return
    watch.startsAnywhere = false
    watch.delivered = revision
    const { prefix } = subscription
    const matching = events.filter(({ entry }) => entry.key.startsWith(prefix))
    subscription.next = revision + 1
    if (matching.length > 0) subscription.deliver(matching.map(toStoreEvent), revision)
  }

  async #requestProgress(watch: Watch): Promise<void> {
    try {
      const head = await this.#deps.readHead()
      if (watch.pending.length >= PENDING_MAX) watch.pending.pop() // the newer one says more
      watch.pending.push(head)
      this.#tellPending(watch)
    } catch (error) {
      if (!(error instanceof StoreClosedError)) this.#deps.logger.debug('Could not ask etcd for progress', { error })
    }
  }

  #tellPending(watch: Watch): void {
    const { pending } = watch
    let reached: Head | undefined
    while (pending.length > 0 && pending[0]!.committedRevision <= watch.delivered) reached = pending.shift()
    if (reached === undefined) return
    this.#advance(watch, reached.revision)
    watch.subscription.progress(reached.revision)
  }

  #advance(watch: Watch, revision: number): void {
    if (revision <= watch.delivered) return
    watch.delivered = revision
    watch.startsAnywhere = false
    watch.subscription.next = Math.max(watch.subscription.next, revision + 1)
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
      for (const watch of this.#watches) void this.#requestProgress(watch)
      if (this.#watches.size > 0) this.#armTimer()
    })
  }
}

function toStoreEvent({ isDelete, entry, previous }: WatchEventMessage): StoreEvent {
  if (isDelete) return { type: 'delete', key: entry.key, modRevision: entry.modRevision, previous }
  return { type: 'put', entry, previous }
}
