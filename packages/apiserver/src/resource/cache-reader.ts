import type { KubeObject, Stored } from '@centaurus/api'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import { keyGroupOf, resourcePrefix } from '../storage/keys.ts'
import type { CacheEvent } from '../watch-cache/cache-event.ts'
import { isView } from '../views/view-names.ts'
import type { ObjectCache } from '../watch-cache/resource-cache.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import type { GroupResourceName, ObjectChange, ObjectReader, ReaderOptions } from './object-reader.ts'

/** Reads decoded objects straight from the cache. Types are the caller's word: objects are in the stored version. */
export function createReader(cache: WatchCache): ObjectReader {
  const cacheOf = ({ group, resource }: GroupResourceName, options: ReaderOptions | undefined): ObjectCache => {
    const tenant = options?.tenant ?? SYSTEM_TENANT
    const keyGroup = keyGroupOf(group)
    return isView(tenant)
      ? cache.view(tenant, `${keyGroup}/${resource}`)
      : cache.resource(resourcePrefix(tenant, { keyGroup, resource }))
  }
  // A look at what nobody has leaves no cache behind.
  const seen = (
    { group, resource }: GroupResourceName,
    options: ReaderOptions | undefined,
  ): ObjectCache | undefined => {
    const tenant = options?.tenant ?? SYSTEM_TENANT
    if (isView(tenant)) return cacheOf({ group, resource }, options)
    return cache.peek(resourcePrefix(tenant, { keyGroup: keyGroupOf(group), resource }))
  }
  return {
    get<T extends KubeObject>(
      type: GroupResourceName<T>,
      { namespace, name }: { readonly namespace?: string | undefined; readonly name: string },
      options?: ReaderOptions,
    ) {
      const key = namespace === undefined || namespace === '' ? name : `${namespace}/${name}`
      return seen(type, options)?.get(key)?.object() as Stored<T> | undefined
    },
    list<T extends KubeObject>(type: GroupResourceName<T>, namespace?: string, options?: ReaderOptions) {
      const prefix = namespace === undefined || namespace === '' ? '' : `${namespace}/`
      return Array.from(seen(type, options)?.range(prefix) ?? [], (object) => object.object() as Stored<T>)
    },
    count: (type, options) => seen(type, options)?.size ?? 0,
    onChange<T extends KubeObject>(
      type: GroupResourceName<T>,
      listener: (event: ObjectChange<T>) => void,
      options?: ReaderOptions,
    ) {
      return cacheOf(type, options).listen((event) => listener(toChange<T>(event)))
    },
  }
}

function toChange<T extends KubeObject>(event: CacheEvent): ObjectChange<T> {
  return {
    type: event.type,
    namespace: event.object.namespace,
    name: event.object.name,
    object: () => event.object.object() as Stored<T>,
    old: () => event.previous?.object() as Stored<T> | undefined,
  }
}
