import type { Change, Comparison, KeyValue, Store } from '@centaurus/store'
import { readOrigin } from '../relay/copies.ts'
import { RELAYED } from '../relay/needs.ts'
import { tenantPrefix } from './export-tenant.ts'

/** Keys read at once. */
const PAGE_ENTRIES = 500
/** Keys removed in one commit; etcd takes 128 operations of a transaction. */
const CHANGES_AT_ONCE = 100

export interface CleanOptions {
  readonly tenant: string
  /** What is removed: originals that were left behind, or copies. */
  readonly kind: 'originals' | 'copies'
  /** Must hold for each commit. */
  readonly guard: Comparison
}

/**
 * Removes a tenant's keys of one kind, and leaves the others. Throws when the guard does not hold any more; keys that somebody writes meanwhile
 * stay. Can be done again at any time.
 */
export async function cleanTenant(store: Store, { tenant, kind, guard }: CleanOptions): Promise<number> {
  let count = 0
  for await (const page of pagesOf(store, tenantPrefix(tenant))) {
    const gone = page.filter((entry) => isCopy(entry) === (kind === 'copies'))
    for (let at = 0; at < gone.length; at += CHANGES_AT_ONCE) {
      count += await remove(store, gone.slice(at, at + CHANGES_AT_ONCE), guard)
    }
  }
  return count
}

/** All entries below a prefix, in pages, each as it is when it is read. */
export async function* pagesOf(store: Store, prefix: string): AsyncGenerator<readonly KeyValue[], void> {
  let from: string | undefined
  for (;;) {
    const { entries, more } = await store.range(prefix, {
      limit: PAGE_ENTRIES,
      ...(from === undefined ? {} : { from }),
    })
    if (entries.length > 0) yield entries
    if (!more) return
    from = `${entries.at(-1)!.key}\0`
  }
}

async function remove(store: Store, entries: readonly KeyValue[], guard: Comparison): Promise<number> {
  if (entries.length === 0) return 0
  const compare = entries.map(({ key, modRevision }) => ({ key, modRevision }))
  const changes = entries.map(({ key }): Change => ({ type: 'delete', key }))
  const result = await store.commit({ compare: [guard, ...compare], changes })
  if (result.committed) return entries.length
  if ((result.found[0]?.modRevision ?? 0) !== guard.modRevision) throw new Error('The tenant has come back meanwhile')
  // one of them changed: each on its own, and those that changed stay
  if (entries.length === 1) return 0
  let count = 0
  for (const entry of entries) count += await remove(store, [entry], guard)
  return count
}

function isCopy({ key, value }: KeyValue): boolean {
  const [group = '', resource = ''] = key.split('/').slice(3)
  return RELAYED.includes(`${group}/${resource}`) && readOrigin(value) !== undefined
}
