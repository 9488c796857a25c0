import { defineMember, isRecord } from '../meta/values.ts'
import { normalizeMicroTime, normalizeTime } from '../meta/time.ts'
import { parseQuantity } from '../quantity/quantity.ts'
import type { FieldSchema, ScalarType, StructSchema, ValueSchema } from '../schema/schema.ts'
import { goTypeName, shortStructName } from './go-names.ts'

/** Fits no field: what the value is and what it should be, in Go's words. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError'
}

/** Unknown fields named at most; further ones are dropped without a word, as upstream. */
const STRICT_ERRORS_MAX = 100
const INT32_MAX = 2 ** 31 - 1

/** Collects what is only wrong when one is strict. */
export interface DecodeReport {
  /** `unknown field "spec.foo"`, in the order of the document. */
  readonly strictErrors: string[]
}

/**
 * A fresh object with the fields that `struct` knows, in stored form: unknown fields, nulls and empty lists and maps that are not
 * required are left out; times and quantities are canonical. Throws {@link DecodeError} on the first value of a wrong type.
 */
export function decodeStruct(
  value: Record<string, unknown>,
  struct: StructSchema,
  report: DecodeReport,
): Record<string, unknown> {
  return new Decoder(report).struct(value, struct, ROOT)
}

/** Where a value stands. Texts are made only when something is wrong. */
interface Place {
  readonly parent: Place | undefined
  readonly step: string | number
  readonly struct: StructSchema | undefined
}

const ROOT: Place = { parent: undefined, step: '', struct: undefined }

class Decoder {
  readonly #report: DecodeReport

  constructor(report: DecodeReport) {
    this.#report = report
  }

  struct(value: Record<string, unknown>, struct: StructSchema, place: Place): Record<string, unknown> {
    const out: Record<string, unknown> = {}
    for (const key in value) {
      const field = struct.fields.get(key)
      const member = value[key]
      if (member === undefined) continue // objects made in this process may say "absent" that way
      if (field === undefined) this.#takeUnknown(out, key, member, struct, place)
      else if (member === null) {
        if (field.nullable === true) out[key] = null
      } else {
        const decoded = this.#value(member, field.value, { parent: place, step: key, struct })
        if (decoded !== undefined && (isKept(key, field) || !isEmptyCollection(decoded, field))) out[key] = decoded
      }
    }
    return out
  }

  #takeUnknown(out: Record<string, unknown>, key: string, member: unknown, struct: StructSchema, place: Place): void {
    if (struct.preserveUnknownFields === true) return defineMember(out, key, member)
    if (this.#report.strictErrors.length >= STRICT_ERRORS_MAX) return
    const path = formatPlace({ parent: place, step: key, struct })
    this.#report.strictErrors.push(`unknown field ${JSON.stringify(path)}`)
  }

  #value(value: unknown, schema: ValueSchema, place: Place): unknown {
    switch (schema.type) {
      case 'string':
        return typeof value === 'string' ? value : fail(value, schema, place)
      case 'struct':
        if (!isRecord(value)) return fail(value, schema, place)
        return this.struct(value, schema.struct(), place)
      case 'list':
        if (!Array.isArray(value)) return fail(value, schema, place)
        return this.#list(value, schema.items, place)
      case 'map':
        if (!isRecord(value)) return fail(value, schema, place)
        return this.#map(value, schema.values, place)
      case 'any':
        return value
      default:
        return decodeScalar(value, schema.type, place)
    }
  }

  #list(value: readonly unknown[], items: ValueSchema, place: Place): unknown[] {
    const out: unknown[] = []
    for (let i = 0; i < value.length; i++) {
      const item = value[i] ?? zeroOf(items)
      out.push(this.#value(item, items, { parent: place, step: i, struct: undefined }))
    }
    return out
  }

  #map(value: Record<string, unknown>, values: ValueSchema, place: Place): Record<string, unknown> {
    const out: Record<string, unknown> = {}
    for (const key in value) {
      const decoded = this.#value(value[key] ?? zeroOf(values), values, { parent: place, step: key, struct: undefined })
      if (key === '__proto__') defineMember(out, key, decoded)
      else out[key] = decoded
    }
    return out
  }
}

/** An empty list is kept where upstream writes it out, and where it asks to forget all managers. */
function isKept(key: string, field: FieldSchema): boolean {
  return field.required === true || key === 'managedFields'
}

function isEmptyCollection(value: unknown, field: FieldSchema): boolean {
  if (field.value.type === 'list') return (value as unknown[]).length === 0
  if (field.value.type !== 'map') return false
  for (const _key in value as object) return false
  return true
}

/** What Go makes of a `null` inside a list or map. */
function zeroOf(schema: ValueSchema): unknown {
  switch (schema.type) {
    case 'struct':
    case 'map':
      return {}
    case 'list':
      return []
    case 'boolean':
      return false
    case 'string':
    case 'bytes':
    case 'time':
    case 'microTime':
      return ''
    case 'quantity':
      return '0'
    case 'any':
      return null
    default:
      return 0
  }
}

function decodeScalar(value: unknown, type: ScalarType, place: Place): unknown {
  switch (type) {
    case 'boolean':
      return typeof value === 'boolean' ? value : fail(value, { type }, place)
    case 'int32':
    case 'int64':
      return isInteger(value, type) ? value : fail(value, { type }, place)
    case 'double':
      return typeof value === 'number' ? value : fail(value, { type }, place)
    case 'quantity':
      return decodeQuantity(value)
    case 'intOrString':
      if (typeof value === 'string' || isInteger(value, 'int32')) return value
      return fail(value, { type: 'int32' }, place)
    case 'bytes':
      return decodeBytes(value, place)
    case 'time':
      return decodeTime(value, TIME, place)
    case 'microTime':
      return decodeTime(value, MICRO_TIME, place)
    default:
      return typeof value === 'string' ? value : fail(value, { type }, place)
  }
}

function isInteger(value: unknown, type: 'int32' | 'int64'): boolean {
  if (typeof value !== 'number' || !Number.isInteger(value)) return false
  if (type === 'int32') return value <= INT32_MAX && value >= -INT32_MAX - 1
  return value < 2 ** 63 && value >= -(2 ** 63)
}

/** A number is read as its text; anything else fails as a text of no quantity does. */
function decodeQuantity(value: unknown): string {
  const text =
    typeof value === 'string' ? value.trim() : typeof value === 'number' ? String(value).replace('e+', 'e') : ''
  try {
    return parseQuantity(text).text
  } catch (cause) {
    throw new DecodeError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** Canonical base64; line breaks are allowed and dropped, as Go does. */
function decodeBytes(value: unknown, place: Place): string {
  if (typeof value !== 'string') return fail(value, { type: 'bytes' }, place)
  const text = value.includes('\n') || value.includes('\r') ? value.replace(/[\r\n]/g, '') : value
  if (BASE64.test(text)) return text
  const end = /[^A-Za-z0-9+/]/.exec(text)?.index ?? text.length
  throw new DecodeError(
    `illegal base64 data at input byte ${end >= text.length ? text.length - (text.length % 4) : end}`,
  )
}

interface TimeFormat {
  readonly normalize: (text: string) => string | undefined
  /** Go's name of the layout, for messages. */
  readonly layout: string
}

const TIME: TimeFormat = { normalize: normalizeTime, layout: '2006-01-02T15:04:05Z07:00' }
const MICRO_TIME: TimeFormat = { normalize: normalizeMicroTime, layout: '2006-01-02T15:04:05.000000Z07:00' }

function decodeTime(value: unknown, { normalize, layout }: TimeFormat, place: Place): string | undefined {
  if (value === '') return undefined
  if (typeof value !== 'string') return fail(value, { type: 'string' }, place)
  const time = normalize(value)
  if (time !== undefined) return time
  const quoted = JSON.stringify(value)
  throw new DecodeError(`parsing time ${quoted} as ${JSON.stringify(layout)}: cannot parse ${quoted} as "2006"`)
}

function fail(value: unknown, schema: ValueSchema, place: Place): never {
  const type = goTypeName(schema)
  throw new DecodeError(
    `json: cannot unmarshal ${describeValue(value, type)} into Go struct field ${formatGoField(place)} of type ${type}`,
  )
}

function describeValue(value: unknown, type: string): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return /^(int|float)/.test(type) ? `number ${value}` : 'number'
  return typeof value === 'string' ? 'string' : 'object'
}

/** `PodSpec.spec.containers.name`: the innermost struct, then the fields without indexes. */
function formatGoField(place: Place): string {
  const fields: string[] = []
  let struct: StructSchema | undefined
  for (let at: Place | undefined = place; at?.parent !== undefined; at = at.parent) {
    if (at.struct === undefined) continue
    struct ??= at.struct
    fields.unshift(String(at.step))
  }
  return `${struct === undefined ? '' : shortStructName(struct)}.${fields.join('.')}`
}

function formatPlace(place: Place): string {
  let text = ''
  for (let at: Place | undefined = place; at?.parent !== undefined; at = at.parent) {
    if (typeof at.step === 'number') text = `[${at.step}]${text}`
    else text = at.parent.parent === undefined ? `${at.step}${text}` : `.${at.step}${text}`
  }
  return text
}
