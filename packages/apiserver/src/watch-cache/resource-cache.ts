import { CacheEvent, type EventType } from './cache-event.ts'
import type { CachedObject, FieldsOf, StoredObject } from './cached-object.ts'
import { EventFeed, type CacheListener, type StartWatchOptions } from './event-feed.ts'
import { NodeIndex } from './node-index.ts'
import type { Selection } from './selection.ts'
import { SortedObjects } from './sorted-objects.ts'
import type { Watcher } from './watcher.ts'

/** Objects of one resource that can be read and watched: one tenant's, or all tenants' in a view. */
export interface ObjectCache {
  readonly size: number
  /** Revision of the newest change: a list at this or any later revision is what is here now. */
  readonly changedAt: number
  /** Up to which revision everything was as at `revision`, as far as is remembered; which must be older than {@link changedAt}. */
  unchangedUntil(revision: number): number
  /** `key` is `namespace/name`, or `name`. */
  get(key: string): CachedObject | undefined
  /** Objects whose key starts with `prefix`, from the position `from` on, in order. Read it without waiting in between. */
  range(prefix: string, from?: string): Iterable<CachedObject>
  /** Objects whose `spec.nodeName` is this; `fieldsOf` reads it. */
  onNode(node: string, fieldsOf: FieldsOf): Iterable<CachedObject>
  /** Where a list that ends before the object goes on. */
  positionOf(object: CachedObject): string
  /** Where the store holds what {@link range} gives, in the same order. */
  sources(prefix: string, from: string): Iterable<StoreSource>
  watch(options: StartWatchOptions): Watcher
  /** Calls `listener` for each change, before watchers hear of it. */
  listen(listener: CacheListener): () => void
}

/** A range of store keys, and how what is there is shown. */
export interface StoreSource {
  readonly prefix: string
  /** First key. */
  readonly from: string
  readonly show: (object: StoredObject) => CachedObject
}

/** Hears an event before any watcher; what it returns is called when the cache's own watchers have theirs. */
export type CacheFollower = (event: CacheEvent) => () => void

/** All objects of one resource of one tenant, their recent history, and who watches them. */
export class ResourceCache implements ObjectCache {
  readonly prefix: string
  readonly #objects = new Map<string, StoredObject>()
  readonly #sorted = new SortedObjects<StoredObject>()
  readonly #feed: EventFeed
  readonly #followers: CacheFollower[] = []
  /** Once somebody has asked for a node's objects. */
  #nodes: NodeIndex | undefined

  /** `prefix`: of the store's keys. `since`: every event with a greater revision will be put in. */
  constructor(prefix: string, since: number, revisionOfCache: () => number) {
    this.prefix = prefix
    this.#feed = new EventFeed(since, revisionOfCache)
  }

  get size(): number {
    return this.#objects.size
  }

  /** True when somebody must hear of each difference. */
  get isListened(): boolean {
    return this.#feed.isListened || this.#followers.length > 0
  }

  get watcherCount(): number {
    return this.#feed.watcherCount
  }

  get changedAt(): number {
    return this.#feed.changedAt
  }

  unchangedUntil(revision: number): number {
    return this.#feed.unchangedUntil(revision)
  }

  get(key: string): StoredObject | undefined {
    return this.#objects.get(key)
  }

  range(prefix: string, from?: string): Generator<StoredObject, void> {
    return this.#sorted.range(prefix, from)
  }

  onNode(node: string, fieldsOf: FieldsOf): StoredObject[] {
    this.#nodes ??= new NodeIndex(fieldsOf, this.#objects.values())
    return this.#nodes.on(node)
  }

  positionOf(object: CachedObject): string {
    return object.key
  }

  sources(prefix: string, from: string): StoreSource[] {
    const start = from > prefix ? from : prefix
    return [{ prefix: this.prefix + prefix, from: this.prefix + start, show: (object) => object }]
  }

  /** First filling: no listener or watcher hears of it. `objects` must be sorted by key. */
  load(objects: readonly StoredObject[]): void {
    this.#sorted.load(objects)
    for (const object of objects) this.#objects.set(object.key, object)
    this.#nodes = undefined
  }

  /** Puts the object in and tells everybody. Its revision must be greater than any before. */
  put(object: StoredObject): void {
    const previous = this.#objects.get(object.key)
    this.#objects.set(object.key, object)
    this.#sorted.put(object)
    this.#nodes?.put(object, previous)
    this.#publish(previous === undefined ? 'ADDED' : 'MODIFIED', object, previous)
  }

  delete(key: string, revision: number): void {
    const previous = this.#objects.get(key)
    if (previous === undefined) return
    this.#objects.delete(key)
    this.#sorted.delete(key)
    this.#nodes?.delete(previous)
    this.#publish('DELETED', previous.atRevision(revision), previous)
  }

  watch(options: StartWatchOptions): Watcher {
    return this.#feed.watch(options, () => selectFrom(this, options.selection))
  }

  listen(listener: CacheListener): () => void {
    return this.#feed.listen(listener)
  }

  /** Lets a view over several caches hear of each event. */
  follow(follower: CacheFollower): void {
    this.#followers.push(follower)
  }

  /** Bookmarks and ends what is due. `nowMs` is monotonic. */
  tick(nowMs: number, bookmarkIntervalMs: number): void {
    this.#feed.tick(nowMs, bookmarkIntervalMs)
  }

  /** Ends every watch; clients resume or list again. */
  closeWatchers(error?: Error): void {
    this.#feed.closeWatchers(error)
  }

  /** Ends every watch because its tenant is elsewhere after `revision`, up to which its watchers have everything. */
  handWatchersOn(revision: number): void {
    this.#feed.handWatchersOn(revision)
  }

  /** Forgets the history up to `revision`, after events were missed. */
  forgetHistory(revision: number): void {
    this.#feed.forgetHistory(revision)
  }

  #publish(type: EventType, object: StoredObject, previous: StoredObject | undefined): void {
    previous?.keep()
    const event = new CacheEvent(type, object, previous)
    this.#feed.hear(event)
    if (this.#followers.length === 0) this.#feed.dispatch(event)
    else {
      const dispatches = this.#followers.map((follower) => follower(event))
      this.#feed.dispatch(event)
      for (const dispatch of dispatches) dispatch()
    }
    event.dropEncodings()
  }
}

/** What the selection holds now. */
export function* selectFrom(
  cache: Pick<ObjectCache, 'get' | 'range' | 'onNode'>,
  selection: Selection,
): Generator<CachedObject, void> {
  const { name, namespace, nodeName } = selection
  if (name !== '') {
    // Without a namespace it may be any object of the name in any namespace, or the one that has none.
    const object = cache.get(namespace === '' ? name : `${namespace}/${name}`)
    if (object !== undefined && selection.matches(object)) yield object
    if (object !== undefined || namespace !== '') return
  }
  if (nodeName !== undefined && nodeName !== '') {
    for (const object of cache.onNode(nodeName, selection.fieldsOf)) if (selection.matches(object)) yield object
    return
  }
  const takesAll = selection.isWholeNamespace
  for (const object of cache.range(selection.keyPrefix)) {
    if (takesAll || selection.matches(object)) yield object
  }
}
