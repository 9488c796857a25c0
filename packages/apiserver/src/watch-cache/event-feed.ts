import { expired } from '@centaurus/api'
import type { CacheEvent } from './cache-event.ts'
import type { CachedObject } from './cached-object.ts'
import { History } from './history.ts'
import { WatcherIndex } from './watcher-index.ts'
import { Watcher, type WatcherOptions } from './watcher.ts'

export type CacheListener = (event: CacheEvent) => void

export interface StartWatchOptions extends WatcherOptions {
  /** Events after this revision; undefined: from the cache's present revision on, after the objects that exist now. */
  readonly afterRevision: number | undefined
}

/** Events of one resource in order of revision: their recent history, who listens and who watches. */
export class EventFeed {
  /** Made for the first watcher: most resources of most tenants never have one. */
  #watchers: WatcherIndex | undefined
  readonly #listeners = new Set<CacheListener>()
  readonly #revisionOfCache: () => number
  #history: History
  #changedAt: number

  /** `since`: every event with a greater revision will be heard. */
  constructor(since: number, revisionOfCache: () => number) {
    this.#history = new History(since)
    this.#changedAt = since
    this.#revisionOfCache = revisionOfCache
  }

  get isListened(): boolean {
    return this.#listeners.size > 0
  }

  get watcherCount(): number {
    return this.#watchers?.size ?? 0
  }

  /** Revision of the newest change: a list at this or any later revision is what is here now. */
  get changedAt(): number {
    return this.#changedAt
  }

  /** Up to which revision everything was as at `revision`, as far as is remembered; which must be older than {@link changedAt}. */
  unchangedUntil(revision: number): number {
    return this.#history.unchangedUntil(revision)
  }

  /** Remembers the event and tells the listeners; {@link dispatch} comes next. */
  hear(event: CacheEvent): void {
    this.#changedAt = event.revision
    this.#history.add(event)
    for (const listener of this.#listeners) listener(event)
  }

  /** Offers the event to the watchers. */
  dispatch(event: CacheEvent): void {
    this.#watchers?.dispatch(event)
  }

  /**
   * Opens a watch: sends what happened after `afterRevision`, or the objects of now, which `select` gives, and then goes on with what
   * happens. Throws Expired when the history does not reach back so far.
   */
  watch(options: StartWatchOptions, select: () => Iterable<CachedObject>): Watcher {
    const { afterRevision } = options
    if (afterRevision !== undefined && afterRevision < this.#history.since) {
      throw expired(`too old resource version: ${afterRevision} (${this.#history.since})`)
    }
    const watchers = (this.#watchers ??= new WatcherIndex())
    const watcher: Watcher = new Watcher(options, afterRevision ?? this.#changedAt, () => watchers.delete(watcher))
    watchers.add(watcher)
    if (afterRevision === undefined) {
      for (const object of select()) watcher.sendInitial(object)
    } else {
      for (const event of this.#history.after(afterRevision)) {
        watcher.offer(event)
        event.dropEncodings()
      }
    }
    return watcher
  }

  /** Calls `listener` for each change, before watchers hear of it. */
  listen(listener: CacheListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Bookmarks and ends what is due. `nowMs` is monotonic. */
  tick(nowMs: number, bookmarkIntervalMs: number): void {
    for (const watcher of this.#watchers ?? []) {
      const isOver = watcher.deadlineMs <= nowMs
      if (watcher.bookmarks && (isOver || watcher.bookmarkDueMs <= nowMs)) {
        watcher.bookmark(this.#revisionOfCache())
        watcher.bookmarkDueMs = nowMs + bookmarkIntervalMs
      }
      if (isOver) watcher.close()
    }
  }

  /** Ends every watch; clients resume or list again. */
  closeWatchers(error?: Error): void {
    for (const watcher of Array.from(this.#watchers ?? [])) watcher.close(error)
  }

  /** Ends every watch because its tenant is elsewhere after `revision`, up to which its watchers have everything. */
  handWatchersOn(revision: number): void {
    for (const watcher of Array.from(this.#watchers ?? [])) watcher.handOn(revision)
  }

  /** Forgets the history up to `revision`, after events were missed. */
  forgetHistory(revision: number): void {
    this.#history = new History(revision)
    this.#changedAt = revision
  }
}
