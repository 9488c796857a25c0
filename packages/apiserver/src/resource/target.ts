import type { GroupResource } from '@centaurus/api'
import type { RequestInfo, UserInfo } from '../request/request-info.ts'
import { resourcePrefix } from '../storage/keys.ts'
import type { ResourceCache } from '../watch-cache/resource-cache.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import type { ResourceDefinition } from './registry.ts'

/** One resource of one tenant, and where its objects are. */
export interface Target {
  readonly tenant: string
  readonly definition: ResourceDefinition
  /** `/registry/<tenant>/<group>/<resource>/`. */
  readonly prefix: string
  readonly cache: ResourceCache
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
  /** A server-side apply has settled `metadata.managedFields` already. */
  readonly applied?: boolean | undefined
  /** Adds a `Warning` header to the answer. */
  readonly warn: (text: string) => void
}

export function createTarget(cache: WatchCache, definition: ResourceDefinition, tenant: string): Target {
  const prefix = resourcePrefix(tenant, definition.storage)
  return { tenant, definition, prefix, cache: cache.resource(prefix) }
}

/** How messages name the target's resource. */
export function groupResource({ definition }: Target): GroupResource {
  return definition.info
}
