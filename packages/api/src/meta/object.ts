import type { KubeObject } from '../kinds/behavior.ts'
import type { ObjectMeta } from '../generated/types/meta/v1.ts'

/** Metadata that every object which the server returns has. */
export interface StoredMeta extends ObjectMeta {
  name: string
  uid: string
  resourceVersion: string
  creationTimestamp: string
}

/** An object as the server returns it. Those from a cache are shared: do not change them. */
export type Stored<T> = T & { metadata: StoredMeta }

/** Identity of an object within a resource: `namespace/name`, or `name` when it has no namespace. */
export type ObjectKey = string

/** Key of an object by its metadata. */
export function objectKey(object: KubeObject): ObjectKey {
  return formatKey(object.metadata.namespace ?? '', object.metadata.name ?? '')
}

/** `namespace/name`, or `name` when the namespace is `''`. */
export function formatKey(namespace: string, name: string): ObjectKey {
  return namespace === '' ? name : `${namespace}/${name}`
}

/** Inverse of {@link formatKey}. */
export function parseKey(key: ObjectKey): { namespace: string; name: string } {
  const slash = key.indexOf('/')
  return slash < 0 ? { namespace: '', name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) }
}
