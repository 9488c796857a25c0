import type { GroupResource } from '@centaurus/api'
import type { RequestInfo, UserInfo } from '../request/request-info.ts'
import type { Fence } from '../storage/epochs.ts'
import { resourcePrefix } from '../storage/keys.ts'
import { placeOf, resourceKeyOf, viewDefinition, type Place, type ViewedName } from '../views/placed.ts'
import { isView } from '../views/view-names.ts'
import type { ObjectCache } from '../watch-cache/resource-cache.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import type { ResourceDefinition } from './registry.ts'

/** One resource of one tenant, or of all in a view, and where its objects are. */
export interface Target {
  readonly tenant: string
  readonly definition: ResourceDefinition
  /** `/registry/<tenant>/<group>/<resource>/`. A view has none: what is written goes to a {@link placedTarget}. */
  readonly prefix: string
  readonly cache: ObjectCache
}

/** Who wants a target's object read or written, and how. */
export interface ObjectRequest {
  readonly target: Target
  readonly user: UserInfo
  /** What extensions see; made up for calls within the process. */
  readonly info: RequestInfo
  /** `''` when the resource has no namespaces, or all are meant. */
  readonly namespace: string
}

export interface WriteRequest extends ObjectRequest {
  readonly dryRun: boolean
  /** `''`: from the user agent. */
  readonly fieldManager: string
  /** The server's own parts want it: nothing that tenants may not touch is closed to them. */
  readonly isInProcess?: boolean | undefined
  /** Options as the client gave them, for those who review the write. */
  readonly asked?:
    | { readonly fieldManager?: string | undefined; readonly fieldValidation?: string | undefined }
    | undefined
  /** A server-side apply has settled `metadata.managedFields` already. */
  readonly applied?: boolean | undefined
  /** Must hold in the same commit. */
  readonly fence?: Fence | undefined
  /** Adds a `Warning` header to the answer. */
  readonly warn: (text: string) => void
}

export function createTarget(cache: WatchCache, definition: ResourceDefinition, tenant: string): Target {
  if (isView(tenant)) {
    return { tenant, definition, prefix: '', cache: cache.view(tenant, resourceKeyOf(definition.storage)) }
  }
  const prefix = resourcePrefix(tenant, definition.storage)
  return { tenant, definition, prefix, cache: cache.resource(prefix) }
}

/** The target of one object that a view names, with its names as its tenant knows them. Other targets stay as they are. */
export function placeTarget(
  cache: WatchCache,
  target: Target,
  { namespace, name }: Pick<ViewedName, 'namespace' | 'name'>,
): { readonly target: Target; readonly place: Place } {
  const { tenant, definition } = target
  if (!isView(tenant)) return { target, place: { tenant, namespace, name } }
  const place = placeOf(cache, { definition, namespace, name })
  return { target: targetAt(cache, definition, place), place }
}

/** The target of a place, read and written under the names of the view. */
export function targetAt(cache: WatchCache, definition: ResourceDefinition, { tenant }: Place): Target {
  return createTarget(cache, viewDefinition(cache, definition, tenant), tenant)
}

/** How messages name the target's resource. */
export function groupResource({ definition }: Target): GroupResource {
  return definition.info
}
