import type { KubeObject, Stored } from '@centaurus/api'
import type { TenantPosition } from '../storage/arrival.ts'
import { splitStoreKey, splitPrefix, REGISTRY_PREFIX } from '../storage/keys.ts'

/** An object as the store holds it. */
export interface StoredEntry {
  /** `namespace/name`, or `name`. */
  readonly key: string
  readonly revision: number
  /** JSON in the storage version, without the resourceVersion unless it keeps that of another partition. Never change it. */
  readonly value: Uint8Array
  /** Decoded, frozen, shared. */
  object(): Stored<KubeObject>
}

export interface StoredChange {
  readonly tenant: string
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  /** After the change; for DELETED its last content at the revision of the delete. */
  readonly object: StoredEntry
  readonly previous: StoredEntry | undefined
}

/**
 * What the watch cache holds of all tenants, under their own names and as stored bytes: for what copies objects. `resource` is
 * `group/resource`, the core group's is `core`.
 */
export interface StoredObjects {
  get(tenant: string, resource: string, key: string): StoredEntry | undefined
  /** In the order of the keys. */
  list(tenant: string, resource: string): Iterable<StoredEntry>
  /** Tenants that have objects here. */
  tenants(): readonly string[]
  /** Up to where a tenant's objects had changed when everything up to the position's `revision` was applied. */
  positionOf(tenant: string): TenantPosition
  /** Resolves when everything that was committed before the call was applied; throws Timeout when that takes too long. */
  waitCurrent(): Promise<void>
  /** Calls `listener` for each later change of any tenant, in order and before any watcher. Returns what removes it. */
  onChange(resource: string, listener: (change: StoredChange) => void): () => void
}

export interface ObjectAddress {
  readonly tenant: string
  readonly resource: string
  /** `namespace/name`, or `name`. */
  readonly key: string
}

/** The store's key of an object. */
export function storeKeyOf({ tenant, resource, key }: ObjectAddress): string {
  return `${REGISTRY_PREFIX}${tenant}/${resource}/${key}`
}

/** Inverse of {@link storeKeyOf}; undefined for what is no object's key. */
export function parseStoreKey(storeKey: string): ObjectAddress | undefined {
  const split = splitStoreKey(storeKey)
  return split === undefined ? undefined : { ...splitPrefix(split.prefix), key: split.objectKey }
}
