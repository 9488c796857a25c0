/**
 * Copies a store into another one, of any engine. Nobody may write to either meanwhile.
 *
 * Entries are copied in order of their revisions, so that what changed later has the greater revision in the target as well. Every
 * commit also writes the record of how far it is, so a copy that is cut short goes on where it was.
 */
import { createHash } from 'node:crypto'
import { TransactionTooLargeError, type Change, type KeyValue, type Store } from '../store.ts'
import { MIGRATION_KEY, MigrationError, putRecord, readRecord, type MigrationRecord } from './migration-record.ts'

/** What fits one commit of any engine: etcd takes 128 operations and 1.5 MiB. */
const BATCH_ENTRIES_MAX = 100
const BATCH_BYTES_MAX = 1_000_000
/** Values read at once. */
const READS_MAX = 64
const PAGE_ENTRIES = 1_000
/** Entries read between two reports of progress while both stores are compared. */
const PROGRESS_ENTRIES = 1_000

export interface MigrateOptions {
  /** As its users see it: what `continueRevisions` gives. */
  readonly source: Store
  /** For people, such as a path or an endpoint; a copy goes on only when it is the same. */
  readonly sourceName: string
  /** As it was opened. It must be empty, or hold a copy that was cut short. */
  readonly target: Store
  readonly onProgress?: ((progress: MigrationProgress) => void) | undefined
}

export interface MigrationProgress {
  readonly phase: 'copying' | 'verifying'
  readonly done: number
  readonly total: number
}

export interface MigrationReport {
  readonly entries: number
  /** Of keys and values. */
  readonly bytes: number
  /** SHA-256 of all keys and values in order of their keys, the same in both stores. */
  readonly digest: string
  readonly sourceRevision: number
  /** The target's, as `continueRevisions` shows it: greater than {@link sourceRevision}. */
  readonly targetRevision: number
}

/**
 * Copies everything, compares both stores, and marks the target as whole. May be run again after it was cut short at any moment, also
 * after it was finished. Throws {@link MigrationError} when the target holds something else, when the source was written to
 * meanwhile, or when the copy differs; and `TransactionTooLargeError` for a value that the target does not take.
 */
export async function migrateStore(options: MigrateOptions): Promise<MigrationReport> {
  const { source, target } = options
  const sourceRevision = await source.currentRevision()
  const order = await readOrder(source, sourceRevision)
  const started = await startCopy(options, sourceRevision)
  const record = started.state === 'done' ? started : await copy(options, started, order)
  const verified = await verify(options, record, order)
  if ((await source.currentRevision()) !== sourceRevision) {
    throw new MigrationError(
      `Cannot finish: ${record.source} was written to meanwhile. Stop everything that uses it, and run this again`,
    )
  }
  if (record.state !== 'done') await target.commit({ changes: [putRecord({ ...record, state: 'done' })] })
  const targetRevision = record.revisionOffset + (await target.currentRevision())
  return { ...verified, sourceRevision, targetRevision }
}

/** Keys in the order in which they are copied. */
async function readOrder(source: Store, atRevision: number): Promise<KeyValue[]> {
  const order: KeyValue[] = []
  for await (const entry of readAll(source, { atRevision, keysOnly: true })) order.push(entry)
  return order.toSorted((a, b) => a.modRevision - b.modRevision) // a stable sort: those of one revision stay in order of keys
}

async function* readAll(
  store: Store,
  options: { readonly atRevision: number; readonly keysOnly: boolean },
): AsyncGenerator<KeyValue> {
  for (let from = ''; ;) {
    const page = await store.range('', { ...options, from, limit: PAGE_ENTRIES })
    for (const entry of page.entries) if (entry.key !== MIGRATION_KEY) yield entry
    if (!page.more) return
    from = `${page.entries.at(-1)!.key}\0`
  }
}

/** Claims an empty target, or goes on with what was cut short. */
async function startCopy(options: MigrateOptions, sourceRevision: number): Promise<MigrationRecord> {
  const { target, sourceName } = options
  const found = await readRecord(target)
  if (found !== undefined) {
    const { record } = found
    if (record.source === sourceName && record.sourceRevision === sourceRevision) return record
    if (record.state === 'done')
      throw notEmpty(`it was filled from ${record.source} at revision ${record.sourceRevision}`)
    await empty(target)
  }
  const { count, entries } = await target.range('', { limit: 1, keysOnly: true })
  if (count > 0) throw notEmpty(`it holds ${count} keys, the first of which is ${JSON.stringify(entries[0]!.key)}`)
  // Though the target's own may be greater already: so none of the source's is readable there, as if it were the same.
  const revisionOffset = sourceRevision
  const record: MigrationRecord = { state: 'copying', source: sourceName, sourceRevision, revisionOffset, copied: 0 }
  const claim = await target.commit({ compare: [{ key: MIGRATION_KEY, modRevision: 0 }], changes: [putRecord(record)] })
  if (!claim.committed) throw notEmpty('another migration has just begun')
  return record
}

function notEmpty(what: string): MigrationError {
  return new MigrationError(`Cannot migrate into a store that is not empty: ${what}. Nothing was changed`)
}

/** Takes back a copy of something that has changed since: it was empty before. */
async function empty(target: Store): Promise<void> {
  for (;;) {
    const { entries } = await target.range('', { limit: BATCH_ENTRIES_MAX, keysOnly: true })
    const keys = entries.map(({ key }) => key).filter((key) => key !== MIGRATION_KEY)
    if (keys.length === 0) break
    await target.commit({ changes: keys.map((key) => ({ type: 'delete', key })) })
  }
  await target.commit({ changes: [{ type: 'delete', key: MIGRATION_KEY }] })
}

async function copy(
  options: MigrateOptions,
  start: MigrationRecord,
  order: readonly KeyValue[],
): Promise<MigrationRecord> {
  const { source, target, onProgress } = options
  let record = start
  const flush = async (batch: readonly KeyValue[]): Promise<void> => {
    if (batch.length === 0) return
    record = { ...record, copied: record.copied + batch.length }
    const puts = batch.map(({ key, value }): Change => ({ type: 'put', key, value }))
    await target.commit({ changes: [...puts, putRecord(record)] }).catch((error: unknown) => {
      throw explainTooLarge(error, batch)
    })
    onProgress?.({ phase: 'copying', done: record.copied, total: order.length })
  }
  let batch: KeyValue[] = []
  let bytes = 0
  for await (const entry of readValues(source, order.slice(record.copied), record.sourceRevision)) {
    if (batch.length >= BATCH_ENTRIES_MAX || (batch.length > 0 && bytes + entry.value.byteLength > BATCH_BYTES_MAX)) {
      await flush(batch)
      batch = []
      bytes = 0
    }
    batch.push(entry)
    bytes += entry.value.byteLength
  }
  await flush(batch)
  return record
}

async function* readValues(source: Store, order: readonly KeyValue[], atRevision: number): AsyncGenerator<KeyValue> {
  for (let start = 0; start < order.length; start += READS_MAX) {
    const some = order.slice(start, start + READS_MAX)
    const read = await Promise.all(some.map(({ key }) => source.get(key, { atRevision })))
    for (const { entry } of read) if (entry !== undefined) yield entry
  }
}

function explainTooLarge(error: unknown, batch: readonly KeyValue[]): unknown {
  if (!(error instanceof TransactionTooLargeError)) return error
  const largest = batch.toSorted((a, b) => b.value.byteLength - a.value.byteLength)[0]!
  return new TransactionTooLargeError(
    `Cannot copy ${largest.key}, which has ${largest.value.byteLength} bytes: ${error.message}`,
    { cause: error },
  )
}

/** Compares both stores: every key and value, and the order of revisions. */
async function verify(
  options: MigrateOptions,
  record: MigrationRecord,
  order: readonly KeyValue[],
): Promise<{ readonly entries: number; readonly bytes: number; readonly digest: string }> {
  const { source, target, onProgress } = options
  const total = order.length
  const tell = (read: number): void => {
    if (read % PROGRESS_ENTRIES === 0) onProgress?.({ phase: 'verifying', done: Math.floor(read / 2), total })
  }
  const ours = await digestOf(source, record.sourceRevision, tell)
  const revisions = new Map<string, number>()
  const theirs = await digestOf(target, await target.currentRevision(), (done, entry) => {
    revisions.set(entry.key, entry.modRevision)
    tell(total + done)
  })
  onProgress?.({ phase: 'verifying', done: total, total })
  let newest = 0
  const isInOrder = order.every(({ key }) => {
    const revision = revisions.get(key) ?? 0
    const keeps = revision >= newest
    newest = revision
    return keeps
  })
  if (ours.digest === theirs.digest && ours.entries === theirs.entries && isInOrder) return ours
  throw new MigrationError(
    `The copy differs from its source: ${theirs.entries} entries with digest ${theirs.digest}, and ${ours.entries} with ${ours.digest}` +
      `${isInOrder ? '' : '; the order of their revisions differs'}. Empty the target, and run this again`,
  )
}

async function digestOf(
  store: Store,
  atRevision: number,
  onEntry: (done: number, entry: KeyValue) => void,
): Promise<{ readonly entries: number; readonly bytes: number; readonly digest: string }> {
  const hash = createHash('sha256')
  let entries = 0
  let bytes = 0
  for await (const entry of readAll(store, { atRevision, keysOnly: false })) {
    const { key, value } = entry
    const keyBytes = Buffer.byteLength(key)
    hash.update(`${keyBytes} ${value.byteLength} ${key}`).update(value) // lengths first: nothing can move from one to the other
    entries++
    bytes += keyBytes + value.byteLength
    onEntry(entries, entry)
  }
  return { entries, bytes, digest: hash.digest('hex') }
}
