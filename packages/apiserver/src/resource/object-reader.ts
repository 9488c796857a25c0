import type { KubeObject, Stored } from '@centaurus/api'

/** Group and resource; a `ResourceType` fits. */
export interface GroupResourceName<T extends KubeObject = KubeObject> {
  readonly group: string
  readonly resource: string
  /** Never set: it only ties `T` to the value. */
  readonly objectType?: T
}

export interface ReaderOptions {
  /** Default: the `system` tenant. `all`: the view over all tenants, with qualified names. */
  readonly tenant?: string | undefined
}

/**
 * Synchronous look at what the watch cache holds, decoded (in the storage version) and shared: never change an object.
 * It may be behind the store by the events that are on their way; `whenCurrent` of the cache waits for them.
 */
export interface ObjectReader {
  get<T extends KubeObject>(
    type: GroupResourceName<T>,
    name: NamespacedName,
    options?: ReaderOptions,
  ): Stored<T> | undefined
  /** In the order of namespace and name. Absent namespace: all. */
  list<T extends KubeObject>(type: GroupResourceName<T>, namespace?: string, options?: ReaderOptions): Stored<T>[]
  /** How many there are in all namespaces; decodes nothing. */
  count(type: GroupResourceName, options?: ReaderOptions): number
  /**
   * Calls `listener` for every later change, synchronously and in order, before any watcher hears of it. Returns the function
   * that removes it. Keep it cheap: decode (`event.object()`) only what is needed.
   */
  onChange<T extends KubeObject>(
    type: GroupResourceName<T>,
    listener: (event: ObjectChange<T>) => void,
    options?: ReaderOptions,
  ): () => void
}

export interface NamespacedName {
  /** '' or absent for resources without a namespace. */
  readonly namespace?: string | undefined
  readonly name: string
}

export interface ObjectChange<T extends KubeObject> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly namespace: string
  readonly name: string
  /** The object after the change; for DELETED its last state. Decodes on first use. */
  object(): Stored<T>
  /** The object before the change; undefined for ADDED. */
  old(): Stored<T> | undefined
}
