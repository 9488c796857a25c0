import { objectKey, type KubeObject, type ObjectKey, type Stored } from '@centaurus/api'
import type { Logger } from '@centaurus/base'
import { ObjectCache, type Informer, type InformerHandler } from '@centaurus/client'

/** An informer that is fed by whoever knows its objects, such as from several servers. */
export class MergedInformer<T extends KubeObject> implements Informer<T> {
  readonly #cache = new ObjectCache<T>()
  readonly #handlers = new Set<InformerHandler<T>>()
  readonly #firstList = Promise.withResolvers<void>()
  readonly #logger: Logger
  #synced = false

  constructor(logger: Logger) {
    this.#logger = logger
    this.#firstList.promise.catch(() => {}) // nobody may be waiting when it closes
  }

  get synced(): boolean {
    return this.#synced
  }

  /** There is none that would mean anything across servers. */
  get resourceVersion(): string {
    return ''
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
    const own = { ...handler }
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

  /** Everything that is there at the start was put. */
  markSynced(): void {
    this.#synced = true
    this.#firstList.resolve()
  }

  put(object: Stored<T>): void {
    const old = this.#cache.get(objectKey(object))
    if (old !== undefined && old.metadata.uid !== object.metadata.uid) this.remove(objectKey(old))
    this.#cache.set(object)
    const known = old !== undefined && old.metadata.uid === object.metadata.uid ? old : undefined
    for (const handler of this.#handlers) {
      this.#deliver(() => (known === undefined ? handler.onAdd?.(object) : handler.onUpdate?.(object, known)))
    }
  }

  remove(key: ObjectKey): void {
    const old = this.#cache.delete(key)
    if (old === undefined) return
    for (const handler of this.#handlers) this.#deliver(() => handler.onDelete?.(old))
  }

  close(): void {
    this.#firstList.reject(new Error('Informer closed before its first list'))
    this.#handlers.clear()
  }

  #deliver(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#logger.error('Informer handler failed', { error })
    }
  }
}
