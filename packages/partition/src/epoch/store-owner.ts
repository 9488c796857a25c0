import { decodeText, encodeText } from '@centaurus/base'
import type { Store } from '@centaurus/store'

const OWNER_KEY = '/centaurus/partition'

/** The store is another partition's: nothing was written. The message says what to do. */
export class ForeignStoreError extends Error {
  override readonly name = 'ForeignStoreError'
}

/**
 * Remembers in the store whose it is, before anything else is written. A folder or an etcd prefix of another partition would be taken for
 * one's own otherwise, with all its objects. Throws {@link ForeignStoreError}.
 */
export async function claimStore(store: Store, partition: string): Promise<void> {
  const { entry } = await store.get(OWNER_KEY)
  let owner = entry?.value
  if (owner === undefined) {
    const changes = [{ type: 'put' as const, key: OWNER_KEY, value: encodeText(partition) }]
    const result = await store.commit({ compare: [{ key: OWNER_KEY, modRevision: 0 }], changes })
    if (result.committed) return
    owner = result.found[0]!.value
  }
  const name = decodeText(owner)
  if (name === partition) return
  throw new ForeignStoreError(
    `Cannot use this store: it belongs to another partition, "${name}", and this is "${partition}". ` +
      `Put the store of "${partition}" in its place (its folder, a backup of it, or its own prefix in etcd)`,
  )
}
