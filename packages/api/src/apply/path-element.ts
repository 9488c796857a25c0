import { isRecord } from '../meta/values.ts'
import type { ValueSchema } from '../schema/schema.ts'

/** A value that does not fit its schema well enough to tell whose it is. */
export class FieldTypeError extends Error {
  override readonly name = 'FieldTypeError'
}

export type ListSchema = Extract<ValueSchema, { type: 'list' }>

/** True when the items of the list are told apart, by keys or by their values. */
export function isAssociative(schema: ListSchema): boolean {
  return schema.listType === 'map' || schema.listType === 'set'
}

/**
 * Name of an item within its list: `k:{"name":"web"}` or `v:"a"`. Key fields that are absent count with their default.
 * Throws {@link FieldTypeError} for an item that can't be told from others.
 */
export function itemElement(schema: ListSchema, item: unknown): string {
  if (schema.listType === 'set') {
    if (item === null) throw new FieldTypeError("associative list without keys has an element that's an explicit null")
    if (typeof item === 'object')
      throw new FieldTypeError("associative list without keys has an element that's a map type")
    return `v:${JSON.stringify(item)}`
  }
  if (!isRecord(item)) {
    const what = item === null ? 'a null element' : 'non-map elements'
    throw new FieldTypeError(`associative list with keys may not have ${what}`)
  }
  const keys = sortedKeys(schema)
  let text = ''
  for (const key of keys) {
    const value = item[key] ?? schema.listMapKeyDefaults?.[key] ?? keyFieldDefault(schema, key)
    if (value === undefined) continue
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${JSON.stringify(value)}`
  }
  if (text !== '') return `k:{${text}}`
  const names = (schema.listMapKeys ?? []).map((key) => JSON.stringify(key)).join(' ')
  throw new FieldTypeError(
    `associative list with keys has an element that omits all key fields [${names}] (and doesn't have default values for any key fields)`,
  )
}

function keyFieldDefault(schema: ListSchema, key: string): unknown {
  return schema.items.type === 'struct' ? schema.items.struct().fields.get(key)?.default : undefined
}

const sortedKeyCache = new WeakMap<ListSchema, readonly string[]>()

function sortedKeys(schema: ListSchema): readonly string[] {
  const known = sortedKeyCache.get(schema)
  if (known !== undefined) return known
  const sorted = (schema.listMapKeys ?? []).toSorted()
  sortedKeyCache.set(schema, sorted)
  return sorted
}
