import type { CacheEvent, EventType } from './cache-event.ts'
import type { CachedObject } from './cached-object.ts'
import type { Selection } from './selection.ts'

/** Where a watcher's events go: an HTTP stream, or a callback in this process. */
export interface WatchSink {
  /** `event` shares encodings among watchers; absent for initial objects. */
  send(type: EventType, object: CachedObject, event: CacheEvent | undefined): void
  /** `initialEventsEnd`: all initial objects were sent. */
  bookmark(revision: number, options: { readonly initialEventsEnd: boolean }): void
  /** Called once, last. Undefined: the time is up or the server closes; the client resumes from its last revision. */
  end(error: Error | undefined): void
  /**
   * Instead of {@link end}: everything up to `revision` was sent, and what comes after it happens in another partition. Absent: it ends, and the client
   * resumes.
   */
  handOn?(revision: number): void
  /** True when so much is queued that the client is better dropped. */
  readonly overloaded: boolean
}

export interface WatcherOptions {
  readonly selection: Selection
  readonly sink: WatchSink
  readonly bookmarks: boolean
  /** Monotonic milliseconds at which the watch ends by itself. */
  readonly deadlineMs: number
}

/** One open watch. Made, fed and closed by the {@link ResourceCache} that it belongs to. */
export class Watcher {
  readonly selection: Selection
  readonly bookmarks: boolean
  readonly deadlineMs: number
  /** When the next bookmark is due, monotonic milliseconds. */
  bookmarkDueMs = 0
  readonly #sink: WatchSink
  #closed = false
  #onClose: (() => void) | undefined
  /** The client has seen everything up to here. */
  readonly #after: number

  constructor(options: WatcherOptions, after: number, onClose: () => void) {
    this.selection = options.selection
    this.bookmarks = options.bookmarks
    this.deadlineMs = options.deadlineMs
    this.#sink = options.sink
    this.#after = after
    this.#onClose = onClose
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Sends the event when it concerns the selection. A watcher that is too far behind is closed. */
  offer(event: CacheEvent): void {
    if (this.#closed || event.revision <= this.#after) return
    const seen = this.selection.translate(event)
    if (seen === undefined) return
    this.#sink.send(seen.type, seen.object, event)
    if (this.#sink.overloaded) this.close()
  }

  sendInitial(object: CachedObject): void {
    if (!this.#closed) this.#sink.send('ADDED', object, undefined)
  }

  bookmark(revision: number, options: { readonly initialEventsEnd: boolean } = { initialEventsEnd: false }): void {
    if (!this.#closed) this.#sink.bookmark(Math.max(revision, this.#after), options)
  }

  /** Ends the watch; the sink is told once. */
  close(error?: Error): void {
    if (this.#finish()) this.#sink.end(error)
  }

  /** Ends the watch here; the sink may go on elsewhere. */
  handOn(revision: number): void {
    if (this.bookmarks) this.bookmark(revision) // should the client resume, it can
    if (!this.#finish()) return
    if (this.#sink.handOn === undefined) this.#sink.end(undefined)
    else this.#sink.handOn(Math.max(revision, this.#after))
  }

  #finish(): boolean {
    if (this.#closed) return false
    this.#closed = true
    this.#onClose?.()
    this.#onClose = undefined
    return true
  }
}
