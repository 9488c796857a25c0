/**
 * What the embedded store writes. Three kinds of records in one key space, each key 9 bytes: kind, revision (6), slot (2).
 *
 *   meta    0, 0, slot       slot 0: format stamp; slot 1: compacted revision
 *   commit  1, revision, 0   crc32, count, then for each change: type, slot, create revision, version, key length, key
 *   value   2, revision, i   crc32, then the value of the i-th change
 *
 * Commits and values are both written in order of revision, so that a batch fills a few pages at two edges of the tree, and
 * opening the store reads the small commit records alone. One commit record a revision: a commit is there wholly or not at all.
 */
import { crc32 } from 'node:zlib'
import type { Version } from '../mvcc/version.ts'

export const RECORD_KEY_BYTES = 9
export const RECORD_KINDS = { meta: 0, commit: 1, value: 2 } as const
export const META_SLOTS = { format: 0, compacted: 1 } as const

const CRC_BYTES = 4
const CHANGE_HEADER_BYTES = 1 + 2 + 6 + 6 + 4
const COMMIT_HEADER_BYTES = CRC_BYTES + 4
const CHANGE_PUT = 1
const CHANGE_DELETE = 2

export type RecordKind = (typeof RECORD_KINDS)[keyof typeof RECORD_KINDS]

export interface RecordKey {
  readonly kind: RecordKind
  readonly revision: number
  readonly slot: number
}

/** One change as it is read back: a version without its value and without its past. */
export interface StoredChange {
  readonly key: string
  readonly slot: number
  readonly createRevision: number
  /** 0: the key was deleted. */
  readonly version: number
}

/** Writes a record key at `offset`. */
export function writeRecordKey(into: Buffer, offset: number, key: RecordKey): void {
  into[offset] = key.kind
  into.writeUIntBE(key.revision, offset + 1, 6)
  into.writeUInt16BE(key.slot, offset + 7)
}

/** A record key of its own. */
export function recordKey(key: RecordKey): Buffer {
  const bytes = Buffer.allocUnsafe(RECORD_KEY_BYTES)
  writeRecordKey(bytes, 0, key)
  return bytes
}

/** Revision inside a record key. */
export function revisionOf(key: Buffer): number {
  return key.readUIntBE(1, 6)
}

/** Where a version's value is: its slot, or 0 when it was alone in its commit. */
export function valueSlot(version: { readonly slot: number }): number {
  return Math.max(0, version.slot)
}

/** Bytes of the commit record of `versions`. */
export function commitRecordBytes(versions: readonly Version[]): number {
  return versions.reduce((sum, { key }) => sum + CHANGE_HEADER_BYTES + Buffer.byteLength(key), COMMIT_HEADER_BYTES)
}

/** Writes the commit record of `versions` (all of one revision) at `offset`; returns the offset after it. */
export function writeCommitRecord(into: Buffer, offset: number, versions: readonly Version[]): number {
  let at = into.writeUInt32LE(versions.length, offset + CRC_BYTES)
  for (const version of versions) {
    at = into.writeUInt8(version.version === 0 ? CHANGE_DELETE : CHANGE_PUT, at)
    at = into.writeInt16LE(version.slot, at)
    at = into.writeUIntLE(version.createRevision, at, 6)
    at = into.writeUIntLE(version.version, at, 6)
    const keyBytes = into.write(version.key, at + 4, 'utf8')
    at = into.writeUInt32LE(keyBytes, at) + keyBytes
  }
  into.writeUInt32LE(crc32(into.subarray(offset + CRC_BYTES, at)), offset)
  return at
}

/** Reads a commit record; `undefined` when it is damaged. */
export function readCommitRecord(record: Buffer): StoredChange[] | undefined {
  if (record.byteLength < COMMIT_HEADER_BYTES) return undefined
  if (crc32(record.subarray(CRC_BYTES)) !== record.readUInt32LE(0)) return undefined
  const count = record.readUInt32LE(CRC_BYTES)
  const changes: StoredChange[] = []
  let at = COMMIT_HEADER_BYTES
  while (changes.length < count) {
    const slot = record.readInt16LE(at + 1)
    const createRevision = record.readUIntLE(at + 3, 6)
    const version = record.readUIntLE(at + 9, 6)
    const start = at + CHANGE_HEADER_BYTES
    at = start + record.readUInt32LE(at + 15)
    changes.push({ key: record.toString('utf8', start, at), slot, createRevision, version })
  }
  return changes
}

/** Bytes of the record of `value`. */
export function valueRecordBytes(value: Uint8Array): number {
  return CRC_BYTES + value.byteLength
}

/** Writes a value record at `offset`; returns the offset after it. */
export function writeValueRecord(into: Buffer, offset: number, value: Uint8Array): number {
  into.writeUInt32LE(crc32(value), offset)
  into.set(value, offset + CRC_BYTES)
  return offset + CRC_BYTES + value.byteLength
}

/** The value in a record (a view, no copy); `undefined` when it is damaged. */
export function readValueRecord(record: Buffer): Uint8Array | undefined {
  if (record.byteLength < CRC_BYTES) return undefined
  const value = record.subarray(CRC_BYTES)
  return crc32(value) === record.readUInt32LE(0) ? value : undefined
}
