import { toBase64 } from './base64.ts'
import { formatDuration } from './duration.ts'
import { ProtobufError } from './error.ts'
import { planOf, type Plan, type PlanField } from './plan.ts'
import type { DecodeBudget, JsonObject, Reader } from './reader.ts'
import { formatTimestamp, type Timestamp } from './timestamp.ts'

/** How deep messages may nest; schemas of custom resources are the deepest that occur, at about three levels a property. */
const DEPTH_MAX = 1000

/** Structs that any message may hold, whatever its length. */
const STRUCTS_FREE = 10_000

/** Beyond those, a struct must stand for so many bytes: empty ones cost two bytes each to send and hundreds to keep. */
const BYTES_PER_STRUCT_MIN = 4

const SCHEMA_PROPS = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps'
const MAGIC = [0x6b, 0x38, 0x73, 0x00]

/** What a message of this length may use up. */
export function createBudget(bytes: number, decodeEnvelope: DecodeBudget['decodeEnvelope']): DecodeBudget {
  return { structs: STRUCTS_FREE + bytes / BYTES_PER_STRUCT_MIN, depth: DEPTH_MAX, decodeEnvelope }
}

/** Reads the fields up to `end` into `object`, and fills what JSON always has. */
export function readStruct(reader: Reader, plan: Plan, { object, end }: { object: JsonObject; end: number }): void {
  readFields(reader, plan, object, end)
}

function readFields(reader: Reader, plan: Plan, object: JsonObject, end: number): void {
  const { budget } = reader
  if (--budget.structs < 0) throw tooManyStructs()
  if (--budget.depth < 0) throw new ProtobufError(`Cannot read protobuf: nested more than ${DEPTH_MAX} deep`)
  const { byNumber } = plan
  while (reader.position < end) {
    const tag = reader.readVarint32(end)
    const field = byNumber[tag >>> 3]
    if (field === undefined) {
      if (tag >>> 3 === 0) throw new ProtobufError(`Cannot read protobuf of ${plan.name}: field number 0`)
      reader.skip(tag & 7, end)
      continue
    }
    if (tag !== field.tag) throw new ProtobufError(`Cannot read protobuf of ${field.path}: wrong wire type ${tag & 7}`)
    readField(reader, field, object, end)
  }
  if (plan.alwaysInJson.length > 0) fillAbsent(reader, plan, object)
  budget.depth++
}

function tooManyStructs(): ProtobufError {
  return new ProtobufError('Cannot read protobuf: too many objects for its length')
}

function readField(reader: Reader, field: PlanField, object: JsonObject, end: number): void {
  const { json, container } = field
  if (container === '[') {
    const list = object[json] as unknown[] | undefined
    const value = readValue(reader, field, end)
    if (list === undefined) object[json] = [value]
    else list.push(value)
  } else if (container === '{') {
    readEntry(reader, field, (object[json] ??= {}) as JsonObject, end)
  } else if (json === '') {
    readFields(reader, field.plan(), object, reader.readLength(end))
  } else if (field.code === '$') {
    // A message that comes twice is merged, as protobuf says.
    const target = (object[json] ??= {}) as JsonObject
    readFields(reader, field.plan(), target, reader.readLength(end))
  } else {
    const value = readValue(reader, field, end)
    if (field.inJson === 'unlessZero' && isZero(value)) delete object[json]
    else object[json] = value
  }
}

function isZero(value: unknown): boolean {
  return (
    value === '' || value === 0 || value === false || value === null || (Array.isArray(value) && value.length === 0)
  )
}

function readEntry(reader: Reader, field: PlanField, object: JsonObject, end: number): void {
  const last = reader.readLength(end)
  let key = ''
  let value: unknown
  while (reader.position < last) {
    const tag = reader.readVarint32(last)
    if (tag === ((1 << 3) | 2)) key = reader.readText(reader.readLength(last))
    else if (tag === ((2 << 3) | 2)) value = readValue(reader, field, last)
    else reader.skip(tag & 7, last)
  }
  if (value === undefined) value = absentEntry(reader, field)
  // Assigning to this one name would set the prototype.
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
  else object[key] = value
}

function absentEntry(reader: Reader, field: PlanField): unknown {
  if (field.code === 'y') return null
  return field.code === 'v' ? [] : absentValue(reader, { ...field, container: '', optional: false })
}

function readValue(reader: Reader, field: PlanField, end: number): unknown {
  switch (field.code) {
    case 's':
      return reader.readText(reader.readLength(end))
    case 'i':
    case 'l':
      return reader.readInt(end)
    case 'b':
      return reader.readInt(end) !== 0
    case 'd':
      return reader.readDouble(end)
    case '$': {
      const target: JsonObject = {}
      readFields(reader, field.plan(), target, reader.readLength(end))
      return target
    }
    case 'y': {
      const last = reader.readLength(end)
      const bytes = reader.bytes.subarray(reader.position, last)
      reader.position = last
      return toBase64(bytes)
    }
    default: {
      const last = reader.readLength(end)
      const value = readWireType(reader, field, last)
      reader.position = last
      return value
    }
  }
}

/** Value of a field that JSON always has and the bytes have not. */
function absentValue(reader: Reader, field: PlanField): unknown {
  if (field.optional) {
    // Upstream would say null for a list without items; every client wants to walk them.
    return field.container === '[' && field.json === 'items' ? [] : null
  }
  switch (field.code) {
    case 's':
      return ''
    case 'b':
      return false
    case '$': {
      if (--reader.budget.structs < 0) throw tooManyStructs()
      const object: JsonObject = {}
      fillAbsent(reader, field.plan(), object)
      return object
    }
    case 'q':
      return '0'
    case 'u':
      return '0s'
    case 't':
    case 'T':
    case 'x':
      return null
    default:
      return 0
  }
}

function fillAbsent(reader: Reader, plan: Plan, object: JsonObject): void {
  for (const field of plan.alwaysInJson) {
    if (field.json === '') fillAbsent(reader, field.plan(), object)
    else if (object[field.json] === undefined) object[field.json] = absentValue(reader, field)
  }
}

function readWireType(reader: Reader, field: PlanField, end: number): unknown {
  switch (field.code) {
    case 't':
      return reader.position === end ? null : formatTimestamp(readTimestamp(reader, field, end), 'seconds')
    case 'T':
      return reader.position === end ? null : formatTimestamp(readTimestamp(reader, field, end), 'micro')
    case 'q':
      return readParts(reader, end, field).texts[1] ?? '0'
    case 'u':
      return formatDuration(readParts(reader, end, field).numbers[1] ?? 0)
    case 'n': {
      const { numbers, texts } = readParts(reader, end, field)
      return numbers[1] === 1 ? (texts[3] ?? '') : (numbers[2] ?? 0)
    }
    case 'v':
      return readTexts(reader, end)
    case 'x':
      return readRaw(reader, field, end)
    default:
      return readSchemaOr(reader, field, end)
  }
}

function readTimestamp(reader: Reader, field: PlanField, end: number): Timestamp {
  const { numbers } = readParts(reader, end, field)
  return { seconds: numbers[1] ?? 0, nanos: field.code === 't' ? 0 : (numbers[2] ?? 0) }
}

/** Fields of one of the small messages, by number: the varints and the texts. */
function readParts(reader: Reader, end: number, field: PlanField): { numbers: number[]; texts: string[] } {
  const numbers: number[] = []
  const texts: string[] = []
  while (reader.position < end) {
    const tag = reader.readVarint32(end)
    const number = tag >>> 3
    if ((tag & 7) === 0 && number < 4) numbers[number] = reader.readInt(end)
    else if ((tag & 7) === 2 && number < 4) texts[number] = reader.readText(reader.readLength(end))
    else if (number === 0) throw new ProtobufError(`Cannot read protobuf of ${field.path}: field number 0`)
    else reader.skip(tag & 7, end)
  }
  return { numbers, texts }
}

function readTexts(reader: Reader, end: number): string[] {
  const texts: string[] = []
  while (reader.position < end) {
    const tag = reader.readVarint32(end)
    if (tag === ((1 << 3) | 2)) texts.push(reader.readText(reader.readLength(end)))
    else reader.skip(tag & 7, end)
  }
  return texts
}

function readRaw(reader: Reader, field: PlanField, end: number): unknown {
  let start = end
  let last = end
  while (reader.position < end) {
    const tag = reader.readVarint32(end)
    if (tag === ((1 << 3) | 2)) {
      last = reader.readLength(end)
      start = reader.position
      reader.position = last
    } else reader.skip(tag & 7, end)
  }
  if (start === last) return null
  if (MAGIC.every((byte, i) => reader.bytes[start + i] === byte)) {
    return reader.budget.decodeEnvelope(reader.bytes.subarray(start, last), reader.budget)
  }
  reader.position = start
  const text = reader.readText(last)
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new ProtobufError(`Cannot read protobuf of ${field.path}: raw value is not JSON`, { cause })
  }
}

/** Source: apiextensions/v1 marshal.go (JSONSchemaPropsOrArray, OrBool, OrStringArray), v0.37.2. */
function readSchemaOr(reader: Reader, field: PlanField, end: number): unknown {
  const list: unknown[] = []
  let schema: JsonObject | undefined
  let allows = false
  while (reader.position < end) {
    const tag = reader.readVarint32(end)
    if (tag === 1 << 3 && field.code === 'B') allows = reader.readInt(end) !== 0
    else if (tag === ((2 << 3) | 2) && field.code === 'C') list.push(reader.readText(reader.readLength(end)))
    else if ((tag & 7) === 2 && tag >>> 3 <= 2) {
      const object: JsonObject = {}
      const last = reader.readLength(end)
      readFields(reader, planOf(SCHEMA_PROPS)!, object, last)
      if (field.code === 'A' && tag >>> 3 === 2) list.push(object)
      else schema = object
    } else reader.skip(tag & 7, end)
  }
  if (list.length > 0) return list
  return schema ?? (field.code === 'B' ? allows : null)
}
