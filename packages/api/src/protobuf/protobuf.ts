/**
 * The protobuf form of built-in kinds, to and from the JSON shape. On the wire an object is four magic bytes and a
 * runtime.Unknown message with the kind and the object's own message. Source: apimachinery
 * pkg/runtime/serializer/protobuf/protobuf.go and pkg/runtime/generated.proto, v0.37.2.
 */
import { definitionOfKind } from '../schema/builtin.ts'
import { createBudget, readStruct } from './decode.ts'
import { writeStruct } from './encode.ts'
import { ProtobufError } from './error.ts'
import { planOf, type Plan } from './plan.ts'
import { Reader, type DecodeBudget, type JsonObject } from './reader.ts'
import { ReverseWriter } from './writer.ts'

const MAGIC = Uint8Array.of(0x6b, 0x38, 0x73, 0x00)
const TAG_1 = (1 << 3) | 2
const TAG_2 = (2 << 3) | 2
const TAG_3 = (3 << 3) | 2
const TAG_4 = (4 << 3) | 2

/** An object of the API as JSON has it. */
export interface ProtobufObject {
  apiVersion?: string | undefined
  kind?: string | undefined
}

export interface ProtobufDecodeOptions {
  /** Kind to assume for bytes that do not name theirs, as bodies of known requests may. */
  readonly defaultKind?: { readonly group: string; readonly version: string; readonly kind: string } | undefined
}

const writer = new ReverseWriter()

/** Whether a kind can be written as protobuf: built-in kinds that have a message. Table and custom resources have none. */
export function hasProtobuf(group: string, version: string, kind: string): boolean {
  return planOfKind(formatApiVersion(group, version), kind) !== undefined
}

/**
 * Protobuf of an object whose `apiVersion` and `kind` are set. The object must have the types of its schema, which decoding
 * checks; fields that the kind lacks are left out. Throws {@link ProtobufError} for a kind without a protobuf form or a value of
 * a wrong type. Costs about as much as JSON.stringify. The result is the caller's.
 */
export function encodeProtobuf(object: ProtobufObject): Uint8Array {
  const { apiVersion = '', kind = '' } = object
  const plan = planOfKind(apiVersion, kind)
  if (plan === undefined) throw new ProtobufError(`Cannot write ${apiVersion} ${kind} as protobuf: it has no such form`)
  writer.reset()
  beginEnvelope()
  const before = writer.length
  writeStruct(writer, plan, object as JsonObject)
  endEnvelope({ apiVersion, kind, before })
  return writer.finish()
}

/**
 * The JSON shape of an object in protobuf, as upstream would write it: what `omitempty` leaves out is absent, what it never
 * leaves out is there with its zero value, or `null` for lists and maps (`items` of a list is then `[]`). Unknown fields are
 * dropped. Throws {@link ProtobufError} for anything malformed and for kinds that are not built in; memory stays in proportion
 * to the length of `bytes`. The result does not refer to `bytes`.
 */
export function decodeProtobuf(
  bytes: Uint8Array,
  { defaultKind }: ProtobufDecodeOptions = {},
): JsonObject & ProtobufObject {
  const fallback = defaultKind && {
    apiVersion: formatApiVersion(defaultKind.group, defaultKind.version),
    kind: defaultKind.kind,
  }
  return decodeEnvelope(bytes, { budget: createBudget(bytes.length, decodeInner), fallback })
}

/** True when the bytes begin as protobuf objects of Kubernetes do. */
export function isProtobuf(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => bytes[i] === byte)
}

/**
 * One event of a watch stream, without the four length bytes (big endian) that go before it on the wire. `object` is the whole
 * encoded object, so that one encoding serves all watchers: protobuf from {@link encodeProtobuf}, or JSON text for a kind
 * that has no protobuf form. Source: meta/v1 WatchEvent; the stream has no magic bytes and no envelope around the event.
 */
export function encodeWatchEvent(type: string, object: Uint8Array): Uint8Array {
  writer.reset()
  writer.writeBytes(object)
  writer.writeVarint32(object.length)
  writer.writeVarint32(TAG_1)
  writer.writeVarint32(writer.length)
  writer.writeVarint32(TAG_2)
  writer.writeText(type)
  writer.writeVarint32(TAG_1)
  return writer.finish()
}

/** Inverse of {@link encodeWatchEvent}. `object` is a view of `bytes`. Throws {@link ProtobufError} when malformed. */
export function decodeWatchEvent(bytes: Uint8Array): { type: string; object: Uint8Array } {
  const reader = new Reader(bytes, createBudget(bytes.length, decodeInner))
  const event = { type: '', object: bytes.subarray(0, 0) }
  readFields(reader, bytes.length, (tag, end) => {
    if (tag === TAG_1) event.type = reader.readText(end)
    else if (tag === TAG_2)
      readFields(reader, end, (inner, last) => {
        if (inner === TAG_1) event.object = bytes.subarray(reader.position, last)
      })
  })
  return event
}

function beginEnvelope(): void {
  writer.writeText('')
  writer.writeVarint32(TAG_4)
  writer.writeText('')
  writer.writeVarint32(TAG_3)
}

/** Completes runtime.Unknown around what was written since `before`. */
function endEnvelope({ apiVersion, kind, before }: { apiVersion: string; kind: string; before: number }): void {
  writer.writeVarint32(writer.length - before)
  writer.writeVarint32(TAG_2)
  const beforeType = writer.length
  writer.writeText(kind)
  writer.writeVarint32(TAG_2)
  writer.writeText(apiVersion)
  writer.writeVarint32(TAG_1)
  writer.writeVarint32(writer.length - beforeType)
  writer.writeVarint32(TAG_1)
  writer.writeBytes(MAGIC)
}

interface EnvelopeContext {
  readonly budget: DecodeBudget
  readonly fallback?: { readonly apiVersion: string; readonly kind: string } | undefined
}

function decodeEnvelope(bytes: Uint8Array, { budget, fallback }: EnvelopeContext): JsonObject & ProtobufObject {
  if (!isProtobuf(bytes)) throw new ProtobufError('Cannot read protobuf: must begin with the bytes 6b 38 73 00')
  if (--budget.depth < 0) throw new ProtobufError('Cannot read protobuf: nested too deep')
  const reader = new Reader(bytes, budget)
  reader.position = MAGIC.length
  let apiVersion = ''
  let kind = ''
  let raw = { start: 0, end: 0 }
  readFields(reader, bytes.length, (tag, end) => {
    if (tag === TAG_2) raw = { start: reader.position, end }
    else if (tag === TAG_1)
      readFields(reader, end, (inner, last) => {
        if (inner === TAG_1) apiVersion = reader.readText(last)
        else if (inner === TAG_2) kind = reader.readText(last)
      })
  })
  if (apiVersion === '') apiVersion = fallback?.apiVersion ?? ''
  if (kind === '') kind = fallback?.kind ?? ''
  const plan = planOfKind(apiVersion, kind)
  if (plan === undefined) throw new ProtobufError(`Cannot read protobuf: no kind "${kind}" in version "${apiVersion}"`)
  const object: JsonObject & ProtobufObject = { kind, apiVersion }
  reader.position = raw.start
  readStruct(reader, plan, { object, end: raw.end })
  budget.depth++
  return object
}

function decodeInner(bytes: Uint8Array, budget: DecodeBudget): JsonObject {
  return decodeEnvelope(bytes, { budget })
}

/** Calls `visit` at each field with a length, whose value ends at `end`; passes over the others. */
function readFields(reader: Reader, end: number, visit: (tag: number, end: number) => void): void {
  while (reader.position < end) {
    const tag = reader.readVarint32(end)
    if ((tag & 7) !== 2) {
      reader.skip(tag & 7, end)
      continue
    }
    const last = reader.readLength(end)
    visit(tag, last)
    reader.position = last
  }
}

function planOfKind(apiVersion: string, kind: string): Plan | undefined {
  const slash = apiVersion.indexOf('/')
  const definition = definitionOfKind(slash < 0 ? '' : apiVersion.slice(0, slash), apiVersion.slice(slash + 1), kind)
  return definition === undefined ? undefined : planOf(definition)
}

function formatApiVersion(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`
}
