import { formatKey, notFound, type KubeObject } from '@centaurus/api'
import { readSelection } from '../request/query.ts'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import type { NamespacedName } from '../resource/object-reader.ts'
import type { VirtualObjects } from '../resource/registry.ts'
import { groupResource, type Target } from '../resource/target.ts'
import { respondList, respondObject } from '../respond/respond.ts'
import { encodeStored } from '../storage/encoding.ts'
import { isView } from '../views/view-names.ts'
import { StoredObject, type CachedObject } from '../watch-cache/cached-object.ts'
import type { Selection } from '../watch-cache/selection.ts'
import { encoderOptions, namespaceOf, type ResourceCall } from './call.ts'
import type { ServeDeps } from './serve-deps.ts'

/** Answers a get or list of objects that are computed and not stored. */
export async function serveVirtual(deps: ServeDeps, call: ResourceCall): Promise<void> {
  const { exchange, target, definition, info } = call
  const { namespace } = info
  const options = encoderOptions(deps, call)
  if (info.verb === 'get') {
    const object = await getVirtual(deps, target, { namespace, name: info.name })
    return respondObject(exchange, 200, { ...options, object })
  }
  const selection = readSelection(exchange.query, definition, namespaceOf(call))
  const objects = await listVirtual(deps, target, { namespace, selection })
  await respondList(
    exchange,
    { objects, revision: deps.cache.revisionFor(target.tenant), continueToken: '', remaining: undefined },
    options,
  )
}

/** One computed object, as of now. Throws NotFound. */
export async function getVirtual(
  deps: ServeDeps,
  target: Target,
  { namespace = '', name }: NamespacedName,
): Promise<CachedObject> {
  const object = await shownIn(target)?.get({ tenant: target.tenant, namespace }, name)
  if (object === undefined) throw notFound(groupResource(target), name)
  return toCached(deps, target, object)
}

/** The computed objects that are selected, as of now. */
export async function listVirtual(
  deps: ServeDeps,
  target: Target,
  { namespace, selection }: { readonly namespace: string; readonly selection: Selection },
): Promise<CachedObject[]> {
  const wants = (object: KubeObject): boolean => selection.matches(toCached(deps, target, object))
  const objects = await shownIn(target)?.list({ tenant: target.tenant, namespace }, wants)
  return (objects ?? []).map((object) => toCached(deps, target, object)).filter((object) => selection.matches(object))
}

/** Inside a tenant there is nothing of what belongs to operators. */
function shownIn({ tenant, definition: { virtual } }: Target): VirtualObjects | undefined {
  return virtual?.forTenants === true || tenant === SYSTEM_TENANT || isView(tenant) ? virtual : undefined
}

function toCached({ cache }: ServeDeps, { tenant }: Target, object: KubeObject): CachedObject {
  const { namespace = '', name = '' } = object.metadata
  return new StoredObject(formatKey(namespace, name), encodeStored(object), cache.revisionFor(tenant))
}
