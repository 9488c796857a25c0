import { formatKey, objectKey, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import type { Snapshot } from './snapshot.ts'
import type { StoreHistory } from './store-history.ts'

/** A write that the server said is done. */
interface Acknowledged {
  readonly type: ResourceType<KubeObject>
  readonly key: string
  readonly uid: string
  /** That it was answered with; 0 for a deletion. */
  readonly revision: number
}

/** What was promised, to be compared with what happened. */
export interface Ledger {
  put(type: ResourceType<KubeObject>, object: Stored<KubeObject>): void
  deleted(
    type: ResourceType<KubeObject>,
    name: { readonly namespace?: string; readonly name: string; readonly uid: string },
  ): void
  readonly size: number
  /** Promised writes that were never committed. */
  findLost(history: StoreHistory): string[]
  /** Objects whose deletion was promised, and that live on. */
  findUndeleted(snapshot: Snapshot): string[]
}

export function createLedger(): Ledger {
  const writes: Acknowledged[] = []
  const deletes: Acknowledged[] = []
  return {
    put(type, object) {
      const revision = Number(object.metadata.resourceVersion)
      writes.push({ type, key: objectKey(object), uid: object.metadata.uid, revision })
    },
    deleted(type, { namespace = '', name, uid }) {
      deletes.push({ type, key: formatKey(namespace, name), uid, revision: 0 })
    },
    get size() {
      return writes.length + deletes.length
    },
    findLost(history) {
      const seen = new Map<ResourceType<KubeObject>, ReadonlySet<string>>()
      for (const { type } of writes) {
        if (seen.has(type)) continue
        const changes = history.changes(type)
        seen.set(type, new Set(changes.map(({ key, revision }) => `${key} ${revision}`)))
      }
      return writes
        .filter(({ type, key, revision }) => !seen.get(type)!.has(`${key} ${revision}`))
        .map(
          ({ type, key, revision }) => `lost an acknowledged write of ${type.resource} ${key} (revision ${revision})`,
        )
    },
    findUndeleted(snapshot) {
      const alive = new Set(
        snapshot.all
          .filter(({ object }) => object.metadata.deletionTimestamp === undefined)
          .map(({ object }) => object.metadata.uid),
      )
      return deletes
        .filter(({ uid }) => alive.has(uid))
        .map(({ type, key }) => `lost an acknowledged delete of ${type.resource} ${key}`)
    },
  }
}
