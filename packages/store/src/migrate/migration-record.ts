import { decodeText, encodeText } from '@centaurus/base'
import type { Change, KeyValue, Store } from '../store.ts'

/** Where a store keeps how it was filled from another one. Never copied. */
export const MIGRATION_KEY = '/centaurus/migration'

/** How a store is, or was, filled from another one. */
export interface MigrationRecord {
  readonly state: 'copying' | 'done'
  /** For people: which store it was. */
  readonly source: string
  /** Revision of that store, all of which is copied. */
  readonly sourceRevision: number
  /** To be added to this store's own revisions, so that they are greater than any of the source's, and those are compacted. */
  readonly revisionOffset: number
  /** So many entries were copied, in order of revision and key. */
  readonly copied: number
}

/** The target holds something else, or another store was written to meanwhile. The message says what to do. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError'
}

/** The record with the revision to compare with; undefined when there is none. */
export async function readRecord(
  store: Store,
): Promise<{ readonly record: MigrationRecord; readonly modRevision: number } | undefined> {
  const { entry } = await store.get(MIGRATION_KEY)
  return entry && { record: parseRecord(entry), modRevision: entry.modRevision }
}

function parseRecord({ value }: KeyValue): MigrationRecord {
  const record = JSON.parse(decodeText(value)) as MigrationRecord
  const isWhole = ['sourceRevision', 'revisionOffset', 'copied'].every((field) =>
    Number.isSafeInteger(record[field as 'copied']),
  )
  if (isWhole && (record.state === 'copying' || record.state === 'done')) return record
  throw new MigrationError(`Cannot read what ${MIGRATION_KEY} says: it is not a migration's record`)
}

export function putRecord(record: MigrationRecord): Change {
  return { type: 'put', key: MIGRATION_KEY, value: encodeText(JSON.stringify(record)) }
}
