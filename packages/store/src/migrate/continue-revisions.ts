import { shiftRevisions } from '../revision-base/revision-base.ts'
import type { Store } from '../store.ts'
import { MigrationError, readRecord } from './migration-record.ts'

/**
 * The store as its users are to see it: when it was filled from another one, its revisions go on from that one's, so that a client
 * that knows an old revision is told that it is expired, and never waits for it or takes it for a new one. To be used wherever a
 * store is opened; a store that was not migrated is returned as it is. Throws {@link MigrationError} when a migration into it was
 * not finished.
 */
export async function continueRevisions(store: Store): Promise<Store> {
  const { record } = (await readRecord(store)) ?? {}
  if (record === undefined) return store
  if (record.state !== 'done') {
    throw new MigrationError(
      `Cannot use this store: it is being filled from ${record.source}, or that was cut short. Run the migration again`,
    )
  }
  return shiftRevisions(store, record.revisionOffset)
}
