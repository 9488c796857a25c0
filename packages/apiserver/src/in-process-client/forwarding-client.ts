import { notFoundPath, type KubeObject, type ResourceType } from '@centaurus/api'
import type { Client, ObjectName } from '@centaurus/client'
import { createRequesterClient, parseRefusal, type HttpCall } from '@centaurus/client/http'
import type { WriteForwarder } from '../handlers/forward-write.ts'
import type { ServeDeps } from '../handlers/serve-deps.ts'
import type { UserInfo } from '../request/request-info.ts'
import { findDefinition } from '../resource/find-definition.ts'
import { createTarget } from '../resource/target.ts'
import { placeOf } from '../views/placed.ts'

/**
 * A client of a view over all tenants that has other partitions do what is written to their objects, and does everything else by `local`. What is
 * handed on is sent as it would be over HTTP.
 */
export function createForwardingClient(
  deps: ServeDeps,
  { user, local }: { readonly user: UserInfo; readonly local: Client },
): Client {
  /** The client for a write of the object: the local one when it is this partition's. */
  const at = (type: ResourceType<KubeObject>, name: ObjectName): Client =>
    findOwner(deps, { user, type, name }) ?? local
  const nameOf = ({ metadata: { namespace, name = '' } }: KubeObject): ObjectName => ({ namespace, name })
  return {
    get: (type, name, options) => local.get(type, name, options),
    list: (type, options) => local.list(type, options),
    watch: (type, options) => local.watch(type, options),
    deleteCollection: (type, options) => local.deleteCollection(type, options),
    getSubresource: (type, name, subresource, options) => local.getSubresource(type, name, subresource, options),
    close: () => local.close(),
    create: async (type, object, options) =>
      at(type, { ...nameOf(object), name: '' }).create(type, withKind(type, object), options),
    update: async (type, object, options) => at(type, nameOf(object)).update(type, withKind(type, object), options),
    updateStatus: async (type, object, options) =>
      at(type, nameOf(object)).updateStatus(type, withKind(type, object), options),
    patch: async (type, name, patch, options) => at(type, name).patch(type, name, patch, options),
    delete: async (type, name, options) => at(type, name).delete(type, name, options),
    createSubresource: async (type, name, subresource, body, options) =>
      at(type, name).createSubresource(type, name, subresource, body, options),
    updateSubresource: async (type, name, subresource, body, options) =>
      at(type, name).updateSubresource(type, name, subresource, body, options),
  }
}

interface Asked {
  readonly user: UserInfo
  readonly type: ResourceType<KubeObject>
  /** In the view; an empty name for a new object. */
  readonly name: ObjectName
}

/** A client of the partition that keeps the object; undefined: this one does. Throws NotFound when no tenant has it. */
function findOwner(deps: ServeDeps, { user, type, name }: Asked): Client | undefined {
  if (deps.writeForwarders.length === 0 || (!type.namespaced && name.name === '')) return undefined
  const definition = findDefinition(deps, user.tenant, type)
  if (definition === undefined) throw notFoundPath()
  const place = placeOf(deps.cache, { definition, namespace: name.namespace ?? '', name: name.name })
  const target = createTarget(deps.cache, definition, place.tenant)
  const key = place.namespace === '' ? place.name : `${place.namespace}/${place.name}`
  const copy = place.name === '' ? undefined : target.cache.get(key)?.object()
  for (const forwarder of deps.writeForwarders) {
    const owner = forwarder.ownerOf(place.tenant, copy)
    if (owner === undefined) continue
    const storeKey = place.name === '' ? undefined : target.prefix + key
    return createRequesterClient({
      call: (call) => send(forwarder, owner, { ...call, user, tenant: place.tenant, copy, storeKey }),
      open: () => Promise.reject(new Error('Only writes are handed on')),
    })
  }
  return undefined
}

type Sent = HttpCall & Pick<Parameters<WriteForwarder['send']>[1], 'user' | 'tenant' | 'copy' | 'storeKey'>

async function send<Out>(forwarder: WriteForwarder, owner: string, { body, contentType, ...call }: Sent): Promise<Out> {
  call.signal?.throwIfAborted()
  const answer = await forwarder.send(owner, {
    ...call,
    contentType: contentType ?? 'application/json',
    accept: 'application/json',
    body: body === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(body)),
  })
  const text = Buffer.from(answer.body).toString('utf8')
  if (answer.status >= 300) throw parseRefusal(answer, text)
  return JSON.parse(text) as Out
}

/** Over HTTP an object says what it is. */
function withKind<T extends KubeObject>({ group, version, kind }: ResourceType<T>, object: T): T {
  return { ...object, kind, apiVersion: group === '' ? version : `${group}/${version}` }
}
