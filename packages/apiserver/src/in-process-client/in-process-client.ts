import {
  deepClone,
  formatKey,
  notFound,
  notFoundPath,
  type KubeObject,
  type ResourceType,
  type Stored,
} from '@centaurus/api'
import type { Scale } from '@centaurus/api/autoscaling/v1'
import type { Binding } from '@centaurus/api/core/v1'
import type { Status } from '@centaurus/api/meta/v1'
import type { Eviction } from '@centaurus/api/policy/v1'
import type {
  CallOptions,
  Client,
  ClientWatch,
  ClientWatchOptions,
  DeleteOptions,
  ListOptions,
  ObjectList,
  ObjectName,
  Patch,
  PatchOptions,
  WriteOptions,
} from '@centaurus/client'
import { bindPod } from '../handlers/binding.ts'
import { createObject } from '../handlers/create.ts'
import { toStored } from '../handlers/decode-body.ts'
import { deleteCollection } from '../handlers/delete-collection.ts'
import { deleteAnswer, deleteObject } from '../handlers/delete.ts'
import { evictPod } from '../handlers/eviction.ts'
import { listObjects } from '../handlers/list.ts'
import { patchObject } from '../handlers/patch.ts'
import { getScale, patchScale, updateScale } from '../handlers/scale.ts'
import { strategyFor } from '../handlers/strategies.ts'
import { mainStrategy, statusStrategy, type UpdateStrategy } from '../handlers/prepare.ts'
import type { ServeDeps } from '../handlers/serve-deps.ts'
import { updateObject } from '../handlers/update.ts'
import { getVirtual, listVirtual } from '../handlers/virtual.ts'
import { startWatch } from '../handlers/watch.ts'
import { createSelection } from '../request/query.ts'
import { SYSTEM_TENANT, type UserInfo } from '../request/request-info.ts'
import { findDefinition } from '../resource/find-definition.ts'
import { createTarget, groupResource, targetAt, type Target, type WriteRequest } from '../resource/target.ts'
import { toServed } from '../respond/encoder.ts'
import { placeOf, placeOfNew, type Place } from '../views/placed.ts'
import { isView } from '../views/view-names.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import { CallbackSink } from './callback-sink.ts'
import { createForwardingClient } from './forwarding-client.ts'

/**
 * The API without HTTP, encoding and authorization: reads and watches hand out the cache's own decoded objects, frozen and shared.
 * Validation, admission and everything else that a write goes through is the same.
 */
export function createInProcessClient(deps: ServeDeps, user: UserInfo): Client {
  const client = new InProcessClient(deps, user)
  return isView(user.tenant) ? createForwardingClient(deps, { user, local: client }) : client
}

class InProcessClient implements Client {
  readonly #deps: ServeDeps
  readonly #user: UserInfo
  readonly #watches = new Set<ClientWatch>()

  constructor(deps: ServeDeps, user: UserInfo) {
    this.#deps = deps
    this.#user = user
  }

  async get<T extends KubeObject>(
    type: ResourceType<T>,
    name: ObjectName,
    options: CallOptions = {},
  ): Promise<Stored<T>> {
    options.signal?.throwIfAborted()
    const target = this.#target(type)
    if (target.definition.virtual !== undefined) return served<T>(target, await getVirtual(this.#deps, target, name))
    await this.#deps.cache.waitCurrent()
    const object = target.cache.get(formatKey(namespaceOf(type, name.namespace), name.name))
    if (object === undefined) throw notFound(groupResource(target), name.name)
    return served<T>(target, object)
  }

  async list<T extends KubeObject>(type: ResourceType<T>, options: ListOptions = {}): Promise<ObjectList<T>> {
    options.signal?.throwIfAborted()
    const target = this.#target(type)
    if (target.definition.virtual !== undefined) {
      const selection = createSelection(target.definition, selectionText(type, options))
      const objects = await listVirtual(this.#deps, target, { namespace: options.namespace ?? '', selection })
      const resourceVersion = String(this.#deps.cache.revisionFor(target.tenant))
      return { items: objects.map((object) => served<T>(target, object)), resourceVersion, continue: undefined }
    }
    const list = await listObjects(this.#deps, {
      target,
      selection: createSelection(target.definition, selectionText(type, options)),
      limit: options.limit ?? 0,
      continueToken: options.continue ?? '',
      resourceVersion: options.resourceVersion ?? '',
      resourceVersionMatch: '',
    })
    return {
      items: list.objects.map((object) => served<T>(target, object)),
      resourceVersion: String(list.revision),
      continue: list.continueToken === '' ? undefined : list.continueToken,
    }
  }

  async create<T extends KubeObject>(type: ResourceType<T>, object: T, options: WriteOptions = {}): Promise<Stored<T>> {
    const asked = this.#target(type)
    const action = this.#action(asked, '')
    if (action !== undefined) {
      const { info } = this.#request(asked, { verb: 'create', namespace: object.metadata.namespace, options })
      const tenant = isView(info.tenant) ? SYSTEM_TENANT : info.tenant
      return (await action.run(stored(asked, object), { user: this.#user, info: { ...info, tenant } })) as Stored<T>
    }
    const { target, place } = this.#placeNew(asked, object)
    const request = this.#request(target, { verb: 'create', namespace: place.namespace, options })
    return served<T>(target, await createObject(this.#deps, request, stored(target, object)))
  }

  async update<T extends KubeObject>(type: ResourceType<T>, object: T, options: WriteOptions = {}): Promise<Stored<T>> {
    const target = this.#target(type)
    return this.#update(target, { object, options, strategy: mainStrategy(this.#deps, target.definition) })
  }

  async updateStatus<T extends KubeObject>(
    type: ResourceType<T>,
    object: T,
    options: WriteOptions = {},
  ): Promise<Stored<T>> {
    const target = this.#target(type)
    return this.#update(target, { object, options, strategy: statusStrategy(this.#deps, target.definition) })
  }

  async patch<T extends KubeObject>(
    type: ResourceType<T>,
    name: ObjectName,
    patch: Patch,
    options: PatchOptions = {},
  ): Promise<Stored<T>> {
    const { target, place } = this.#place(type, name)
    const subresource = options.subresource ?? ''
    const request = this.#request(target, { verb: 'patch', ...place, subresource, options })
    const body = { type: patch.type, value: patch.body, errors: [] }
    if (subresource === 'scale') {
      const change = (scale: Scale): Scale => patchScale(scale, body)
      return (await updateScale(this.#deps, request, { name: place.name, change })) as unknown as Stored<T>
    }
    const { object } = await patchObject(this.#deps, request, {
      name: place.name,
      patch: body,
      strategy: this.#strategy(target, subresource),
      fieldValidation: 'Ignore',
      force: options.force === true,
    })
    return served<T>(target, object)
  }

  async delete<T extends KubeObject>(
    type: ResourceType<T>,
    name: ObjectName,
    options: DeleteOptions = {},
  ): Promise<Stored<T> | Status> {
    const { target, place } = this.#place(type, name)
    const request = this.#request(target, { verb: 'delete', ...place, options })
    const deleted = await deleteObject(this.#deps, request, { name: place.name, options: deleteBody(options) })
    const answer = deleteAnswer(target.definition, deleted)
    return answer === 'object' ? served<T>(target, deleted.object) : answer
  }

  async deleteCollection<T extends KubeObject>(
    type: ResourceType<T>,
    options: ListOptions & DeleteOptions = {},
  ): Promise<void> {
    const target = this.#target(type)
    const request = this.#request(target, { verb: 'deletecollection', namespace: options.namespace, options })
    await deleteCollection(this.#deps, request, {
      selection: createSelection(target.definition, selectionText(type, options)),
      limit: options.limit ?? 0,
      options: deleteBody(options),
    })
  }

  watch<T extends KubeObject>(type: ResourceType<T>, options: ClientWatchOptions<T>): ClientWatch {
    const target = this.#target(type)
    const sink = new CallbackSink<T>(options, (object) => served<T>(target, object))
    const watch: ClientWatch = { close: () => sink.close() }
    this.#watches.add(watch)
    sink.onClosed = () => this.#watches.delete(watch)
    void sink.run(() =>
      startWatch(this.#deps, {
        target,
        selection: createSelection(target.definition, selectionText(type, options)),
        sink,
        resourceVersion: options.resourceVersion ?? '',
        bookmarks: options.onBookmark !== undefined,
        sendInitialEvents: false,
        timeoutSeconds: IN_PROCESS_WATCH_SECONDS,
      }),
    )
    return watch
  }

  async createSubresource<In, Out>(
    type: ResourceType<KubeObject>,
    name: ObjectName,
    subresource: string,
    body: In,
    options: WriteOptions = {},
  ): Promise<Out> {
    const { target, place } = this.#place(type, name)
    const request = this.#request(target, { verb: 'create', ...place, subresource, options })
    const { info } = target.definition
    if (info.group === '' && info.resource === 'pods' && subresource === 'binding') {
      return (await bindPod(this.#deps, request, { name: place.name, binding: body as Binding })) as Out
    }
    if (info.group === '' && info.resource === 'pods' && subresource === 'eviction') {
      return (await evictPod(this.#deps, request, { name: place.name, eviction: deepClone(body) as Eviction })) as Out
    }
    const action = this.#action(target, subresource)
    if (action === undefined) throw notFoundPath()
    return (await action.run(deepClone(body) as KubeObject, { user: this.#user, info: request.info })) as Out
  }

  async getSubresource<Out>(type: ResourceType<KubeObject>, name: ObjectName, subresource: string): Promise<Out> {
    const { target, place } = this.#place(type, name)
    const key = formatKey(place.namespace, place.name)
    if (subresource === 'scale') return (await getScale(this.#deps, target, key)) as Out
    if (strategyFor(this.#deps, target.definition, subresource) === undefined) throw notFoundPath()
    return (await this.get(type, name)) as Out
  }

  async updateSubresource<In, Out>(
    type: ResourceType<KubeObject>,
    name: ObjectName,
    subresource: string,
    body: In,
    options: WriteOptions = {},
  ): Promise<Out> {
    if (subresource === 'scale') {
      const { target, place } = this.#place(type, name)
      const request = this.#request(target, { verb: 'update', ...place, subresource, options })
      return (await updateScale(this.#deps, request, { name: place.name, change: () => body as Scale })) as Out
    }
    const target = this.#target(type)
    const strategy = this.#strategy(target, subresource)
    return (await this.#update(target, { object: body as KubeObject, options, strategy })) as Out
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close()
  }

  #action({ definition: { info } }: Target, subresource: string): ServeDeps['actions'][number] | undefined {
    return this.#deps.actions.find(
      (entry) => entry.group === info.group && entry.resource === info.resource && entry.subresource === subresource,
    )
  }

  async #update<T extends KubeObject>(
    asked: Target,
    { object, options, strategy }: { object: T; options: WriteOptions; strategy: UpdateStrategy },
  ): Promise<Stored<T>> {
    const { namespace = '', name = '' } = object.metadata
    const subresource = strategy.subresource
    const { target, place } = this.#placeAt(asked, { namespace, name })
    const request = this.#request(target, { verb: 'update', ...place, subresource, options })
    const change = (): KubeObject => stored(target, object)
    const updated = await updateObject(this.#deps, request, { name: place.name, strategy, change })
    return served<T>(target, updated.object)
  }

  #strategy(target: Target, subresource: string): UpdateStrategy {
    if (subresource === '') return mainStrategy(this.#deps, target.definition)
    const strategy = strategyFor(this.#deps, target.definition, subresource)
    if (strategy === undefined) throw notFoundPath()
    return strategy
  }

  #target(type: ResourceType<KubeObject>): Target {
    const definition = findDefinition(this.#deps, this.#user.tenant, type)
    if (definition === undefined) throw notFoundPath()
    return createTarget(this.#deps.cache, definition, this.#user.tenant)
  }

  /** Where the named object really is: in a view, at its tenant and under the tenant's own names. */
  #place(type: ResourceType<KubeObject>, name: ObjectName): Placed {
    const namespace = namespaceOf(type, name.namespace)
    return this.#placeAt(this.#target(type), { namespace, name: name.name })
  }

  #placeAt(target: Target, { namespace, name }: { readonly namespace: string; readonly name: string }): Placed {
    const { tenant, definition } = target
    if (!isView(tenant)) return { target, place: { tenant, namespace, name } }
    return this.#placed(target, placeOf(this.#deps.cache, { definition, namespace, name }))
  }

  #placeNew(target: Target, object: KubeObject): Placed {
    const { tenant, definition } = target
    const { namespace = '', name = '' } = object.metadata
    if (!isView(tenant)) return { target, place: { tenant, namespace, name } }
    return this.#placed(target, placeOfNew(this.#deps.cache, { definition, namespace, name }, object))
  }

  #placed({ definition }: Target, place: Place): Placed {
    const own = findDefinition(this.#deps, place.tenant, definition.info)
    if (own === undefined) throw notFoundPath()
    return { target: targetAt(this.#deps.cache, own, place), place }
  }

  #request(target: Target, call: CallFacts): WriteRequest {
    call.options.signal?.throwIfAborted()
    const { info } = target.definition
    const namespace = info.namespaced ? (call.namespace ?? '') : ''
    return {
      target,
      user: this.#user,
      namespace,
      dryRun: call.options.dryRun === true,
      isInProcess: true,
      asked: { fieldManager: 'fieldManager' in call.options ? call.options.fieldManager : undefined },
      fieldManager: ('fieldManager' in call.options && call.options.fieldManager) || defaultManager(this.#user.name),
      warn: () => {},
      info: {
        tenant: target.tenant,
        isResourceRequest: true,
        verb: call.verb,
        path: '',
        group: info.group,
        version: info.version,
        namespace,
        resource: info.resource,
        subresource: call.subresource ?? '',
        name: call.name ?? '',
        rest: [],
      },
    }
  }
}

/** Nothing is lost when such a watch ends, so it may go on for a day. */
const IN_PROCESS_WATCH_SECONDS = 24 * 3600

interface Placed {
  readonly target: Target
  readonly place: Place
}

interface CallFacts {
  readonly verb: string
  readonly namespace: string | undefined
  readonly name?: string | undefined
  readonly subresource?: string | undefined
  readonly options: WriteOptions | DeleteOptions
}

function namespaceOf(type: ResourceType<KubeObject>, namespace: string | undefined): string {
  return type.namespaced ? (namespace ?? '') : ''
}

function selectionText(
  type: ResourceType<KubeObject>,
  options: { namespace?: string | undefined; labelSelector?: string | undefined; fieldSelector?: string | undefined },
): { namespace: string; labelSelector: string; fieldSelector: string } {
  return {
    namespace: namespaceOf(type, options.namespace),
    labelSelector: options.labelSelector ?? '',
    fieldSelector: options.fieldSelector ?? '',
  }
}

/** A private, defaulted copy in the stored form. */
function stored(target: Target, object: KubeObject): KubeObject {
  const { info } = target.definition
  const draft = deepClone(object)
  draft.kind = info.kind
  draft.apiVersion = info.group === '' ? info.version : `${info.group}/${info.version}`
  return toStored(target.definition, draft)
}

/** The cast is the caller's word that `type` describes its objects. */
function served<T extends KubeObject>(target: Target, object: CachedObject): Stored<T> {
  return toServed(target.definition, object.object()) as Stored<T>
}

function deleteBody({ gracePeriodSeconds, propagationPolicy, preconditions }: DeleteOptions): {
  gracePeriodSeconds?: number | undefined
  propagationPolicy?: string | undefined
  preconditions?: { uid?: string | undefined; resourceVersion?: string | undefined } | undefined
} {
  return { gracePeriodSeconds, propagationPolicy, preconditions }
}

/** What others would send as the first part of their user agent: `kube-scheduler` for `system:kube-scheduler`. */
function defaultManager(userName: string): string {
  return userName.slice(userName.lastIndexOf(':') + 1)
}
