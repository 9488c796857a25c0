import { randomUUID } from 'node:crypto'
import { decodeText, encodeText } from '@centaurus/base'
import type { KeyValue, Store } from '@centaurus/store'
import { STARTS_MAX, type StoreStart, type StoreState } from './check-peer.ts'
import { ensureStoreId } from './store-id.ts'

const STARTS_KEY = '/centaurus/starts'

/**
 * Remembers in the store that an API server starts on it, before it serves anybody. An older copy of the store lacks the starts that came
 * after it, and so gives itself away however quickly it goes on from where it was.
 */
export async function recordStart(store: Store): Promise<void> {
  for (;;) {
    const { entry, revision } = await store.get(STARTS_KEY)
    const starts = [...parse(entry), { id: randomUUID(), revision }].slice(-STARTS_MAX)
    const result = await store.commit({
      compare: [{ key: STARTS_KEY, modRevision: entry?.modRevision ?? 0 }],
      changes: [{ type: 'put', key: STARTS_KEY, value: encodeText(JSON.stringify(starts)) }],
    })
    if (result.committed) return
  }
}

/** What a partition says of its own store. */
export async function readStoreState(store: Store): Promise<StoreState> {
  const storeId = await ensureStoreId(store)
  const { entry, revision } = await store.get(STARTS_KEY)
  return { storeId, revision, starts: parse(entry) }
}

function parse(entry: KeyValue | undefined): StoreStart[] {
  return entry === undefined ? [] : (JSON.parse(decodeText(entry.value)) as StoreStart[])
}
