import type { StorageForm } from '../resource/registry.ts'

/** Everything that the server keeps. */
export const REGISTRY_PREFIX = '/registry/'

/** `/registry/<tenant>/<group or core>/<resource>/`: all objects of a resource. */
export function resourcePrefix(tenant: string, storage: Pick<StorageForm, 'keyGroup' | 'resource'>): string {
  return `${REGISTRY_PREFIX}${tenant}/${storage.keyGroup}/${storage.resource}/`
}

/** The key group of an API group: the store's keys have no empty parts. */
export function keyGroupOf(group: string): string {
  return group === '' ? 'core' : group
}

export interface SplitKey {
  readonly prefix: string
  /** `namespace/name`, or `name`. */
  readonly objectKey: string
}

/** Splits a store key; undefined when it is not an object's. */
export function splitStoreKey(key: string): SplitKey | undefined {
  const tenantEnd = key.indexOf('/', REGISTRY_PREFIX.length)
  const groupEnd = tenantEnd < 0 ? -1 : key.indexOf('/', tenantEnd + 1)
  const resourceEnd = groupEnd < 0 ? -1 : key.indexOf('/', groupEnd + 1)
  if (resourceEnd < 0) return undefined
  return { prefix: key.slice(0, resourceEnd + 1), objectKey: key.slice(resourceEnd + 1) }
}

export interface SplitPrefix {
  readonly tenant: string
  /** `group/resource`, the core group's is `core`. */
  readonly resource: string
}

/** Splits what {@link resourcePrefix} made. */
export function splitPrefix(prefix: string): SplitPrefix {
  const tenantEnd = prefix.indexOf('/', REGISTRY_PREFIX.length)
  return { tenant: prefix.slice(REGISTRY_PREFIX.length, tenantEnd), resource: prefix.slice(tenantEnd + 1, -1) }
}
