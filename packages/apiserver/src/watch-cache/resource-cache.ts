import { expired } from '@centaurus/api'
import { CacheEvent, type EventType } from './cache-event.ts'
import type { CachedObject } from './cached-object.ts'
import { History } from './history.ts'
import { SortedObjects } from './sorted-objects.ts'
import { WatcherIndex } from './watcher-index.ts'
import { Watcher, type WatcherOptions } from './watcher.ts'

export type CacheListener = (event: CacheEvent) => void

export interface StartWatchOptions extends WatcherOptions {
  /** Events after this revision; undefined: from the cache's present revision on, after the objects that exist now. */
  readonly afterRevision: number | undefined
}

/** All objects of one resource of one tenant, their recent history, and who watches them. */
export class ResourceCache {
  readonly #objects = new Map<string, CachedObject>()
  readonly #sorted = new SortedObjects()
  readonly #watchers = new WatcherIndex()
  readonly #listeners = new Set<CacheListener>()
  readonly #revisionOfCache: () => number
  #history: History
  #changedAt: number

  constructor(since: number, revisionOfCache: () => number) {
    this.#history = new History(since)
    this.#changedAt = since
    this.#revisionOfCache = revisionOfCache
  }

  get size(): number {
    return this.#objects.size
  }

  get isListened(): boolean {
    return this.#listeners.size > 0
  }

  get watcherCount(): number {
    return this.#watchers.size
  }

  /** Revision of the newest change: a list at this or any later revision is what is here now. */
  get changedAt(): number {
    return this.#changedAt
  }

  /** `key` is `namespace/name`, or `name`. */
  get(key: string): CachedObject | undefined {
    return this.#objects.get(key)
  }

  /** Objects whose key starts with `prefix`, from `from` on, in order. Read it without waiting in between. */
  range(prefix: string, from?: string): Generator<CachedObject, void> {
    return this.#sorted.range(prefix, from)
  }

  /** First filling: no listener or watcher hears of it. `objects` must be sorted by key. */
  load(objects: readonly CachedObject[]): void {
    this.#sorted.load(objects)
    for (const object of objects) this.#objects.set(object.key, object)
  }

  /** Puts the object in and tells everybody. Its revision must be greater than any before. */
  put(object: CachedObject): void {
    const previous = this.#objects.get(object.key)
    this.#objects.set(object.key, object)
    this.#sorted.put(object)
    this.#publish(previous === undefined ? 'ADDED' : 'MODIFIED', object, previous)
  }

  delete(key: string, revision: number): void {
    const previous = this.#objects.get(key)
    if (previous === undefined) return
    this.#objects.delete(key)
    this.#sorted.delete(key)
    this.#publish('DELETED', previous.atRevision(revision), previous)
  }

  /**
   * Opens a watch: sends what happened after `afterRevision`, or the objects of now, and then goes on with what happens. Throws
   * Expired when the history does not reach back so far.
   */
  watch(options: StartWatchOptions): Watcher {
    const { afterRevision } = options
    if (afterRevision !== undefined && afterRevision < this.#history.since) {
      throw expired(`too old resource version: ${afterRevision} (${this.#history.since})`)
    }
    const watcher: Watcher = new Watcher(options, afterRevision ?? this.#changedAt, () =>
      this.#watchers.delete(watcher),
    )
    this.#watchers.add(watcher)
    if (afterRevision === undefined) {
      for (const object of this.select(options)) watcher.sendInitial(object)
    } else {
      for (const event of this.#history.after(afterRevision)) watcher.offer(event)
    }
    return watcher
  }

  *select({ selection }: Pick<WatcherOptions, 'selection'>): Generator<CachedObject, void> {
    if (selection.name !== '' && selection.namespace !== '') {
      const object = this.#objects.get(`${selection.namespace}/${selection.name}`)
      if (object !== undefined && selection.matches(object)) yield object
      return
    }
    const takesAll = selection.isWholeNamespace
    for (const object of this.#sorted.range(selection.keyPrefix)) {
      if (takesAll || selection.matches(object)) yield object
    }
  }

  /** Calls `listener` for each change, before watchers hear of it. */
  listen(listener: CacheListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Bookmarks and ends what is due. `nowMs` is monotonic. */
  tick(nowMs: number, bookmarkIntervalMs: number): void {
    for (const watcher of this.#watchers) {
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
    for (const watcher of Array.from(this.#watchers)) watcher.close(error)
  }

  /** Forgets the history up to `revision`, after events were missed. */
  forgetHistory(revision: number): void {
    this.#history = new History(revision)
    this.#changedAt = revision
  }

  #publish(type: EventType, object: CachedObject, previous: CachedObject | undefined): void {
    this.#changedAt = object.revision
    const event = new CacheEvent(type, object, previous)
    this.#history.add(event)
    for (const listener of this.#listeners) listener(event)
    this.#watchers.dispatch(event)
  }
}
