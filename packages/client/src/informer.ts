import type { KubeObject, ObjectKey, ResourceType, Stored } from '@centaurus/api'
import type { SelectOptions } from './client.ts'

/** A local, indexed, self-repairing copy of a resource: list, then watch, again when the watch is lost. */
export interface Informer<T extends KubeObject> {
  /** Undefined when there is none. Shared: do not change it. */
  get(key: ObjectKey): Stored<T> | undefined
  list(namespace?: string): readonly Stored<T>[]
  /** Objects for which the named index function returned `value`. */
  byIndex(index: string, value: string): readonly Stored<T>[]
  /** Adds an index; existing objects are indexed at once. The name must be new or its function the same. */
  addIndex(name: string, values: (object: Stored<T>) => readonly string[]): void
  /**
   * Registers handlers; objects that are already there are delivered as adds first. Returns the function that removes them.
   * A relist delivers what changed meanwhile: updates may have skipped states, and an object that went away is delivered as
   * `onDelete` with its last known state.
   */
  addHandler(handler: InformerHandler<T>): () => void
  /** True once the first list was delivered. */
  readonly synced: boolean
  /** Resolves when {@link synced}; rejects when the signal aborts. */
  whenSynced(signal?: AbortSignal): Promise<void>
  /** Newest resourceVersion seen. */
  readonly resourceVersion: string
}

export interface InformerHandler<T extends KubeObject> {
  onAdd?(object: Stored<T>): void
  onUpdate?(object: Stored<T>, old: Stored<T>): void
  onDelete?(object: Stored<T>): void
}

/** One informer for each resource and selection, shared by all who ask. */
export interface InformerFactory {
  /** Starts it on first use. */
  informer<T extends KubeObject>(type: ResourceType<T>, select?: SelectOptions): Informer<T>
  /** Stops and forgets the informer of that selection, as when a CustomResourceDefinition goes away. Its users get no more events. */
  release<T extends KubeObject>(type: ResourceType<T>, select?: SelectOptions): void
  /** Resolves when every informer asked for so far is synced. */
  whenSynced(signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}
