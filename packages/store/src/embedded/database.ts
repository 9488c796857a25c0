/** The LMDB environment: its options, its stamp, and the checks before a damaged file could hurt the process. */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { open, type RootDatabase } from 'lmdb'
import { damagedFile, StoreFileError } from './errors.ts'
import { META_SLOTS, RECORD_KINDS, recordKey } from './record.ts'

/** Written by every version that reads and writes the records of `record.ts`. */
export const STORE_FORMAT = 2
/** What such a version reads too, and makes its own: without records that say which revision came before. */
const OLDER_FORMAT = 1

/** Address space that the file may grow into. Reserved, not used: memory is taken page by page as it is read. */
const MAP_BYTES_MAX = 64 * 2 ** 30

// Source: lmdb-js 3.5's LMDB (mdb.c, MDB_page_header and MDB_meta): offsets in a meta page of a 64-bit little-endian machine.
const META_OFFSETS = { magic: 24, version: 28, pageBytes: 48, lastPage: 144, transaction: 152, end: 160 } as const
const META_MAGIC = 0xbeefc0de
const META_VERSION = 2

export type Database = RootDatabase<Buffer, Buffer>

/** Opens the environment in this thread. Every thread of the process opens it for itself. */
export function openDatabase(file: string): Database {
  return open<Buffer, Buffer>({
    path: file,
    noSubdir: true,
    keyEncoding: 'binary',
    encoding: 'binary',
    cache: false,
    mapSize: MAP_BYTES_MAX,
    overlappingSync: false, // plain LMDB: data is on disk before the meta page that makes it count
  })
}

/** What the file's two meta pages say about its length. */
export type FileCheck = 'new' | 'whole' | { readonly missingBytes: number; readonly wantedBytes: number }

/**
 * Reads the meta pages without LMDB, which maps the file and would crash the process (SIGBUS) beyond its end.
 * A short file is not always damaged: LMDB does not write trailing pages that were freed in the transaction that took them.
 * Throws {@link StoreFileError} when it is not a store file.
 */
export function checkDatabaseFile(file: string): FileCheck {
  if (!existsSync(file) || statSync(file).size === 0) return 'new'
  const descriptor = openSync(file, 'r')
  try {
    const first = readMeta(descriptor, 0)
    const second = first && readMeta(descriptor, first.pageBytes)
    if (first === undefined || second === undefined)
      throw damagedFile(file, 'its header is damaged or it is not a store')
    const newest = first.transaction > second.transaction ? first : second
    const wantedBytes = (newest.lastPage + 1) * newest.pageBytes
    const missingBytes = wantedBytes - fstatSync(descriptor).size
    return missingBytes <= 0 ? 'whole' : { missingBytes, wantedBytes }
  } finally {
    closeSync(descriptor)
  }
}

function readMeta(
  descriptor: number,
  offset: number,
): { readonly pageBytes: number; readonly lastPage: number; readonly transaction: number } | undefined {
  const meta = Buffer.alloc(META_OFFSETS.end)
  if (readSync(descriptor, meta, 0, meta.length, offset) < meta.length) return undefined
  if (meta.readUInt32LE(META_OFFSETS.magic) !== META_MAGIC) return undefined
  if (meta.readUInt32LE(META_OFFSETS.version) !== META_VERSION) return undefined
  return {
    pageBytes: meta.readUInt32LE(META_OFFSETS.pageBytes),
    lastPage: Number(meta.readBigUInt64LE(META_OFFSETS.lastPage)),
    transaction: Number(meta.readBigUInt64LE(META_OFFSETS.transaction)),
  }
}

/** Stamps a new file or one of the format before, or checks the stamp. Throws {@link StoreFileError} for a format that this version doesn't know. */
export function checkStamp(database: Database, file: string): void {
  const key = recordKey({ kind: RECORD_KINDS.meta, revision: 0, slot: META_SLOTS.format })
  const stamp = database.get(key)?.toString('utf8')
  const wanted = stampOf(STORE_FORMAT)
  if (stamp === wanted) return
  if (stamp !== undefined && stamp !== stampOf(OLDER_FORMAT)) {
    throw new StoreFileError(
      `Cannot open store file ${file}: its format is ${JSON.stringify(stamp)} and this version reads ${JSON.stringify(wanted)}; ` +
        'run the version of Centaurus that wrote it, or move the directory away to start with an empty store',
    )
  }
  if (stamp === undefined && database.getKeysCount({ limit: 1 }) > 0) throw damagedFile(file, 'it has no format stamp')
  database.transactionSync(() => database.putSync(key, Buffer.from(wanted)))
}

function stampOf(format: number): string {
  return `centaurus-store ${format}`
}

/** Revision up to which the file was compacted; 0 when it never was. */
export function readCompactedRevision(database: Database): number {
  return database.get(compactedKey())?.readUIntBE(0, 6) ?? 0
}

/** Key of the record that {@link readCompactedRevision} reads. */
export function compactedKey(): Buffer {
  return recordKey({ kind: RECORD_KINDS.meta, revision: 0, slot: META_SLOTS.compacted })
}

/** Value of the record that {@link readCompactedRevision} reads. */
export function compactedValue(revision: number): Buffer {
  const value = Buffer.alloc(6)
  value.writeUIntBE(revision, 0, 6)
  return value
}

/** All records of the file, as LMDB counts them without looking for them. */
export function countRecords(database: Database): number {
  return (database.getStats() as { readonly entryCount: number }).entryCount
}

/** Those that belong to no commit. */
export function countMetaRecords(database: Database): number {
  const [start, end] = [RECORD_KINDS.meta, RECORD_KINDS.change].map((kind) => recordKey({ kind, revision: 0, slot: 0 }))
  return database.getKeysCount({ start: start!, end: end! })
}
