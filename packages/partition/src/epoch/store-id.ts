import { randomUUID } from 'node:crypto'
import { decodeText, encodeText } from '@centaurus/base'
import type { Store } from '@centaurus/store'

const STORE_ID_KEY = '/centaurus/store-id'

/** What tells a store from every other, a copy that lives on elsewhere excepted. Made on first use, kept for ever. */
export async function ensureStoreId(store: Store): Promise<string> {
  const { entry } = await store.get(STORE_ID_KEY)
  if (entry !== undefined) return decodeText(entry.value)
  const id = randomUUID()
  const result = await store.commit({
    compare: [{ key: STORE_ID_KEY, modRevision: 0 }],
    changes: [{ type: 'put', key: STORE_ID_KEY, value: encodeText(id) }],
  })
  if (result.committed) return id
  return decodeText(result.found[0]!.value)
}
