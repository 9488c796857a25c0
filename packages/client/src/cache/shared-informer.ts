import { objectKey, type KubeObject, type ObjectKey, type ResourceType, type Stored } from '@centaurus/api'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client, SelectOptions, WatchEventType } from '../client.ts'
import type { Informer, InformerHandler } from '../informer.ts'
import { ObjectCache } from './object-cache.ts'
import { runReflector } from './reflector.ts'

export interface InformerDeps {
  readonly client: Pick<Client, 'list' | 'watch'>
  readonly clock: Clock
  readonly logger: Logger
  readonly random: Random
}

/**
 * Nobody who reads caches looks at `managedFields`, which are half of a small object and give each one hidden classes of its own: they
 * are left out, as a write without them leaves those that the server has. Objects of these resources keep them: they are shared with
 * the API server of the same process, which would parse one again for each renewal.
 * Source: client-go's cache.TransformStripManagedFields.
 */
const WHOLE_RESOURCES: ReadonlySet<string> = new Set(['leases'])

/** One reflector, one cache, many handlers. Handlers run in the order they were added, after the cache shows the change. */
export class SharedInformer<T extends KubeObject> implements Informer<T> {
  readonly #cache = new ObjectCache<T>()
  readonly #handlers = new Set<InformerHandler<T>>()
  readonly #logger: Logger
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  readonly #firstList = Promise.withResolvers<void>()
  readonly #isStripped: boolean
  #resourceVersion = ''
  #synced = false

  constructor(deps: InformerDeps, type: ResourceType<T>, select: SelectOptions) {
    this.#logger = deps.logger.with({ resource: type.resource })
    this.#isStripped = !WHOLE_RESOURCES.has(type.resource)
    this.#firstList.promise.catch(() => {}) // nobody may be waiting when it closes
    this.#running = runReflector(
      {
        ...deps,
        type,
        select,
        onList: (items, version) => this.#replace(items, version),
        onEvent: (event, object) => this.#apply(event, object),
        onBookmark: (version) => (this.#resourceVersion = version),
      },
      this.#stop.signal,
    )
  }

  get synced(): boolean {
    return this.#synced
  }

  get resourceVersion(): string {
    return this.#resourceVersion
  }

  get(key: ObjectKey): Stored<T> | undefined {
    return this.#cache.get(key)
  }

  list(namespace?: string): readonly Stored<T>[] {
    return this.#cache.list(namespace)
  }

  byIndex(index: string, value: string): readonly Stored<T>[] {
    return this.#cache.byIndex(index, value)
  }

  addIndex(name: string, values: (object: Stored<T>) => readonly string[]): void {
    this.#cache.addIndex(name, values)
  }

  addHandler(handler: InformerHandler<T>): () => void {
    const own = { ...handler } // the same handler may be added twice, and each removed alone
    this.#handlers.add(own)
    for (const object of this.#cache.list()) this.#deliver(() => own.onAdd?.(object))
    return () => void this.#handlers.delete(own)
  }

  async whenSynced(signal?: AbortSignal): Promise<void> {
    if (signal === undefined) return this.#firstList.promise
    signal.throwIfAborted()
    const aborted = Promise.withResolvers<never>()
    const onAbort = (): void => aborted.reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      await Promise.race([this.#firstList.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('Informer closed'))
    this.#firstList.reject(new Error('Informer closed before its first list'))
    this.#handlers.clear()
    await this.#running
  }

  #replace(items: readonly Stored<T>[], version: string): void {
    this.#resourceVersion = version
    const gone = new Set(this.#cache.keys())
    for (const item of items) {
      gone.delete(objectKey(item))
      this.#put(item)
    }
    for (const key of gone) this.#remove(key)
    this.#synced = true
    this.#firstList.resolve()
  }

  #apply(event: WatchEventType, object: Stored<T>): void {
    this.#resourceVersion = object.metadata.resourceVersion
    if (event === 'DELETED') this.#remove(objectKey(object), object)
    else this.#put(object)
  }

  #put(full: Stored<T>): void {
    const object = this.#isStripped ? withoutManagedFields(full) : full
    const old = this.#cache.get(objectKey(object))
    if (old !== undefined && old.metadata.uid === object.metadata.uid) {
      if (old.metadata.resourceVersion === object.metadata.resourceVersion) return
      this.#cache.set(object)
      for (const handler of this.#handlers) this.#deliver(() => handler.onUpdate?.(object, old))
      return
    }
    if (old !== undefined) this.#remove(objectKey(old)) // deleted and made again while nobody looked
    this.#cache.set(object)
    for (const handler of this.#handlers) this.#deliver(() => handler.onAdd?.(object))
  }

  #remove(key: ObjectKey, last?: Stored<T>): void {
    const old = this.#cache.delete(key)
    if (old === undefined) return
    const object = last ?? old
    for (const handler of this.#handlers) this.#deliver(() => handler.onDelete?.(object))
  }

  /** A handler that throws is a bug of its owner; the others still hear of the event. */
  #deliver(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#logger.error('Informer handler failed', { error })
    }
  }
}

/** A copy when there is something to leave out: the object may be shared. */
function withoutManagedFields<T extends KubeObject>(object: Stored<T>): Stored<T> {
  if (object.metadata.managedFields === undefined) return object
  // undefined keeps the object's hidden class, which all others share
  return { ...object, metadata: { ...object.metadata, managedFields: undefined } }
}
