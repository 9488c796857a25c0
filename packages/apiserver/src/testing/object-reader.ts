import { formatKey, parseKey, type KubeObject, type Stored } from '@centaurus/api'
import type { GroupResourceName, ObjectChange, ObjectReader } from '../resource/object-reader.ts'

/** An {@link ObjectReader} over objects that a test puts in, for parts that only look at caches. */
export interface TestReader extends ObjectReader {
  put<T extends KubeObject>(type: GroupResourceName<T>, object: T): Stored<T>
  remove(type: GroupResourceName, name: { namespace?: string; name: string }): void
}

export function createTestReader(): TestReader {
  const tables = new Map<string, Map<string, Stored<KubeObject>>>()
  const listeners = new Map<string, Set<(event: ObjectChange<KubeObject>) => void>>()
  let version = 0
  const tableOf = ({ group, resource }: GroupResourceName): Map<string, Stored<KubeObject>> => {
    const key = `${group}/${resource}`
    let table = tables.get(key)
    if (table === undefined) tables.set(key, (table = new Map()))
    return table
  }
  const tell = (type: GroupResourceName, change: ObjectChange<KubeObject>): void => {
    for (const listener of listeners.get(`${type.group}/${type.resource}`) ?? []) listener(change)
  }
  return {
    get: <T extends KubeObject>(type: GroupResourceName<T>, name: { namespace?: string | undefined; name: string }) =>
      tableOf(type).get(formatKey(name.namespace ?? '', name.name)) as Stored<T> | undefined,
    list: <T extends KubeObject>(type: GroupResourceName<T>, namespace?: string) =>
      [...tableOf(type).values()].filter(
        (object) => namespace === undefined || object.metadata.namespace === namespace,
      ) as Stored<T>[],
    count: (type) => tableOf(type).size,
    onChange(type, listener) {
      const key = `${type.group}/${type.resource}`
      const found = listeners.get(key) ?? new Set()
      listeners.set(key, found)
      const added = listener as (event: ObjectChange<KubeObject>) => void
      found.add(added)
      return () => found.delete(added)
    },
    put<T extends KubeObject>(type: GroupResourceName<T>, object: T) {
      version++
      const { namespace = '', name = '' } = object.metadata
      const key = formatKey(namespace, name)
      const old = tableOf(type).get(key)
      const stored = {
        ...object,
        metadata: {
          uid: old?.metadata.uid ?? `uid-${version}`,
          creationTimestamp: '2026-01-01T00:00:00Z',
          ...object.metadata,
          name,
          resourceVersion: String(version),
        },
      } as Stored<T>
      tableOf(type).set(key, stored)
      tell(type, {
        type: old === undefined ? 'ADDED' : 'MODIFIED',
        namespace,
        name,
        object: () => stored,
        old: () => old,
      })
      return stored
    },
    remove(type, { namespace = '', name }) {
      const key = formatKey(namespace, name)
      const old = tableOf(type).get(key)
      if (old === undefined) return
      tableOf(type).delete(key)
      tell(type, { type: 'DELETED', ...parseKey(key), object: () => old, old: () => old })
    },
  }
}
