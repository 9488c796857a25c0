import { ORIGIN_ANNOTATION, ORIGIN_REVISION_ANNOTATION, SYSTEM_TENANT, type KubeObject } from '@centaurus/api'
import { asBuffer } from '../storage/encoding.ts'
import { CacheEvent } from '../watch-cache/cache-event.ts'
import type { CachedObject, FieldsOf, StoredObject } from '../watch-cache/cached-object.ts'
import { EventFeed, type CacheListener, type StartWatchOptions } from '../watch-cache/event-feed.ts'
import { selectFrom, type ObjectCache, type ResourceCache, type StoreSource } from '../watch-cache/resource-cache.ts'
import type { Watcher } from '../watch-cache/watcher.ts'
import { API_SERVICE, isApiService, toNodeApi } from './node-api.ts'
import { toNodePod } from './node-pod.ts'
import { QualifiedObject, type Appearance } from './qualified-object.ts'
import { isOfSystem, NAMESPACES, type ResourceKey } from './references.ts'
import type { NameDirectory } from './name-directory.ts'
import { toQualified, type TenantNames } from './translate.ts'
import { NODES_VIEW } from './view-names.ts'

interface Member {
  readonly tenant: string
  readonly cache: ResourceCache
  readonly appearance: Appearance
}

export interface ViewCacheOptions {
  /** `all`, or the view of nodes. */
  readonly view: string
  readonly resource: ResourceKey
  readonly directory: NameDirectory
  /** Every event with a greater revision will be heard. */
  readonly since: number
  readonly revisionOfCache: () => number
}

/**
 * One resource of all tenants of a partition: the tenants' caches in the order of their names, each in the order of its keys, and
 * one feed of their events. It holds no objects. Those of the `system` tenant pass through as they are.
 */
export class ViewCache implements ObjectCache {
  readonly #view: string
  readonly #resource: ResourceKey
  readonly #directory: NameDirectory
  readonly #feed: EventFeed
  /** In the order of the tenants' names. */
  #members: Member[] = []
  readonly #byTenant = new Map<string, Member>()

  constructor({ view, resource, directory, since, revisionOfCache }: ViewCacheOptions) {
    this.#view = view
    this.#resource = resource
    this.#directory = directory
    this.#feed = new EventFeed(since, revisionOfCache)
  }

  get size(): number {
    return this.#members.reduce((sum, { cache }) => sum + cache.size, 0)
  }

  get watcherCount(): number {
    return this.#feed.watcherCount
  }

  get changedAt(): number {
    return this.#members.reduce((newest, { cache }) => Math.max(newest, cache.changedAt), 0)
  }

  unchangedUntil(revision: number): number {
    return this.#members.reduce(
      (until, { cache }) => (cache.changedAt > revision ? Math.min(until, cache.unchangedUntil(revision)) : until),
      Number.MAX_SAFE_INTEGER,
    )
  }

  /** Takes the tenant's objects in, from the first on: nothing of the cache was told to anybody before. */
  add(tenant: string, cache: ResourceCache): void {
    if (this.#byTenant.has(tenant)) return
    if (isOfSystem(this.#resource) && tenant !== SYSTEM_TENANT) return
    const names = this.#directory.names(tenant)
    const appearance = createAppearance(this.#resource, names, { view: this.#view, ownApi: () => this.#ownApi() })
    const member = { tenant, cache, appearance }
    this.#byTenant.set(tenant, member)
    this.#members = [...this.#members, member].toSorted((a, b) => (a.tenant < b.tenant ? -1 : 1))
    cache.follow((event) => this.#hear(member, event))
  }

  /** The Service of this partition's own API. */
  #ownApi(): KubeObject | undefined {
    return this.#byTenant.get(SYSTEM_TENANT)?.cache.get(API_SERVICE)?.object()
  }

  get(key: string): CachedObject | undefined {
    const slash = key.indexOf('/')
    const found =
      slash < 0
        ? this.#directory.resolve(this.#resource, key)
        : this.#directory.resolve(NAMESPACES, key.slice(0, slash))
    const member = found === undefined ? undefined : this.#byTenant.get(found.tenant)
    if (member === undefined) return undefined
    const object = member.cache.get(slash < 0 ? found!.name : found!.name + key.slice(slash))
    return object === undefined ? undefined : show(member, object)
  }

  *range(prefix: string, from = ''): Generator<CachedObject, void> {
    for (const { member, prefix: own, from: start } of this.#parts(prefix, from)) {
      for (const object of member.cache.range(own, start)) yield show(member, object)
    }
  }

  *onNode(node: string, fieldsOf: FieldsOf): Generator<CachedObject, void> {
    for (const member of this.#members) {
      for (const object of member.cache.onNode(node, fieldsOf)) yield show(member, object)
    }
  }

  /** `tenant/key`: unlike the keys of the view these have the order in which it lists. */
  positionOf(object: CachedObject): string {
    if (object instanceof QualifiedObject) return `${object.tenant}/${object.origin.key}`
    return `${SYSTEM_TENANT}/${object.key}`
  }

  *sources(prefix: string, from: string): Generator<StoreSource, void> {
    for (const { member, prefix: own, from: start } of this.#parts(prefix, from)) {
      for (const source of member.cache.sources(own, start)) {
        yield { ...source, show: (object) => show(member, object) }
      }
    }
  }

  watch(options: StartWatchOptions): Watcher {
    return this.#feed.watch(options, () => selectFrom(this, options.selection))
  }

  listen(listener: CacheListener): () => void {
    return this.#feed.listen(listener)
  }

  /** Bookmarks and ends what is due. `nowMs` is monotonic. */
  tick(nowMs: number, bookmarkIntervalMs: number): void {
    this.#feed.tick(nowMs, bookmarkIntervalMs)
  }

  /** Ends every watch; clients resume or list again. */
  closeWatchers(error?: Error): void {
    this.#feed.closeWatchers(error)
  }

  /** Forgets the history up to `revision`, after events were missed. */
  forgetHistory(revision: number): void {
    this.#feed.forgetHistory(revision)
  }

  #hear(member: Member, event: CacheEvent): () => void {
    const seen = isShownAsIs(member, event.object)
      ? event
      : new CacheEvent(
          event.type,
          show(member, event.object as StoredObject),
          event.previous === undefined ? undefined : show(member, event.previous as StoredObject),
        )
    this.#feed.hear(seen)
    return () => {
      this.#feed.dispatch(seen)
      if (seen !== event) seen.dropEncodings()
    }
  }

  /** What each tenant's cache contributes to a range, in order. */
  *#parts(prefix: string, from: string): Generator<{ member: Member; prefix: string; from: string }, void> {
    const slash = from.indexOf('/')
    const firstTenant = from.slice(0, slash)
    const firstKey = from.slice(slash + 1)
    if (prefix !== '') {
      const found = this.#directory.resolve(NAMESPACES, prefix.slice(0, -1))
      const member = found === undefined ? undefined : this.#byTenant.get(found.tenant)
      if (member === undefined) return
      yield { member, prefix: `${found!.name}/`, from: from === '' ? '' : firstKey }
      return
    }
    for (const member of this.#members) {
      if (from !== '' && member.tenant < firstTenant) continue
      yield { member, prefix: '', from: from !== '' && member.tenant === firstTenant ? firstKey : '' }
    }
  }
}

/** Names of the `system` tenant are the view's own, unless they hold what separates a qualified name. */
function isShownAsIs({ tenant, appearance }: Member, object: CachedObject): boolean {
  if (tenant !== SYSTEM_TENANT) return false
  if (appearance.hidesOrigin && asBuffer(object.value).includes(ORIGIN_TEXT)) return false
  return !object.key.includes('--') || appearance.keyOf(object.key) === object.key
}

const ORIGIN_TEXT = `"${ORIGIN_ANNOTATION}"`

function show(member: Member, object: StoredObject): CachedObject {
  return isShownAsIs(member, object) ? object : new QualifiedObject(object, member.appearance)
}

interface Seen {
  readonly view: string
  readonly ownApi: () => KubeObject | undefined
}

function createAppearance(resource: ResourceKey, names: TenantNames, { view, ownApi }: Seen): Appearance {
  const isOfNodes = view === NODES_VIEW
  const toNodes = (shown: KubeObject, own: KubeObject): KubeObject => {
    if (names.tenant === SYSTEM_TENANT) return shown
    if (resource === 'core/pods') return toNodePod(shown)
    return resource === 'core/services' && isApiService(own) ? toNodeApi(shown, ownApi()) : shown
  }
  return {
    tenant: names.tenant,
    keyOf: (key) => {
      const slash = key.indexOf('/')
      if (slash < 0) return names.qualify(resource, key)
      return names.qualify(NAMESPACES, key.slice(0, slash)) + key.slice(slash)
    },
    show: (object) => {
      const { namespace, name } = object.metadata
      const isPlain = names.tenant === SYSTEM_TENANT && !(namespace || name).includes('--')
      const shown = isPlain ? object : toQualified(resource, object, names)
      return isOfNodes ? withoutOrigin(toNodes(shown, object)) : shown
    },
    showsFields: resource === 'core/events',
    showsLabels: resource === NAMESPACES,
    hidesOrigin: isOfNodes,
  }
}

/** Nodes know no copies: an annotation that changes with each version would go into pods that ask for their annotations. */
function withoutOrigin<T extends KubeObject>(object: T): T {
  const { annotations } = object.metadata
  if (annotations?.[ORIGIN_ANNOTATION] === undefined) return object
  const { [ORIGIN_ANNOTATION]: _origin, [ORIGIN_REVISION_ANNOTATION]: _revision, ...own } = annotations
  return { ...object, metadata: { ...object.metadata, annotations: own } }
}
