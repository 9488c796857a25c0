import type { Mvcc } from '../mvcc/mvcc.ts'
import type { Version } from '../mvcc/version.ts'
import type { Database } from './database.ts'
import {
  readCommitRecord,
  RECORD_KEY_BYTES,
  RECORD_KINDS,
  recordKey,
  valueSlot,
  writeRecordKey,
  type RecordKey,
} from './record.ts'

/** Records that compaction has made useless, waiting to be deleted a few at a time. */
export class DeadRecords {
  readonly #database: Database
  readonly #mvcc: Mvcc
  readonly #keys: RecordKey[] = []

  constructor(database: Database, mvcc: Mvcc) {
    this.#database = database
    this.#mvcc = mvcc
  }

  get size(): number {
    return this.#keys.length
  }

  /** Queues what `version` left on disk. Its commit record goes with the last of its changes. */
  add(version: Version): void {
    const revision = version.modRevision
    if (version.version > 0) this.#keys.push({ kind: RECORD_KINDS.value, revision, slot: valueSlot(version) })
    if (version.slot < 0 || this.#isWhollyDead(revision))
      this.#keys.push({ kind: RECORD_KINDS.commit, revision, slot: 0 })
  }

  /** Takes up to `countMax` keys, as the writer wants them. */
  take(countMax: number): { readonly encoded: Uint8Array; readonly keys: readonly RecordKey[] } {
    const keys = this.#keys.splice(-countMax)
    const encoded = Buffer.allocUnsafeSlow(keys.length * RECORD_KEY_BYTES)
    keys.forEach((key, i) => writeRecordKey(encoded, i * RECORD_KEY_BYTES, key))
    return { encoded, keys }
  }

  /** Puts keys back that could not be deleted. */
  putBack(keys: readonly RecordKey[]): void {
    for (const key of keys) this.#keys.push(key)
  }

  #isWhollyDead(revision: number): boolean {
    const record = this.#database.get(recordKey({ kind: RECORD_KINDS.commit, revision, slot: 0 }))
    const changes = (record && readCommitRecord(record)) ?? []
    return changes.every(({ key }) => {
      let version = this.#mvcc.head(key)
      while (version !== undefined && version.modRevision > revision) version = version.previous
      return version?.modRevision !== revision
    })
  }
}
