import { notFound, type KubeObject } from '@centaurus/api'
import { readSelection } from '../request/query.ts'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import type { VirtualObjects } from '../resource/registry.ts'
import { groupResource, type Target } from '../resource/target.ts'
import { respondList, respondObject } from '../respond/respond.ts'
import { encodeStored } from '../storage/encoding.ts'
import { isView } from '../views/view-names.ts'
import { StoredObject, type CachedObject } from '../watch-cache/cached-object.ts'
import { encoderOptions, type ResourceCall } from './call.ts'
import type { ServeDeps } from './serve-deps.ts'

/** Answers a get or list of objects that are computed and not stored. They belong to operators: inside a tenant there are none. */
export async function serveVirtual(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { exchange, target, definition, info } = call
  const options = encoderOptions(deps, call)
  if (info.verb === 'get') {
    return respondObject(exchange, 200, { ...options, object: getVirtual(deps, target, info.name) })
  }
  const selection = readSelection(exchange.query, definition, '')
  const objects = listVirtual(deps, target).filter((object) => selection.matches(object))
  await respondList(
    exchange,
    { objects, revision: deps.cache.revision, continueToken: '', remaining: undefined },
    options,
  )
}

/** One computed object, as of now. Throws NotFound. */
export function getVirtual(deps: ServeDeps, target: Target, name: string): CachedObject {
  const object = shownIn(target)?.get(name)
  if (object === undefined) throw notFound(groupResource(target), name)
  return toCached(deps, object)
}

/** All computed objects, as of now. */
export function listVirtual(deps: ServeDeps, target: Target): CachedObject[] {
  return (shownIn(target)?.list() ?? []).map((object) => toCached(deps, object))
}

function shownIn({ tenant, definition }: Target): VirtualObjects | undefined {
  return tenant === SYSTEM_TENANT || isView(tenant) ? definition.virtual : undefined
}

function toCached({ cache }: ServeDeps, object: KubeObject): CachedObject {
  return new StoredObject(object.metadata.name ?? '', encodeStored(object), cache.revision)
}
