import { controllerOf, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import type { Client } from '@centaurus/client'
import { WATCHED_TYPES } from './kinds.ts'

/** All watched objects of a cluster at one moment. */
export interface Snapshot {
  list<T extends KubeObject>(type: ResourceType<T>): readonly Stored<T>[]
  /** Objects of that type whose controller has this uid. */
  ownedBy<T extends KubeObject>(type: ResourceType<T>, uid: string): readonly Stored<T>[]
  readonly all: readonly { readonly type: ResourceType<KubeObject>; readonly object: Stored<KubeObject> }[]
}

/** Lists them one type after the other: true only of a cluster that rests. */
export async function takeSnapshot(client: Client): Promise<Snapshot> {
  const lists = new Map<string, readonly Stored<KubeObject>[]>()
  const all: Snapshot['all'][number][] = []
  for (const type of WATCHED_TYPES) {
    const { items } = await client.list(type)
    lists.set(type.resource, items)
    for (const object of items) all.push({ type, object })
  }
  const list = <T extends KubeObject>(type: ResourceType<T>): readonly Stored<T>[] =>
    (lists.get(type.resource) ?? []) as readonly Stored<T>[]
  return {
    list,
    all,
    ownedBy: (type, uid) => list(type).filter((object) => controllerOf(object)?.uid === uid),
  }
}
