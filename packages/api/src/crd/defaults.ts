import type { JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import { deepClone, isRecord } from '../meta/values.ts'

/**
 * Fills what is absent in `object` (changed in place) from the defaults of its structural schema. A `null` where the schema has a
 * default and is not nullable counts as absent. Idempotent.
 * Source: apiextensions-apiserver pkg/apiserver/schema/defaulting.
 */
export function defaultObject(object: Record<string, unknown>, schema: JSONSchemaProps): void {
  defaultValue(object, schema)
}

function defaultValue(value: unknown, schema: JSONSchemaProps): void {
  if (Array.isArray(value)) {
    const items = schema.items
    if (items === undefined || Array.isArray(items)) return
    for (const [i, item] of (value as unknown[]).entries()) {
      if (item === null && needsValue(items)) (value as unknown[])[i] = deepClone(items.default)
      defaultValue((value as unknown[])[i], items)
    }
  } else if (isRecord(value)) defaultMembers(value, schema)
}

function defaultMembers(members: Record<string, unknown>, schema: JSONSchemaProps): void {
  const properties = schema.properties ?? {}
  for (const [key, property] of Object.entries(properties)) {
    const current = Object.hasOwn(members, key) ? members[key] : undefined
    if (property.default !== undefined && (current === undefined || (current === null && property.nullable !== true))) {
      members[key] = deepClone(property.default)
    }
    if (members[key] !== undefined) defaultValue(members[key], property)
  }
  const additional = schema.additionalProperties
  if (!isRecord(additional)) return
  const valueSchema = additional as JSONSchemaProps
  for (const key of Object.keys(members)) {
    if (Object.hasOwn(properties, key)) continue
    if (members[key] === null && needsValue(valueSchema)) members[key] = deepClone(valueSchema.default)
    defaultValue(members[key], valueSchema)
  }
}

function needsValue(schema: JSONSchemaProps): boolean {
  return schema.default !== undefined && schema.nullable !== true
}
