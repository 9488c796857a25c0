import type { JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import { defineMember, isRecord } from '../meta/values.ts'
import { parseTime } from '../meta/time.ts'

/** Words that CEL reserves; a field with such a name is reached as `__name__`. Source: apiserver pkg/cel/escaping.go. */
const RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
)

/** Name of a field inside of expressions: `a-b` is `a__dash__b`. */
export function escapeCelName(name: string): string {
  if (RESERVED.has(name)) return `__${name}__`
  if (!/__|[.\-/]/.test(name)) return name
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__')
}

/**
 * A JSON value as expressions see it: integers are `bigint`, maps with free keys are `Map`, `date-time` texts are dates, and fields
 * that the schema names carry escaped names. What the schema does not know is left out, as upstream.
 */
export function toCelValue(value: unknown, schema: JSONSchemaProps): unknown {
  if (value === null || value === undefined) return null
  if (Array.isArray(value)) {
    const items = schema.items
    const itemSchema = items === undefined || Array.isArray(items) ? {} : items
    return (value as unknown[]).map((item) => toCelValue(item, itemSchema))
  }
  if (isRecord(value)) return toCelObject(value, schema)
  if (typeof value === 'number') return schema.type !== 'number' && Number.isInteger(value) ? BigInt(value) : value
  if (typeof value === 'string' && (schema.format === 'date-time' || schema.format === 'datetime')) {
    const ms = parseTime(value)
    return ms === undefined ? value : new Date(ms)
  }
  return value
}

function toCelObject(value: Record<string, unknown>, schema: JSONSchemaProps): unknown {
  const additional = schema.additionalProperties
  if (schema.properties === undefined && additional !== undefined) {
    const valueSchema = isRecord(additional) ? (additional as JSONSchemaProps) : {}
    return new Map(Object.entries(value).map(([key, member]) => [key, toCelValue(member, valueSchema)]))
  }
  const keepsUnknown = schema['x-kubernetes-preserve-unknown-fields'] === true || schema.type === undefined
  const out: Record<string, unknown> = {}
  for (const [key, member] of Object.entries(value)) {
    const property = Object.hasOwn(schema.properties ?? {}, key) ? schema.properties?.[key] : undefined
    if (property === undefined && !keepsUnknown) continue
    if (member === null && property?.nullable !== true) continue
    defineMember(out, property === undefined ? key : escapeCelName(key), toCelValue(member, property ?? {}))
  }
  return out
}
