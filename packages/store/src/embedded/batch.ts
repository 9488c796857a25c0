import { toKeyValue, type ReadValue, type Version } from '../mvcc/version.ts'
import type { Mvcc } from '../mvcc/mvcc.ts'
import type { CommitResult, Transaction } from '../store.ts'
import {
  changeRecordBytes,
  RECORD_KEY_BYTES,
  RECORD_KINDS,
  recordSlot,
  valueRecordBytes,
  writeChangeRecord,
  writeRecordKey,
  writeValueRecord,
} from './record.ts'
import { PUT_HEADER_BYTES } from './writer-protocol.ts'

/** A commit that waits for its turn. */
export interface PendingCommit {
  readonly transaction: Transaction
  /** When it came in, as the store counts. */
  readonly stamp: number
  resolve(result: CommitResult): void
  reject(error: Error): void
}

/** Commits that go to disk together, with what each will be told then. */
export interface Batch {
  readonly items: readonly { readonly pending: PendingCommit; readonly result: CommitResult }[]
  /** What they change, a commit each. Empty when nothing has to be written. */
  readonly commits: readonly (readonly Version[])[]
}

/**
 * Applies the commits in order: each sees those before it, though none is on disk yet. A commit whose refusal can't be told,
 * because a found value is damaged on disk, is rejected alone.
 */
export function applyBatch(mvcc: Mvcc, pending: readonly PendingCommit[], readValue: ReadValue): Batch {
  const commits: (readonly Version[])[] = []
  const items: Batch['items'][number][] = []
  for (const item of pending) {
    const refused = refuseStale(mvcc, item, readValue)
    if (refused === 'rejected') continue
    if (refused !== undefined) {
      items.push({ pending: item, result: refused })
      continue
    }
    const versions = mvcc.apply(item.transaction.changes, item.stamp)
    if (versions.length > 0) commits.push(versions)
    items.push({ pending: item, result: { committed: true, revision: mvcc.appliedRevision } })
  }
  return { items, commits }
}

/**
 * Answers a batch that could not be written, after its roll-back: a commit whose comparison fails against what is on disk is told
 * so, one that changes nothing succeeds, the others get `error`.
 */
export function refuseBatch(
  mvcc: Mvcc,
  batch: Batch,
  options: { readonly error: Error; readonly readValue: ReadValue },
): void {
  for (const { pending } of batch.items) {
    const refused = refuseStale(mvcc, pending, options.readValue)
    if (refused === 'rejected') continue
    if (refused !== undefined) pending.resolve(refused)
    else if (changesNothing(mvcc, pending)) pending.resolve({ committed: true, revision: mvcc.visibleRevision })
    else pending.reject(options.error)
  }
}

/** The refusal of a commit whose comparison fails; `undefined` when all hold; `'rejected'` when that was the answer. */
function refuseStale(mvcc: Mvcc, pending: PendingCommit, readValue: ReadValue): CommitResult | 'rejected' | undefined {
  const found = mvcc.failedComparison(pending.transaction.compare ?? [])
  if (found === undefined) return undefined
  try {
    const entries = found.map((version) => version && toKeyValue(version, readValue))
    return { committed: false, revision: mvcc.appliedRevision, found: entries }
  } catch (error) {
    pending.reject(error as Error)
    return 'rejected'
  }
}

function changesNothing(mvcc: Mvcc, pending: PendingCommit): boolean {
  const { changes } = pending.transaction
  return changes.every(({ type, key }) => type === 'delete' && mvcc.get(key, mvcc.visibleRevision) === undefined)
}

/**
 * The records of `commits`, which follow the revision `after`, as the writer wants them. Copies each value once, into the buffer that is
 * moved to the writer.
 */
export function encodePuts(commits: readonly (readonly Version[])[], after: number): Uint8Array {
  const into = Buffer.allocUnsafeSlow(bytesOf(commits, after)) // a buffer of its own: it can be moved, and every byte is written below
  let at = 0
  let before = after
  for (const versions of commits) {
    for (const version of versions) {
      const place = { revision: version.modRevision, slot: recordSlot(version) }
      if (version.value !== undefined) {
        writeRecordKey(into, at, { kind: RECORD_KINDS.value, ...place })
        at = writeLength(into, at, writeValueRecord(into, at + PUT_HEADER_BYTES, version.value))
      }
      writeRecordKey(into, at, { kind: RECORD_KINDS.change, ...place })
      const change = { version, count: versions.length, before }
      at = writeLength(into, at, writeChangeRecord(into, at + PUT_HEADER_BYTES, change))
    }
    before = versions[0]!.modRevision
  }
  return into
}

/** One record that is not part of a commit, as the writer wants it. */
export function encodePut(key: Buffer, value: Buffer): Uint8Array {
  const into = Buffer.allocUnsafeSlow(PUT_HEADER_BYTES + value.byteLength)
  into.set(key, 0)
  into.set(value, PUT_HEADER_BYTES)
  writeLength(into, 0, into.byteLength)
  return into
}

function writeLength(into: Buffer, record: number, end: number): number {
  into.writeUInt32LE(end - record - PUT_HEADER_BYTES, record + RECORD_KEY_BYTES)
  return end
}

function bytesOf(commits: readonly (readonly Version[])[], after: number): number {
  let bytes = 0
  let before = after
  for (const versions of commits) {
    for (const version of versions) {
      bytes += PUT_HEADER_BYTES + changeRecordBytes(version, before)
      if (version.value !== undefined) bytes += PUT_HEADER_BYTES + valueRecordBytes(version.value)
    }
    before = versions[0]!.modRevision
  }
  return bytes
}
