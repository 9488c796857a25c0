import type { JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import { isRecord } from '../meta/values.ts'
import type { FieldSchema, StructSchema, ValueSchema } from '../schema/schema.ts'

export interface ToStructSchemaOptions {
  /** Name for messages; default empty. */
  readonly name?: string | undefined
  /** Fields of `metadata` of the object and of embedded resources. Absent: anything. */
  readonly objectMeta?: (() => StructSchema) | undefined
}

/** Anything, merged by member: what a schema with x-kubernetes-preserve-unknown-fields says. */
const UNKNOWN: StructSchema = { name: '', fields: new Map(), preserveUnknownFields: true }
const ANYTHING: ValueSchema = { type: 'struct', struct: () => UNKNOWN }

const cache = new WeakMap<JSONSchemaProps, ValueSchema>()

/**
 * The field description of a custom resource, which server-side apply and patches work on. `schema` is the (structural)
 * `openAPIV3Schema` of a version; `apiVersion`, `kind` and `metadata` are added. Nested parts are made when first looked at.
 */
export function toStructSchema(schema: JSONSchemaProps, options: ToStructSchemaOptions = {}): StructSchema {
  return structOf(schema, { ...options, isResource: true })
}

function structOf(schema: JSONSchemaProps, options: ToStructSchemaOptions & { isResource: boolean }): StructSchema {
  const fields = new Map<string, FieldSchema>()
  if (options.isResource) {
    fields.set('apiVersion', { value: { type: 'string' } })
    fields.set('kind', { value: { type: 'string' } })
  }
  const required = new Set(schema.required ?? [])
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    fields.set(name, fieldOf(property, required.has(name), options))
  }
  if (options.isResource) {
    const { objectMeta } = options
    fields.set('metadata', { value: objectMeta === undefined ? ANYTHING : { type: 'struct', struct: objectMeta } })
  }
  return {
    name: options.isResource ? (options.name ?? '') : '',
    fields,
    ...(schema['x-kubernetes-preserve-unknown-fields'] === true ? { preserveUnknownFields: true } : {}),
  }
}

function fieldOf(schema: JSONSchemaProps, isRequired: boolean, options: ToStructSchemaOptions): FieldSchema {
  return {
    value: valueOf(schema, options),
    ...(isRequired ? { required: true } : {}),
    ...(schema.default === undefined ? {} : { default: schema.default }),
    ...(schema.nullable === true ? { nullable: true } : {}),
  }
}

function valueOf(schema: JSONSchemaProps, options: ToStructSchemaOptions): ValueSchema {
  const known = cache.get(schema)
  if (known !== undefined) return known
  const value = makeValue(schema, options)
  cache.set(schema, value)
  return value
}

function makeValue(schema: JSONSchemaProps, options: ToStructSchemaOptions): ValueSchema {
  if (schema['x-kubernetes-int-or-string'] === true) return { type: 'intOrString' }
  switch (schema.type) {
    case 'object':
      return objectValue(schema, options)
    case 'array':
      return arrayValue(schema, options)
    case 'integer':
      return { type: schema.format === 'int32' ? 'int32' : 'int64' }
    case 'number':
      return { type: 'double' }
    case 'boolean':
      return { type: 'boolean' }
    case 'string':
      return { type: 'string' }
    default:
      return ANYTHING
  }
}

function objectValue(schema: JSONSchemaProps, options: ToStructSchemaOptions): ValueSchema {
  const mapType = schema['x-kubernetes-map-type'] === 'atomic' ? ({ mapType: 'atomic' } as const) : {}
  const additional = schema.additionalProperties
  const hasProperties = Object.keys(schema.properties ?? {}).length > 0
  if (isRecord(additional)) return { type: 'map', values: valueOf(additional as JSONSchemaProps, options), ...mapType }
  if (additional === true && !hasProperties) return { type: 'map', values: ANYTHING, ...mapType }
  let struct: StructSchema | undefined
  const isResource = schema['x-kubernetes-embedded-resource'] === true
  return { type: 'struct', struct: () => (struct ??= structOf(schema, { ...options, isResource })), ...mapType }
}

function arrayValue(schema: JSONSchemaProps, options: ToStructSchemaOptions): ValueSchema {
  const items = schema.items
  const itemSchema = items === undefined || Array.isArray(items) ? undefined : items
  const listType = schema['x-kubernetes-list-type'] as 'atomic' | 'set' | 'map' | undefined
  const keys = schema['x-kubernetes-list-map-keys']
  return {
    type: 'list',
    items: itemSchema === undefined ? ANYTHING : valueOf(itemSchema, options),
    listType: listType ?? 'atomic',
    ...(keys === undefined ? {} : { listMapKeys: keys }),
  }
}
