/** The messages of etcd v3 that the engine sends and receives. Field numbers: etcd's rpc.proto and kv.proto, API v3.4. */
import type { Change, Comparison, KeyValue } from '../store.ts'
import { ProtoReader, ProtoWriter } from './protobuf.ts'

/** gRPC paths. */
export const METHODS = {
  range: '/etcdserverpb.KV/Range',
  txn: '/etcdserverpb.KV/Txn',
  compact: '/etcdserverpb.KV/Compact',
  watch: '/etcdserverpb.Watch/Watch',
} as const

const COMPARE_EQUAL = 0
const TARGET_CREATE = 1
const TARGET_MOD = 2
const SORT_DESCENDING = 2
const SORT_BY_MOD = 3
const EVENT_DELETE = 1
/** What the fields of an operation cost beside its key and value, at most. */
const OPERATION_BYTES = 40

export interface RangeMessage {
  readonly key: string
  /** Exclusive; absent: the one key. */
  readonly end?: Uint8Array | undefined
  readonly limit?: number | undefined
  readonly revision?: number | undefined
  readonly keysOnly?: boolean | undefined
  /** Newest modification first. */
  readonly newestFirst?: boolean | undefined
  readonly modRevisionMax?: number | undefined
}

export interface RangeAnswer {
  /** Revision of the whole etcd. */
  readonly revision: number
  readonly entries: readonly KeyValue[]
  readonly more: boolean
  readonly count: number
}

/** What is compared, and what is done in either case. */
export interface TxnMessage {
  readonly compare: readonly Comparison[]
  readonly success: readonly Operation[]
  readonly failure: readonly Operation[]
}

export type Operation =
  | Change
  | { readonly type: 'range'; readonly key: string }
  /** `operations` when one of `keys` exists at that point of the transaction, else nothing. */
  | { readonly type: 'ifAnyExists'; readonly keys: readonly string[]; readonly operations: readonly Operation[] }

export interface TxnAnswer {
  readonly revision: number
  readonly succeeded: boolean
  /** What the range operations found, in their order: each of one key. */
  readonly found: readonly (KeyValue | undefined)[]
}

/** First key after all those that start with `prefix`, as etcd wants the end of a range. */
export function endOfPrefix(prefix: string): Uint8Array {
  const end = Buffer.from(prefix)
  end[end.length - 1]! += 1 // never overflows: no byte of UTF-8 text is 255
  return end
}

export function encodeRange(range: RangeMessage): Buffer {
  const writer = new ProtoWriter()
  writeRange(writer, range)
  return writer.frame()
}

function writeRange(writer: ProtoWriter, range: RangeMessage): void {
  writer.uint(11, range.modRevisionMax ?? 0)
  writer.uint(8, range.keysOnly === true ? 1 : 0)
  if (range.newestFirst === true) {
    writer.uint(6, SORT_BY_MOD)
    writer.uint(5, SORT_DESCENDING)
  }
  writer.uint(4, range.revision ?? 0)
  writer.uint(3, range.limit ?? 0)
  if (range.end !== undefined) writer.bytes(2, range.end)
  writer.text(1, range.key)
}

/** `prefixBytes`: so many bytes of each key are left out. */
export function decodeRange(message: Buffer, prefixBytes: number): RangeAnswer {
  const reader = new ProtoReader(message)
  const entries: KeyValue[] = []
  let revision = 0
  let more = false
  let count = 0
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) revision = readHeader(reader)
    else if (field === 2) entries.push(readKeyValue(reader, prefixBytes))
    else if (field === 3) more = reader.uint() !== 0
    else if (field === 4) count = reader.uint()
    else reader.skip()
  }
  return { revision, entries, more, count }
}

export function encodeTxn({ compare, success, failure }: TxnMessage): Buffer {
  const writer = new ProtoWriter(estimateBytes(compare, success))
  for (const operation of failure.toReversed()) writeOperation(writer, 3, operation)
  for (const operation of success.toReversed()) writeOperation(writer, 2, operation)
  for (const { key, modRevision } of compare.toReversed()) {
    const mark = writer.written
    writer.presentUint(6, modRevision)
    writer.text(3, key)
    writer.uint(2, TARGET_MOD)
    writer.uint(1, COMPARE_EQUAL)
    writer.message(1, mark)
  }
  return writer.frame()
}

function estimateBytes(compare: readonly Comparison[], success: readonly Operation[]): number {
  let bytes = (compare.length + success.length) * 2 * OPERATION_BYTES
  for (const { key } of compare) bytes += 6 * key.length
  for (const operation of success) {
    if (operation.type === 'put') bytes += operation.value.byteLength + 3 * operation.key.length
  }
  return bytes
}

function writeOperation(writer: ProtoWriter, field: number, operation: Operation): void {
  const mark = writer.written
  const kind = writeOperationBody(writer, operation)
  writer.message(kind, mark)
  writer.message(field, mark)
}

/** Returns the field of `RequestOp` that says which operation it is. */
function writeOperationBody(writer: ProtoWriter, operation: Operation): number {
  switch (operation.type) {
    case 'range':
      writer.text(1, operation.key)
      return 1
    case 'put':
      writer.bytes(2, operation.value)
      writer.text(1, operation.key)
      return 2
    case 'delete':
      writer.text(1, operation.key)
      return 3
    case 'ifAnyExists':
      writeIfAnyExists(writer, operation.keys, operation.operations)
      return 4
  }
}

/** A nested transaction: if none of them exists then nothing, else …: etcd has an "and" of comparisons, but no "or". */
function writeIfAnyExists(writer: ProtoWriter, keys: readonly string[], operations: readonly Operation[]): void {
  for (const operation of operations.toReversed()) writeOperation(writer, 3, operation)
  for (const key of keys) {
    const mark = writer.written
    writer.presentUint(5, 0)
    writer.text(3, key)
    writer.uint(2, TARGET_CREATE)
    writer.uint(1, COMPARE_EQUAL)
    writer.message(1, mark)
  }
}

/** See {@link decodeRange}. */
export function decodeTxn(message: Buffer, prefixBytes: number): TxnAnswer {
  const reader = new ProtoReader(message)
  const found: (KeyValue | undefined)[] = []
  let revision = 0
  let succeeded = false
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) revision = readHeader(reader)
    else if (field === 2) succeeded = reader.uint() !== 0
    else if (field === 3) readResponse(reader, { prefixBytes, found })
    else reader.skip()
  }
  return { revision, succeeded, found }
}

function readResponse(
  reader: ProtoReader,
  into: { readonly prefixBytes: number; readonly found: (KeyValue | undefined)[] },
): void {
  const outer = reader.enter()
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field !== 1) {
      reader.skip()
      continue
    }
    const range = reader.enter()
    let entry: KeyValue | undefined
    for (let inner = reader.next(); inner !== 0; inner = reader.next()) {
      if (inner === 2) entry = readKeyValue(reader, into.prefixBytes)
      else reader.skip()
    }
    reader.leave(range)
    into.found.push(entry)
  }
  reader.leave(outer)
}

export function encodeCompaction(revision: number): Buffer {
  const writer = new ProtoWriter()
  writer.uint(1, revision)
  return writer.frame()
}

export interface WatchCreateMessage {
  /** Chosen by us; positive. */
  readonly id: number
  readonly key: string
  readonly end: Uint8Array
  readonly startRevision: number
  readonly withPrevious: boolean
}

/** Asks for long answers in fragments. */
export function encodeWatchCreate(create: WatchCreateMessage): Buffer {
  const writer = new ProtoWriter()
  writer.uint(8, 1)
  writer.uint(7, create.id)
  writer.uint(6, create.withPrevious ? 1 : 0)
  writer.uint(3, create.startRevision)
  writer.bytes(2, create.end)
  writer.text(1, create.key)
  writer.message(1, 0)
  return writer.frame()
}

export function encodeWatchCancel(id: number): Buffer {
  const writer = new ProtoWriter()
  writer.uint(1, id)
  writer.message(2, 0)
  return writer.frame()
}

export interface WatchEventMessage {
  readonly isDelete: boolean
  readonly entry: KeyValue
  readonly previous: KeyValue | undefined
}

export interface WatchAnswer {
  /** Revision of the whole etcd. */
  readonly revision: number
  readonly id: number
  readonly created: boolean
  readonly canceled: boolean
  /** Not 0: canceled because this revision is the oldest that can be watched. */
  readonly compactRevision: number
  readonly cancelReason: string
  /** More of the same answer follows. */
  readonly isFragment: boolean
  readonly events: readonly WatchEventMessage[]
}

/** See {@link decodeRange}. */
export function decodeWatch(message: Buffer, prefixBytes: number): WatchAnswer {
  const reader = new ProtoReader(message)
  const events: WatchEventMessage[] = []
  const flags = { revision: 0, id: 0, created: false, canceled: false, compactRevision: 0, isFragment: false }
  let cancelReason = ''
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) flags.revision = readHeader(reader)
    else if (field === 2) flags.id = reader.uint()
    else if (field === 3) flags.created = reader.uint() !== 0
    else if (field === 4) flags.canceled = reader.uint() !== 0
    else if (field === 5) flags.compactRevision = reader.uint()
    else if (field === 6) cancelReason = reader.text()
    else if (field === 7) flags.isFragment = reader.uint() !== 0
    else if (field === 11) events.push(readEvent(reader, prefixBytes))
    else reader.skip()
  }
  return { ...flags, cancelReason, events }
}

function readEvent(reader: ProtoReader, prefixBytes: number): WatchEventMessage {
  const outer = reader.enter()
  let isDelete = false
  let entry: KeyValue | undefined
  let previous: KeyValue | undefined
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) isDelete = reader.uint() === EVENT_DELETE
    else if (field === 2) entry = readKeyValue(reader, prefixBytes)
    else if (field === 3) previous = readKeyValue(reader, prefixBytes)
    else reader.skip()
  }
  reader.leave(outer)
  if (entry === undefined) throw new SyntaxError('Cannot read an etcd event: it has no key')
  return { isDelete, entry, previous }
}

function readHeader(reader: ProtoReader): number {
  const outer = reader.enter()
  let revision = 0
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 3) revision = reader.uint()
    else reader.skip()
  }
  reader.leave(outer)
  return revision
}

const NO_VALUE = new Uint8Array(0)

/** The value is copied: a view would keep the whole answer in memory for as long as one of its values lives. */
function readKeyValue(reader: ProtoReader, prefixBytes: number): KeyValue {
  const outer = reader.enter()
  let key = ''
  let value: Uint8Array = NO_VALUE
  let createRevision = 0
  let modRevision = 0
  let version = 0
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) key = reader.text(prefixBytes)
    else if (field === 2) createRevision = reader.uint()
    else if (field === 3) modRevision = reader.uint()
    else if (field === 4) version = reader.uint()
    else if (field === 5) value = Uint8Array.prototype.slice.call(reader.bytes())
    else reader.skip()
  }
  reader.leave(outer)
  return { key, value, createRevision, modRevision, version }
}
