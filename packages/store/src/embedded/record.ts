/**
 * What the embedded store writes. Three kinds of records in one key space, each key 9 bytes: kind, revision (6), slot (2).
 *
 *   meta    0, 0, slot         slot 0: format stamp; slot 1: compacted revision
 *   change  1, revision, slot  crc32, changes in the commit (15 bits), whether it says which revision came before (1 bit), create
 *                              revision (6), version (6; 0 is a delete), revision before (6, or nothing: one less), key
 *   value   2, revision, slot  crc32, then the value
 *
 * All records of a commit go to disk in one transaction. Changes and values are both written in order of revision, so that a batch
 * fills a few pages at two edges of the tree, and opening the store reads the small change records alone.
 *
 * Compaction deletes a key's records from the oldest on, each value before its change record: whatever is left when the process
 * dies in between, the newest change of a key that is found is the newest one there was.
 */
import { crc32 } from 'node:zlib'
import type { Version } from '../mvcc/version.ts'

export const RECORD_KEY_BYTES = 9
export const RECORD_KINDS = { meta: 0, change: 1, value: 2 } as const
export const META_SLOTS = { format: 0, compacted: 1 } as const

const CRC_BYTES = 4
const CHANGE_HEADER_BYTES = CRC_BYTES + 2 + 6 + 6
const BEFORE_BYTES = 6
/** Marks a change record that says which revision came before its own: any but the one that is less by one. */
const HAS_BEFORE = 0x8000

export type RecordKind = (typeof RECORD_KINDS)[keyof typeof RECORD_KINDS]

export interface RecordKey {
  readonly kind: RecordKind
  readonly revision: number
  readonly slot: number
}

/** One change as it is read back: a version without its value and without its past. */
export interface StoredChange {
  readonly key: string
  /** How many changes its commit made. */
  readonly count: number
  /** Revision of the commit before. */
  readonly before: number
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

/** Slot inside a record key. */
export function slotOf(key: Buffer): number {
  return key.readUInt16BE(7)
}

/** Which slot a version's records have: 0 when it was alone in its commit. */
export function recordSlot(version: { readonly slot: number }): number {
  return Math.max(0, version.slot)
}

/** Bytes of the change record of `version`, whose commit follows that of the revision `before`. */
export function changeRecordBytes(version: Version, before: number): number {
  const beforeBytes = before === version.modRevision - 1 ? 0 : BEFORE_BYTES
  return CHANGE_HEADER_BYTES + beforeBytes + Buffer.byteLength(version.key)
}

/** Writes the change record of `version`, one of `count` in its commit, at `offset`; returns the offset after it. */
export function writeChangeRecord(
  into: Buffer,
  offset: number,
  change: { readonly version: Version; readonly count: number; readonly before: number },
): number {
  const { version, count, before } = change
  const saysBefore = before !== version.modRevision - 1
  let at = into.writeUInt16LE(saysBefore ? count | HAS_BEFORE : count, offset + CRC_BYTES)
  at = into.writeUIntLE(version.createRevision, at, 6)
  at = into.writeUIntLE(version.version, at, 6)
  if (saysBefore) at = into.writeUIntLE(before, at, BEFORE_BYTES)
  at += into.write(version.key, at, 'utf8')
  into.writeUInt32LE(crc32(into.subarray(offset + CRC_BYTES, at)), offset)
  return at
}

/** Reads the change record of a revision; `undefined` when it is damaged. */
export function readChangeRecord(record: Buffer, revision: number): StoredChange | undefined {
  if (record.byteLength <= CHANGE_HEADER_BYTES) return undefined
  if (crc32(record.subarray(CRC_BYTES)) !== record.readUInt32LE(0)) return undefined
  const count = record.readUInt16LE(CRC_BYTES)
  const saysBefore = (count & HAS_BEFORE) !== 0
  return {
    key: record.toString('utf8', CHANGE_HEADER_BYTES + (saysBefore ? BEFORE_BYTES : 0)),
    count: count & ~HAS_BEFORE,
    before: saysBefore ? record.readUIntLE(CHANGE_HEADER_BYTES, BEFORE_BYTES) : revision - 1,
    createRevision: record.readUIntLE(CRC_BYTES + 2, 6),
    version: record.readUIntLE(CRC_BYTES + 8, 6),
  }
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
