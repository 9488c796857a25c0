import { fromBase64 } from './base64.ts'
import { parseDuration } from './duration.ts'
import { ProtobufError } from './error.ts'
import { planOf, type Plan, type PlanField } from './plan.ts'
import { parseTimestamp } from './timestamp.ts'
import type { ReverseWriter } from './writer.ts'

const TAG_1 = (1 << 3) | 2
const TAG_2 = (2 << 3) | 2
const TAG_3 = (3 << 3) | 2
const SCHEMA_PROPS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps'

type JsonObject = Readonly<Record<string, unknown>>

const EMPTY: JsonObject = {}

/** Writes the fields of `object`, last first, without a length before them. Fields that the plan lacks are passed over. */
export function writeStruct(writer: ReverseWriter, plan: Plan, object: JsonObject): void {
  const { fields } = plan
  for (let i = fields.length - 1; i >= 0; i--) {
    const field = fields[i]!
    const value = field.json === '' ? object : object[field.json]
    if (field.container === '[') writeList(writer, field, value)
    else if (field.container === '{') writeMap(writer, field, value)
    else if (value === undefined || value === null) {
      if (!field.optional) writeTagged(writer, field, undefined)
    } else writeTagged(writer, field, value)
  }
}

function writeTagged(writer: ReverseWriter, field: PlanField, value: unknown): void {
  writeValue(writer, field, value)
  writer.writeVarint32(field.tag)
}

function writeList(writer: ReverseWriter, field: PlanField, value: unknown): void {
  if (value === undefined || value === null) return
  if (!Array.isArray(value)) throw mismatch(field, 'must be a list')
  for (let i = value.length - 1; i >= 0; i--) writeTagged(writer, field, value[i])
}

function writeMap(writer: ReverseWriter, field: PlanField, value: unknown): void {
  if (value === undefined || value === null) return
  const map = asObject(field, value)
  const keys = Object.keys(map).sort(compareUtf8)
  for (let i = keys.length - 1; i >= 0; i--) {
    const key = keys[i]!
    const before = writer.length
    const item = map[key]
    if (field.code !== 'y' || (item !== undefined && item !== null)) {
      writeValue(writer, field, item)
      writer.writeVarint32(TAG_2)
    }
    writer.writeText(key)
    writer.writeVarint32(TAG_1)
    writer.writeVarint32(writer.length - before)
    writer.writeVarint32(field.tag)
  }
}

/** Order of UTF-8 bytes, which differs from that of UTF-16 units only above U+D7FF. Source: Go sort.Strings. */
function compareUtf8(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const left = a.charCodeAt(i)
    const right = b.charCodeAt(i)
    if (left === right) continue
    if (left >= 0xd800 && right >= 0xd800) return rank(left) - rank(right)
    return left - right
  }
  return a.length - b.length
}

/** Puts surrogates after U+FFFF. */
function rank(unit: number): number {
  return unit < 0xe000 ? unit + 0x1_0000 : unit
}

/** Writes one value with its length, if its kind has one. `undefined` and `null` stand for the zero value. */
function writeValue(writer: ReverseWriter, field: PlanField, value: unknown): void {
  switch (field.code) {
    case 's':
      return writer.writeText(asText(field, value))
    case 'i':
    case 'l':
      return writer.writeInt(asInteger(field, value))
    case 'b':
      return writer.writeVarint32(asBoolean(field, value) ? 1 : 0)
    case 'd':
      return writer.writeDouble(asNumber(field, value))
    case '$':
      return writeMessage(writer, field, value)
    case 'y':
      return writeBytesValue(writer, fromBase64(asText(field, value)))
    default: {
      const before = writer.length
      writeWireType(writer, field, value ?? undefined)
      writer.writeVarint32(writer.length - before)
    }
  }
}

function writeMessage(writer: ReverseWriter, field: PlanField, value: unknown): void {
  const before = writer.length
  writeStruct(writer, field.plan(), value === undefined || value === null ? EMPTY : asObject(field, value))
  writer.writeVarint32(writer.length - before)
}

function writeBytesValue(writer: ReverseWriter, bytes: Uint8Array): void {
  writer.writeBytes(bytes)
  writer.writeVarint32(bytes.length)
}

/** Content of the messages that JSON writes in a form of their own. */
function writeWireType(writer: ReverseWriter, field: PlanField, value: unknown): void {
  switch (field.code) {
    case 't':
      return value === undefined ? undefined : writeTime(writer, asText(field, value), 0)
    case 'T':
      return value === undefined ? undefined : writeTime(writer, asText(field, value), 1000)
    case 'q':
      writer.writeText(value === undefined ? '0' : String(asScalar(field, value)))
      return writer.writeVarint32(TAG_1)
    case 'n':
      return writeIntOrString(writer, field, value ?? 0)
    case 'u':
      writer.writeInt(parseDuration(value === undefined ? '0' : asText(field, value)))
      return writer.writeVarint32(1 << 3)
    case 'x':
      return value === undefined ? undefined : writeRaw(writer, value)
    case 'v':
      return writeTexts(writer, field, { value, tag: TAG_1 })
    default:
      return writeSchemaOr(writer, field, value)
  }
}

/** `unitNanos` is the precision that is kept: 0 for whole seconds. Source: meta/v1 time_proto.go, micro_time_proto.go. */
function writeTime(writer: ReverseWriter, text: string, unitNanos: number): void {
  const time = parseTimestamp(text)
  if (time === undefined) return
  writer.writeInt(unitNanos === 0 ? 0 : time.nanos - (time.nanos % unitNanos))
  writer.writeVarint32(2 << 3)
  writer.writeInt(time.seconds)
  writer.writeVarint32(1 << 3)
}

function writeIntOrString(writer: ReverseWriter, field: PlanField, value: unknown): void {
  const isText = typeof value === 'string'
  writer.writeText(isText ? value : '')
  writer.writeVarint32(TAG_3)
  writer.writeInt(isText ? 0 : asInteger(field, value))
  writer.writeVarint32(2 << 3)
  writer.writeVarint32(isText ? 1 : 0)
  writer.writeVarint32(1 << 3)
}

function writeRaw(writer: ReverseWriter, value: unknown): void {
  writer.writeText(JSON.stringify(value))
  writer.writeVarint32(TAG_1)
}

function writeTexts(writer: ReverseWriter, field: PlanField, { value, tag }: { value: unknown; tag: number }): void {
  if (value === undefined) return
  if (!Array.isArray(value)) throw mismatch(field, 'must be a list')
  for (let i = value.length - 1; i >= 0; i--) {
    writer.writeText(asText(field, value[i]))
    writer.writeVarint32(tag)
  }
}

/** Source: apiextensions/v1 marshal.go (JSONSchemaPropsOrArray, OrBool, OrStringArray), v0.37.2. */
function writeSchemaOr(writer: ReverseWriter, field: PlanField, value: unknown): void {
  const schemaTag = field.code === 'B' ? TAG_2 : TAG_1
  if (field.code === 'C' && Array.isArray(value)) return writeTexts(writer, field, { value, tag: TAG_2 })
  if (field.code === 'A' && Array.isArray(value)) {
    for (let i = value.length - 1; i >= 0; i--) writeSchema(writer, field, { value: value[i], tag: TAG_2 })
    return
  }
  if (typeof value === 'object') writeSchema(writer, field, { value, tag: schemaTag })
  if (field.code !== 'B') return
  writer.writeVarint32(value === undefined || value === false ? 0 : 1)
  writer.writeVarint32(1 << 3)
}

function writeSchema(writer: ReverseWriter, field: PlanField, { value, tag }: { value: unknown; tag: number }): void {
  const before = writer.length
  writeStruct(writer, planOf(SCHEMA_PROPS)!, asObject(field, value))
  writer.writeVarint32(writer.length - before)
  writer.writeVarint32(tag)
}

function asText(field: PlanField, value: unknown): string {
  if (typeof value === 'string') return value
  if (value === undefined || value === null) return ''
  throw mismatch(field, 'must be a string')
}

function asInteger(field: PlanField, value: unknown): number {
  if (Number.isInteger(value)) return value as number
  if (value === undefined || value === null) return 0
  throw mismatch(field, 'must be an integer')
}

function asNumber(field: PlanField, value: unknown): number {
  if (typeof value === 'number') return value
  if (value === undefined || value === null) return 0
  throw mismatch(field, 'must be a number')
}

function asBoolean(field: PlanField, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  if (value === undefined || value === null) return false
  throw mismatch(field, 'must be a boolean')
}

function asScalar(field: PlanField, value: unknown): string | number {
  if (typeof value === 'string' || typeof value === 'number') return value
  throw mismatch(field, 'must be a string or a number')
}

function asObject(field: PlanField, value: unknown): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject
  throw mismatch(field, 'must be an object')
}

function mismatch(field: PlanField, must: string): ProtobufError {
  return new ProtobufError(`Cannot write ${field.path} as protobuf: ${must}`)
}
