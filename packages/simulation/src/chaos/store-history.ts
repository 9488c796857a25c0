import type { KubeObject, ResourceType } from '@centaurus/api'
import type { WatchEventType } from '@centaurus/client'
import type { Store } from '@centaurus/store'

export interface StoreChange {
  readonly type: WatchEventType
  /** `namespace/name`, or `name`. */
  readonly key: string
  readonly revision: number
}

/** Everything that was ever committed, from the store itself: what clients saw is measured by it. */
export interface StoreHistory {
  changes(type: ResourceType<KubeObject>): readonly StoreChange[]
  close(): void
}

export function recordStoreHistory(store: Store): StoreHistory {
  const changes = new Map<string, StoreChange[]>()
  const record = (storeKey: string, type: WatchEventType, revision: number): void => {
    const [, , , group, resource, ...key] = storeKey.split('/') // /registry/TENANT/GROUP/RESOURCE/…
    const name = `${group}/${resource}`
    const list = changes.get(name) ?? []
    changes.set(name, list)
    list.push({ type, key: key.join('/'), revision })
  }
  const watch = store.watch('/registry/', {
    fromRevision: 1,
    onEvents(events, revision) {
      for (const event of events) {
        if (event.type === 'delete') record(event.key, 'DELETED', revision)
        else record(event.entry.key, event.previous === undefined ? 'ADDED' : 'MODIFIED', revision)
      }
    },
    onEnd: () => {},
  })
  return {
    changes: ({ group, resource }) => changes.get(`${group === '' ? 'core' : group}/${resource}`) ?? [],
    close: () => watch.close(),
  }
}
