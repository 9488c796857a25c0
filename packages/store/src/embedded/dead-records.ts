import type { Version } from '../mvcc/version.ts'
import { RECORD_KEY_BYTES, RECORD_KINDS, recordSlot, writeRecordKey } from './record.ts'

/** Versions whose records compaction has made useless, waiting to be deleted a few at a time: a key's oldest first. */
export class DeadRecords {
  #versions: Version[] = []

  get size(): number {
    return this.#versions.length
  }

  /** Queues what died in one step of a sweep. A later step never brings an older version of the same key. */
  add(versions: readonly Version[]): void {
    for (const version of versions.toSorted((a, b) => a.modRevision - b.modRevision)) this.#versions.push(version)
  }

  /** Takes up to `countMax` versions. */
  take(countMax: number): readonly Version[] {
    return this.#versions.splice(0, countMax)
  }

  /** Puts versions back that could not be deleted. */
  putBack(versions: readonly Version[]): void {
    this.#versions = [...versions, ...this.#versions]
  }
}

/** Keys of the records of `versions`, as the writer wants them: each value before its change. */
export function encodeDeletes(versions: readonly Version[]): Uint8Array {
  const encoded = Buffer.allocUnsafeSlow(versions.length * 2 * RECORD_KEY_BYTES)
  let at = 0
  for (const version of versions) {
    const place = { revision: version.modRevision, slot: recordSlot(version) }
    writeRecordKey(encoded, at, { kind: RECORD_KINDS.value, ...place })
    writeRecordKey(encoded, at + RECORD_KEY_BYTES, { kind: RECORD_KINDS.change, ...place })
    at += 2 * RECORD_KEY_BYTES
  }
  return encoded
}
