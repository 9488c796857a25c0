import { isStatus, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import type { Clock } from '@centaurus/base'
import type { Client } from '@centaurus/client'

import type { ObjectWatches } from './object-watches.ts'

const OBJECTS_MAX = 4_096

/** Config maps, secrets and what else pods refer to: as watched, or read on use and kept for a while. */
export interface ObjectCache {
  /** Undefined when there is none; that is not remembered. */
  get<T extends KubeObject>(type: ResourceType<T>, namespace: string, name: string): Promise<Stored<T> | undefined>
}

export function createObjectCache(options: {
  readonly client: Client
  readonly clock: Clock
  readonly ttlMs: number
  /** Absent: everything is read on use. */
  readonly watches?: ObjectWatches | undefined
}): ObjectCache {
  const { client, clock, ttlMs, watches } = options
  const entries = new Map<string, { readonly object: unknown; readonly atMs: number }>()
  return {
    async get<T extends KubeObject>(
      type: ResourceType<T>,
      namespace: string,
      name: string,
    ): Promise<Stored<T> | undefined> {
      const known = await watches?.find(type, namespace, name)
      if (known !== undefined) return known.object
      const key = `${type.resource}.${type.group}/${namespace}/${name}`
      const entry = entries.get(key)
      if (entry !== undefined && clock.monotonicMs() - entry.atMs < ttlMs) return entry.object as Stored<T>
      entries.delete(key)
      try {
        const object = await client.get(type, { namespace, name })
        if (entries.size >= OBJECTS_MAX) entries.delete(entries.keys().next().value!)
        entries.set(key, { object, atMs: clock.monotonicMs() })
        return object
      } catch (error) {
        if (isStatus(error, 'NotFound')) return undefined
        throw error
      }
    },
  }
}
