import type { JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import { validateObjectMeta } from '../meta/validate-object-meta.ts'
import { isRecord } from '../meta/values.ts'
import type { ObjectMeta } from '../generated/types/meta/v1.ts'
import { FieldPath, required, type FieldError, type FieldErrorType } from '../status/field-error.ts'
import { validateCelRules } from './cel-rules.ts'
import { validateListTypes } from './list-types.ts'
import { validateValue } from './validate-value.ts'

/** Errors after which rules would only repeat them. Source: apiextensions pkg/registry/customresource/strategy.go hasBlockingErr. */
const BLOCKING: ReadonlySet<FieldErrorType> = new Set<FieldErrorType>([
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
])

/**
 * Checks a custom resource against the (structural) schema of its version: values, list types, embedded resources and CEL rules.
 * Metadata of the object itself is for `validateObjectMeta`. On update pass `old`: what did not change is not held against it.
 * Prune and default the object before.
 */
export function validateCustomResource(
  object: Readonly<Record<string, unknown>>,
  schema: JSONSchemaProps,
  options: { readonly old?: Readonly<Record<string, unknown>> | undefined } = {},
): FieldError[] {
  const { metadata: _metadata, ...properties } = schema.properties ?? {}
  const withoutMeta = { ...schema, properties, 'x-kubernetes-preserve-unknown-fields': true }
  const errors = [
    ...validateValue(object, withoutMeta, { old: options.old }),
    ...validateEmbedded(object, schema, new FieldPath()),
    ...validateListTypes(object, schema),
  ]
  if (errors.some((error) => BLOCKING.has(error.type))) {
    const why =
      'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation'
    return [...errors, { type: 'FieldValueInvalid', field: '<nil>', message: `Invalid value: null: ${why}` }]
  }
  return [...errors, ...validateCelRules({ object, old: options.old }, schema)]
}

/** Objects inside of the object must say what they are. Source: apiextensions pkg/apiserver/schema/objectmeta. */
function validateEmbedded(value: unknown, schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors =
    schema['x-kubernetes-embedded-resource'] === true && isRecord(value) ? validateResource(value, path) : []
  const items = schema.items
  if (Array.isArray(value) && items !== undefined && !Array.isArray(items)) {
    return [...errors, ...(value as unknown[]).flatMap((item, i) => validateEmbedded(item, items, path.index(i)))]
  }
  if (!isRecord(value)) return errors
  const additional = schema.additionalProperties
  for (const [key, member] of Object.entries(value)) {
    const property = Object.hasOwn(schema.properties ?? {}, key) ? schema.properties?.[key] : undefined
    if (property !== undefined) errors.push(...validateEmbedded(member, property, path.child(key)))
    else if (isRecord(additional))
      errors.push(...validateEmbedded(member, additional as JSONSchemaProps, path.key(key)))
  }
  return errors
}

function validateResource(value: Record<string, unknown>, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  for (const field of ['apiVersion', 'kind'] as const) {
    if (typeof value[field] !== 'string' || value[field] === '')
      errors.push(required(path.child(field), 'must not be empty'))
  }
  const metadata = value['metadata']
  if (!isRecord(metadata)) return errors
  const named = { name: 'x', ...metadata } as ObjectMeta // an embedded resource needs no name
  return [
    ...errors,
    ...validateObjectMeta(named, { namespaced: (named.namespace ?? '') !== '', path: path.child('metadata') }),
  ]
}
