import { randomUUID } from 'node:crypto'

import { alreadyExists, notFound, conflict, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import type {
  Client,
  ClientWatchOptions,
  ObjectName,
  Patch,
  PatchOptions,
  SelectOptions,
  WatchEventType,
} from '@centaurus/client'

type Json = Record<string, unknown>

/**
 * An API in a map, for tests of what runs above a client: it stores, watches and merges, and follows the API where node agents depend on it
 * (graceful deletion of pods, uid preconditions, patches of status). It validates and defaults nothing.
 */
export interface MemoryClient extends Client {
  /** Asks for a graceful deletion, as the API server does for a pod on a node. */
  deleteGracefully(type: ResourceType<KubeObject>, name: ObjectName, graceSeconds: number): void
}

export function createMemoryClient(): MemoryClient {
  const objects = new Map<string, Stored<KubeObject>>()
  const watches = new Set<{
    readonly type: ResourceType<KubeObject>
    readonly options: ClientWatchOptions<KubeObject>
  }>()
  let revision = 0
  const keyOf = (type: ResourceType<KubeObject>, { namespace, name }: ObjectName): string =>
    `${type.group}/${type.resource}/${namespace ?? ''}/${name}`
  const emit = (type: ResourceType<KubeObject>, event: WatchEventType, object: Stored<KubeObject>): void => {
    for (const watch of watches) {
      if (
        watch.type.resource !== type.resource ||
        watch.type.group !== type.group ||
        !isSelected(object, watch.options)
      )
        continue
      queueMicrotask(() => watches.has(watch) && watch.options.onEvent(event, object))
    }
  }
  const store = (type: ResourceType<KubeObject>, object: KubeObject, event: WatchEventType): Stored<KubeObject> => {
    const metadata = { ...object.metadata, resourceVersion: String(++revision) }
    const stored = { ...object, metadata } as Stored<KubeObject>
    objects.set(keyOf(type, { namespace: metadata.namespace, name: metadata.name ?? '' }), stored)
    emit(type, event, stored)
    return stored
  }
  const find = (type: ResourceType<KubeObject>, name: ObjectName): Stored<KubeObject> => {
    const object = objects.get(keyOf(type, name))
    if (object === undefined) throw notFound(type, name.name)
    return object
  }
  const client = {
    get: async (type: ResourceType<KubeObject>, name: ObjectName) => find(type, name),
    list: async (type: ResourceType<KubeObject>, options: SelectOptions = {}) => ({
      items: [...objects]
        .filter(([key, object]) => key.startsWith(`${type.group}/${type.resource}/`) && isSelected(object, options))
        .map(([, object]) => object),
      resourceVersion: String(revision),
      continue: undefined,
    }),
    create: async (type: ResourceType<KubeObject>, object: KubeObject) => {
      const name = { namespace: object.metadata.namespace, name: object.metadata.name ?? '' }
      if (objects.has(keyOf(type, name))) throw alreadyExists(type, name.name)
      const metadata = {
        ...object.metadata,
        uid: randomUUID(),
        creationTimestamp: new Date().toISOString(),
        generation: 1,
      }
      return store(
        type,
        {
          ...object,
          apiVersion: type.group === '' ? type.version : `${type.group}/${type.version}`,
          kind: type.kind,
          metadata,
        },
        'ADDED',
      )
    },
    update: async (type: ResourceType<KubeObject>, object: KubeObject) => store(type, object, 'MODIFIED'),
    updateStatus: async (type: ResourceType<KubeObject>, object: KubeObject) => store(type, object, 'MODIFIED'),
    patch: async (type: ResourceType<KubeObject>, name: ObjectName, patch: Patch, _options?: PatchOptions) => {
      const old = find(type, name)
      const body = patch.body as Json & { metadata?: { uid?: string } }
      if (body.metadata?.uid !== undefined && body.metadata.uid !== old.metadata.uid)
        throw conflict(type, name.name, 'the uid differs')
      return store(type, merge(old as unknown as Json, body) as unknown as KubeObject, 'MODIFIED')
    },
    delete: async (
      type: ResourceType<KubeObject>,
      name: ObjectName,
      options: { preconditions?: { uid?: string } } = {},
    ) => {
      const object = find(type, name)
      if (options.preconditions?.uid !== undefined && options.preconditions.uid !== object.metadata.uid)
        throw conflict(type, name.name, 'the uid differs')
      objects.delete(keyOf(type, name))
      revision += 1
      emit(type, 'DELETED', object)
      return object
    },
    deleteCollection: () => Promise.reject(new Error('not part of this client')),
    watch(type: ResourceType<KubeObject>, options: ClientWatchOptions<KubeObject>) {
      const watch = { type, options }
      watches.add(watch)
      return {
        close() {
          if (watches.delete(watch)) queueMicrotask(() => options.onEnd(undefined))
        },
      }
    },
    createSubresource: async (_type: ResourceType<KubeObject>, name: ObjectName, subresource: string) => {
      if (subresource !== 'token') throw new Error(`not part of this client: ${subresource}`)
      return {
        status: { token: `token-of-${name.name}`, expirationTimestamp: new Date(Date.now() + 3_600_000).toISOString() },
      }
    },
    getSubresource: () => Promise.reject(new Error('not part of this client')),
    updateSubresource: () => Promise.reject(new Error('not part of this client')),
    close: () => Promise.resolve(),
    deleteGracefully(type: ResourceType<KubeObject>, name: ObjectName, graceSeconds: number) {
      const object = find(type, name)
      const metadata = {
        ...object.metadata,
        deletionTimestamp: new Date(Date.now() + graceSeconds * 1000).toISOString(),
        deletionGracePeriodSeconds: graceSeconds,
      }
      store(type, { ...object, metadata }, 'MODIFIED')
    },
  }
  return client as unknown as MemoryClient
}

function isSelected(object: KubeObject, { namespace, fieldSelector }: SelectOptions): boolean {
  if (namespace !== undefined && namespace !== '' && object.metadata.namespace !== namespace) return false
  if (fieldSelector === undefined) return true
  const [path = '', value] = fieldSelector.split('=')
  const found = path.split('.').reduce<unknown>((at, key) => (at as Json | undefined)?.[key], object)
  return found === value
}

/** JSON merge patch, with lists of conditions merged by their type as the strategic patch does. */
function merge(target: Json, patch: Json): Json {
  const result: Json = { ...target }
  for (const [key, value] of Object.entries(patch)) {
    const old = result[key]
    if (value === null) delete result[key]
    else if (key === 'conditions' && Array.isArray(value))
      result[key] = mergeByType((old as Json[] | undefined) ?? [], value as Json[])
    else if (isRecord(value) && isRecord(old)) result[key] = merge(old, value)
    else if (Array.isArray(value)) result[key] = value.filter((item) => (item as Json | null)?.['$patch'] !== 'replace')
    else result[key] = value
  }
  return result
}

function mergeByType(old: readonly Json[], patch: readonly Json[]): Json[] {
  const types = new Set(patch.map(({ type }) => type))
  const kept = patch.filter((item) => item['$patch'] !== 'delete')
  const merged = kept.map((item) => merge(old.find(({ type }) => type === item['type']) ?? {}, item))
  return [...old.filter(({ type }) => !types.has(type)), ...merged]
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
