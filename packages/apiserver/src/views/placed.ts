import { notFound, SYSTEM_TENANT, TENANT_ANNOTATION, type KubeObject } from '@centaurus/api'
import type { RequestInfo } from '../request/request-info.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import { NAMESPACES, type ResourceKey } from './references.ts'
import { fromQualified, toQualified } from './translate.ts'

/** Where an object of the view really is. */
export interface Place {
  readonly tenant: string
  /** As the tenant knows it; `''` when the resource has none. */
  readonly namespace: string
  /** As the tenant knows it; `''` when it is not decided yet. */
  readonly name: string
}

export interface ViewedName {
  readonly definition: ResourceDefinition
  readonly namespace: string
  readonly name: string
}

/** Finds the tenant's own object behind a name in the view. Throws NotFound when no tenant here has such a namespace or name. */
export function placeOf({ directory }: WatchCache, { definition, namespace, name }: ViewedName): Place {
  const { storage, info } = definition
  if (info.namespaced) {
    const found = directory.resolve(NAMESPACES, namespace)
    if (found === undefined) throw notFound({ group: '', resource: 'namespaces' }, namespace)
    return { tenant: found.tenant, namespace: found.name, name }
  }
  if (name === '') return { tenant: SYSTEM_TENANT, namespace: '', name }
  const found = directory.resolve(resourceKeyOf(storage), name)
  if (found === undefined) throw notFound(info, name)
  return { tenant: found.tenant, namespace: '', name: found.name }
}

/** Where a new object goes: by its namespace or name, and when the server is to name it by the annotation that says whose it is. */
export function placeOfNew(cache: WatchCache, viewed: ViewedName, object: KubeObject): Place {
  const { name = '', annotations } = object.metadata
  const place = placeOf(cache, { ...viewed, name: viewed.definition.info.namespaced ? viewed.name : name })
  const owner = annotations?.[TENANT_ANNOTATION]
  if (viewed.definition.info.namespaced || name !== '' || owner === undefined) return place
  if (!cache.hasTenant(owner)) throw notFound({ group: 'centaurus.io', resource: 'tenants' }, owner)
  return { ...place, tenant: owner }
}

/** The definition for what a place's tenant has, read and written under the names of the view. */
export function viewDefinition(cache: WatchCache, definition: ResourceDefinition, tenant: string): ResourceDefinition {
  const resource = resourceKeyOf(definition.storage)
  const names = cache.directory.names(tenant)
  return {
    ...definition,
    view: {
      showsAsIs: (key) => tenant === SYSTEM_TENANT && !key.includes('--'),
      show: (object) => (isUntouched(object, tenant) ? object : toQualified(resource, object, names)),
      take: (object) => fromQualified(resource, object, names),
    },
  }
}

/** The request as the tenant would make it. */
export function placedInfo(info: RequestInfo, { tenant, namespace, name }: Place): RequestInfo {
  const isNamespace = info.group === '' && info.resource === 'namespaces'
  return { ...info, tenant, namespace: isNamespace && info.namespace !== '' ? name : namespace, name }
}

export function resourceKeyOf({ keyGroup, resource }: ResourceDefinition['storage']): ResourceKey {
  return `${keyGroup}/${resource}`
}

/** As in the view's lists, where most of the `system` tenant is shown as it is. */
function isUntouched({ metadata }: KubeObject, tenant: string): boolean {
  return tenant === SYSTEM_TENANT && !(metadata.namespace || metadata.name || '').includes('--')
}
