import { ALL_TENANTS, expired, SYSTEM_TENANT, type KubeObject } from '@centaurus/api'
import type { Clock, Logger, Timer } from '@centaurus/base'
import {
  isSameSpan,
  REVISION_SPAN,
  type KeyValue,
  type Store,
  type StoreEvent,
  type StoreWatch,
} from '@centaurus/store'
import { asBuffer } from '../storage/encoding.ts'
import type { StoredChange, StoredObjects } from '../resource/stored-objects.ts'
import type { TenantPosition } from '../storage/arrival.ts'
import { REGISTRY_PREFIX, splitPrefix, splitStoreKey } from '../storage/keys.ts'
import type { ResourceKey } from '../views/references.ts'
import { NameDirectory } from '../views/name-directory.ts'
import { ViewCache } from '../views/view-cache.ts'
import { isView, NODES_VIEW } from '../views/view-names.ts'
import { StoredObject } from './cached-object.ts'
import { HOT_VALUES_BYTES_MAX, HotValues } from './hot-values.ts'
import { RevisionWaiters } from './revision-waiters.ts'
import { ResourceCache } from './resource-cache.ts'
import { FRESHNESS_TIMEOUT_MS, TenantRevisions, tooLargeRevision } from './tenant-revisions.ts'

/** Entries read at once when the cache is filled. */
const LOAD_PAGE_ENTRIES = 10_000
/** How often watches are looked at for bookmarks and deadlines. */
const TICK_MS = 1_000
/** Source: apiserver's defaultBookmarkFrequency (1 min). */
const BOOKMARK_INTERVAL_MS = 60_000
const RELOAD_DELAY_MS = 500

export interface WatchCacheDeps {
  readonly store: Store
  readonly clock: Clock
  readonly logger: Logger
  /** Of values that stay in memory when the store can be asked for them; default {@link HOT_VALUES_BYTES_MAX}. */
  readonly hotValuesBytesMax?: number | undefined
}

/** An object that is about to be written, so that its event need not be parsed when it comes back. */
export interface ExpectedWrite {
  readonly value: Uint8Array
  readonly object: KubeObject
}

/** A listener of a resource of all tenants, and what ends it at each. */
interface Tap {
  readonly listener: (change: StoredChange) => void
  readonly removes: (() => void)[]
}

/**
 * Every object of the partition as stored bytes, fed by one watch of the store. `revision` ≤ the store's; everything up to it was
 * applied and offered to watchers, in order.
 */
export class WatchCache implements StoredObjects {
  /** Whose the names in views are. */
  readonly directory: NameDirectory
  readonly #store: Store
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #resources = new Map<string, ResourceCache>()
  /** Who hears of a resource of all tenants. */
  readonly #taps = new Map<ResourceKey, Set<Tap>>()
  /** Tenants that came from another partition while this cache was fed, and when. */
  readonly #arrivals = new Map<string, number>()
  /** By `view/group/resource`. */
  readonly #views = new Map<string, ViewCache>()
  /** Prefixes under which something was stored, and their tenants. */
  readonly #tenantOf = new Map<string, string>()
  readonly #tenants = new Set<string>()
  readonly #tenantRevisions: TenantRevisions
  readonly #expected = new Map<string, ExpectedWrite>()
  /** Absent when the store has no value at hand. */
  readonly #hot: HotValues | undefined
  readonly #waiters: RevisionWaiters
  #revision = 0
  #commits = 0
  /** Revision of what is being applied, or was last. */
  #applying = 0
  #loadedAt = 0
  #isLoading = false
  #watch: StoreWatch | undefined
  #closed = false
  #tick: Timer | undefined

  constructor({ store, clock, logger, hotValuesBytesMax = HOT_VALUES_BYTES_MAX }: WatchCacheDeps) {
    this.#store = store
    const peek = store.peek?.bind(store)
    this.#hot = peek && new HotValues(peek, hotValuesBytesMax)
    this.#clock = clock
    this.#waiters = new RevisionWaiters(clock)
    this.#tenantRevisions = new TenantRevisions(clock)
    this.#logger = logger
    this.directory = new NameDirectory({
      tenants: () => this.#tenants,
      hasTenant: (tenant) => this.#tenants.has(tenant),
      namesOf: (tenant, resource) => this.#namesOf(tenant, resource),
    })
  }

  get revision(): number {
    return this.#revision
  }

  /**
   * The revision at which a tenant, or a view, is shown what is there now. To a tenant it is its own newest one: the partition's would tell
   * when others write. Where other servers share the store it is the partition's all the same, since they would tell others.
   */
  revisionFor(tenant: string): number {
    return this.#hasOwnRevision(tenant) ? this.#tenantRevisions.of(tenant) : this.#revision
  }

  /** How many commits came by since the start. */
  get commits(): number {
    return this.#commits
  }

  /** True while events arrive; false before {@link start} and while a lost watch is repaired. */
  get live(): boolean {
    return this.#watch !== undefined
  }

  /** Fills the cache and follows the store from there. */
  async start(): Promise<void> {
    await this.#load()
  }

  /** The cache of one resource; made when there is none. `prefix` is that of {@link resourcePrefix}. */
  resource(prefix: string): ResourceCache {
    let cache = this.#resources.get(prefix)
    if (cache === undefined) {
      const { tenant, resource } = splitPrefix(prefix)
      cache = new ResourceCache(prefix, this.#loadedAt, () => this.revisionFor(tenant))
      this.#resources.set(prefix, cache)
      for (const tap of this.#taps.get(resource) ?? []) connect(tap, tenant, cache)
      for (const view of [ALL_TENANTS, NODES_VIEW]) this.#views.get(`${view}/${resource}`)?.add(tenant, cache)
    }
    return cache
  }

  /** The same, but undefined when nothing was ever seen there: a look leaves no trace. */
  peek(prefix: string): ResourceCache | undefined {
    return this.#resources.get(prefix)
  }

  /** One resource in a view over all tenants; `resource` is `group/resource`, as in the store's keys. */
  view(view: string, resource: ResourceKey): ViewCache {
    const key = `${view}/${resource}`
    let cache = this.#views.get(key)
    if (cache === undefined) {
      const { directory } = this
      cache = new ViewCache({ view, resource, directory, since: this.#revision, revisionOfCache: () => this.#revision })
      this.#views.set(key, cache)
      for (const [prefix, own] of this.#resources) {
        const split = splitPrefix(prefix)
        if (split.resource === resource) cache.add(split.tenant, own)
      }
    }
    return cache
  }

  get(tenant: string, resource: ResourceKey, key: string): StoredObject | undefined {
    return this.peek(`${REGISTRY_PREFIX}${tenant}/${resource}/`)?.get(key)
  }

  list(tenant: string, resource: ResourceKey): Iterable<StoredObject> {
    return this.peek(`${REGISTRY_PREFIX}${tenant}/${resource}/`)?.range('') ?? []
  }

  tenants(): string[] {
    return [...this.#tenants]
  }

  onChange(resource: ResourceKey, listener: (change: StoredChange) => void): () => void {
    const tap: Tap = { listener, removes: [] }
    const taps = this.#taps.get(resource)
    if (taps === undefined) this.#taps.set(resource, new Set([tap]))
    else taps.add(tap)
    for (const [prefix, cache] of this.#resources) {
      const split = splitPrefix(prefix)
      if (split.resource === resource) connect(tap, split.tenant, cache)
    }
    return () => {
      this.#taps.get(resource)?.delete(tap)
      for (const remove of tap.removes) remove()
    }
  }

  /** Objects of this tenant were stored; false for one that nobody has heard of. */
  hasTenant(tenant: string): boolean {
    return this.#tenants.has(tenant)
  }

  /** Lets go of what a tenant had whose objects are all gone; its empty caches stay, about 10 KB. */
  forgetTenant(tenant: string): void {
    for (const [, cache] of this.#resourcesOf(tenant)) if (cache.size === 0) cache.forgetHistory(this.#revision)
    this.#tenantRevisions.advance(tenant, this.#revision)
  }

  /**
   * The tenant came to this partition at this point, and left it when `isHere` is false: what was stored before is no history of it, and who watches it
   * goes on where it is. Views over all tenants go on, but nobody resumes in them at a time before: what they show is another set of tenants.
   */
  moveTenant(tenant: string, { isHere }: { readonly isHere: boolean }): void {
    // what happened here between the arrival and a load is not known
    if (isHere && !this.#isLoading) this.#arrivals.set(tenant, this.#applying)
    else this.#arrivals.delete(tenant)
    this.#tenantRevisions.advance(tenant, this.#applying)
    for (const [, cache] of this.#resourcesOf(tenant)) {
      cache.handWatchersOn(this.#applying)
      cache.forgetHistory(this.#applying)
    }
    for (const [key, view] of this.#views) {
      if (key.startsWith(`${ALL_TENANTS}/`)) view.forgetHistory(this.#applying)
    }
  }

  /** When the tenant came from another partition; undefined: it did not, or that was before this cache was filled. */
  arrivedAt(tenant: string): number | undefined {
    return this.#arrivals.get(tenant)
  }

  positionOf(tenant: string): TenantPosition {
    const changed: Record<string, number> = {}
    for (const [prefix, cache] of this.#resourcesOf(tenant)) changed[splitPrefix(prefix).resource] = cache.changedAt
    return { revision: this.#revision, changed, floor: this.#loadedAt }
  }

  *#resourcesOf(tenant: string): Generator<[string, ResourceCache], void> {
    const prefix = `${REGISTRY_PREFIX}${tenant}/`
    for (const entry of this.#resources) if (entry[0].startsWith(prefix)) yield entry
  }

  /** Prefix and cache of everything that was ever seen, for metrics. */
  entries(): IterableIterator<[string, ResourceCache]> {
    return this.#resources.entries()
  }

  /** Resolves when the cache holds everything that was committed before the call. */
  async waitCurrent(): Promise<void> {
    const revision = await this.#store.currentRevision()
    if (this.#revision >= revision) return
    this.#watch?.requestProgress()
    await this.#waitFor(revision)
  }

  /**
   * Resolves when the cache holds what the tenant, or the view, is shown at `revision`; throws Timeout when that is in the future for too long,
   * Expired when it is another store's. A tenant waits for a change of its own: others' must not be what ends it.
   */
  async waitRevision(tenant: string, revision: number): Promise<void> {
    if (this.revisionFor(tenant) >= revision) return
    this.refuseForeign(revision)
    if (this.#hasOwnRevision(tenant)) return this.#tenantRevisions.wait(tenant, revision)
    this.#watch?.requestProgress()
    await this.#waitFor(revision)
  }

  /** Whether the revision may be one of this partition's store. */
  isOwn(revision: number): boolean {
    return isSameSpan(revision, this.#revision)
  }

  /** Throws Expired for a revision that can only be another partition's: the client must list again. */
  refuseForeign(revision: number): void {
    if (revision < REVISION_SPAN || Math.floor(revision / REVISION_SPAN) <= Math.floor(this.#revision / REVISION_SPAN))
      return
    throw expired(`resource version ${revision} is not from here`)
  }

  /** Announces what is about to be put at `storeKey`; the object belongs to the cache from now on, if the write succeeds. */
  expect(storeKey: string, write: ExpectedWrite): void {
    this.#expected.set(storeKey, write)
  }

  /** The write did not happen. */
  forget(storeKey: string, write: ExpectedWrite): void {
    if (this.#expected.get(storeKey) === write) this.#expected.delete(storeKey)
  }

  /** Starts the ticking that bookmarks and deadlines need; it stops by itself when nobody watches. */
  keepTime(): void {
    if (this.#tick !== undefined || this.#closed) return
    this.#tick = this.#clock.setTimer(TICK_MS, () => {
      this.#tick = undefined
      const nowMs = this.#clock.monotonicMs()
      let watched = false
      for (const cache of [...this.#resources.values(), ...this.#views.values()]) {
        if (cache.watcherCount === 0) continue
        watched = true
        cache.tick(nowMs, BOOKMARK_INTERVAL_MS)
      }
      if (watched) this.keepTime()
    })
  }

  close(): void {
    this.#closed = true
    this.#tick?.cancel()
    this.#watch?.close()
    this.#watch = undefined
    for (const cache of this.#resources.values()) cache.closeWatchers()
    for (const view of this.#views.values()) view.closeWatchers()
  }

  async #load(): Promise<void> {
    const entries = await this.#readAll()
    if (this.#closed) return
    const byPrefix = new Map<string, StoredObject[]>()
    for (const { key, value, modRevision } of entries.list) {
      const split = splitStoreKey(key)
      if (split === undefined) continue
      const object = new StoredObject(split.objectKey, value, modRevision)
      const objects = byPrefix.get(split.prefix)
      if (objects === undefined) byPrefix.set(split.prefix, [object])
      else objects.push(object)
    }
    this.#loadedAt = entries.revision
    this.#tenantRevisions.load(entries.revision)
    this.#applying = entries.revision
    this.#isLoading = true
    this.#arrivals.clear()
    for (const prefix of this.#resources.keys()) if (!byPrefix.has(prefix)) byPrefix.set(prefix, [])
    for (const view of this.#views.values()) view.closeWatchers()
    for (const [prefix, objects] of byPrefix) {
      this.#seeTenant(prefix)
      const cache = this.resource(prefix)
      this.#fill(cache, objects, entries.revision)
      for (const object of objects) this.#hot?.add(object, cache)
    }
    for (const view of this.#views.values()) view.forgetHistory(entries.revision)
    this.#isLoading = false
    this.#follow(entries.revision)
    this.#advance(entries.revision)
  }

  async #readAll(): Promise<{ list: KeyValue[]; revision: number }> {
    const first = await this.#store.range(REGISTRY_PREFIX, { limit: LOAD_PAGE_ENTRIES })
    const list = [...first.entries]
    for (let page = first; page.more;) {
      const from = `${list.at(-1)!.key}\0`
      page = await this.#store.range(REGISTRY_PREFIX, { atRevision: first.revision, from, limit: LOAD_PAGE_ENTRIES })
      list.push(...page.entries)
    }
    return { list, revision: first.revision }
  }

  /** Fills an empty cache, or brings one that missed events up to date; listeners hear of the differences. */
  #fill(cache: ResourceCache, objects: readonly StoredObject[], revision: number): void {
    const sorted = objects.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    if (cache.size === 0 && !cache.isListened) {
      cache.load(sorted)
      cache.forgetHistory(revision)
      return
    }
    cache.closeWatchers()
    const present = new Set(sorted.map((object) => object.key))
    for (const old of Array.from(cache.range(''))) if (!present.has(old.key)) cache.delete(old.key, revision)
    for (const object of sorted) {
      if (cache.get(object.key)?.revision !== object.revision) cache.put(object)
    }
    cache.forgetHistory(revision)
  }

  #follow(revision: number): void {
    this.#watch = this.#store.watch(REGISTRY_PREFIX, {
      omitPrevious: true,
      fromRevision: revision + 1,
      onEvents: (events, at) => this.#apply(events, at),
      onProgress: (at) => this.#advance(at),
      onEnd: (error) => this.#onWatchEnd(error),
    })
  }

  #apply(events: readonly StoreEvent[], revision: number): void {
    this.#applying = revision
    this.#commits++
    for (const event of events) {
      const storeKey = event.type === 'put' ? event.entry.key : event.key
      const split = splitStoreKey(storeKey)
      if (split === undefined) continue
      this.#tenantRevisions.advance(this.#seeTenant(split.prefix), revision)
      if (event.type === 'delete') this.resource(split.prefix).delete(split.objectKey, revision)
      else {
        const cache = this.resource(split.prefix)
        const object = this.#cachedObject(split.objectKey, event.entry)
        cache.put(object)
        this.#hot?.add(object, cache)
      }
    }
    this.#advance(revision)
  }

  #cachedObject(objectKey: string, entry: KeyValue): StoredObject {
    const expected = this.#expected.get(entry.key)
    if (expected === undefined) return new StoredObject(objectKey, entry.value, entry.modRevision)
    const isSame = expected.value === entry.value || asBuffer(expected.value).equals(entry.value)
    if (!isSame) return new StoredObject(objectKey, entry.value, entry.modRevision)
    this.#expected.delete(entry.key)
    const cached = new StoredObject(objectKey, expected.value, entry.modRevision)
    cached.adopt(expected.object)
    return cached
  }

  /** Runs for each event. */
  #seeTenant(prefix: string): string {
    const known = this.#tenantOf.get(prefix)
    if (known !== undefined) return known
    const { tenant } = splitPrefix(prefix)
    this.#tenantOf.set(prefix, tenant)
    this.#tenants.add(tenant)
    return tenant
  }

  #hasOwnRevision(tenant: string): boolean {
    return this.#store.isExclusive === true && tenant !== SYSTEM_TENANT && !isView(tenant)
  }

  *#namesOf(tenant: string, resource: ResourceKey): Generator<string, void> {
    const cache = this.#resources.get(`${REGISTRY_PREFIX}${tenant}/${resource}/`)
    for (const { key } of cache?.range('') ?? []) yield key
  }

  #advance(revision: number): void {
    if (revision <= this.#revision) return
    this.#revision = revision
    this.#waiters.advance(revision)
  }

  #waitFor(revision: number): Promise<void> {
    if (this.#revision >= revision) return Promise.resolve()
    const fail = (): Error => tooLargeRevision(revision, this.#revision)
    return this.#waiters.wait(revision, { timeoutMs: FRESHNESS_TIMEOUT_MS, fail })
  }

  #onWatchEnd(error: Error | undefined): void {
    this.#watch = undefined
    if (this.#closed) return
    this.#logger.warn('Lost the watch of the store, loading again', { error })
    this.#clock.setTimer(RELOAD_DELAY_MS, () => void this.#reload())
  }

  async #reload(): Promise<void> {
    try {
      await this.#load()
    } catch (error) {
      this.#onWatchEnd(error as Error)
    }
  }
}

function connect({ listener, removes }: Tap, tenant: string, cache: ResourceCache): void {
  removes.push(
    cache.listen((event) =>
      listener({
        tenant,
        type: event.type,
        // a tenant's own cache has nothing but stored objects
        object: event.object as StoredObject,
        previous: event.previous as StoredObject | undefined,
      }),
    ),
  )
}
