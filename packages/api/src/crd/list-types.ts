import type { JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import { isRecord } from '../meta/values.ts'
import { duplicate, FieldPath, invalid, type FieldError } from '../status/field-error.ts'

/**
 * Checks that lists of type set hold no value, and lists of type map no key, twice.
 * Source: apiextensions-apiserver pkg/apiserver/schema/listtype.
 */
export function validateListTypes(
  value: unknown,
  schema: JSONSchemaProps,
  path: FieldPath = new FieldPath(),
): FieldError[] {
  if (Array.isArray(value)) return validateArray(value, schema, path)
  if (!isRecord(value)) return []
  const additional = schema.additionalProperties
  return Object.keys(value).flatMap((key) => {
    const property = Object.hasOwn(schema.properties ?? {}, key) ? schema.properties?.[key] : undefined
    if (property !== undefined) return validateListTypes(value[key], property, path.child(key))
    return isRecord(additional) ? validateListTypes(value[key], additional as JSONSchemaProps, path.key(key)) : []
  })
}

function validateArray(value: readonly unknown[], schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const listType = schema['x-kubernetes-list-type']
  if (listType === 'set') {
    for (const i of repeatedIndexes(value)) errors.push(duplicate(path.index(i), value[i]))
  } else if (listType === 'map')
    errors.push(...validateMapList(value, schema['x-kubernetes-list-map-keys'] ?? [], path))
  const items = schema.items
  if (items === undefined || Array.isArray(items)) return errors
  for (const [i, item] of value.entries()) errors.push(...validateListTypes(item, items, path.index(i)))
  return errors
}

function validateMapList(value: readonly unknown[], keys: readonly string[], path: FieldPath): FieldError[] {
  const wrong = value.findIndex((item) => item !== null && !isRecord(item))
  if (wrong >= 0) return [invalid(path.index(wrong), value[wrong], 'must be an object for an array of list-type map')]
  const names = value.map((item) => {
    const members = isRecord(item) ? item : {}
    return Object.fromEntries(keys.filter((key) => Object.hasOwn(members, key)).map((key) => [key, members[key]]))
  })
  return repeatedIndexes(names).map((i) => duplicate(path.index(i), names[i]))
}

/** Index of the second occurrence of each value that occurs more than once. */
function repeatedIndexes(values: readonly unknown[]): number[] {
  const seen = new Map<string, number>()
  const repeated: number[] = []
  for (const [i, value] of values.entries()) {
    const text = JSON.stringify(value)
    const times = (seen.get(text) ?? 0) + 1
    seen.set(text, times)
    if (times === 2) repeated.push(i)
  }
  return repeated
}
