import type { JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import { deepEqual, isRecord } from '../meta/values.ts'
import { forbiddenField, invalid, required, type FieldError, type FieldPath } from '../status/field-error.ts'
import { compilePattern } from './patterns.ts'

type Level = 'root' | 'item' | 'field'

const INT_OR_STRING: readonly JSONSchemaProps[] = [{ type: 'integer' }, { type: 'string' }]

/**
 * Checks that a schema is structural: every field has a type outside of anyOf, allOf, oneOf and not, and those only narrow values.
 * Source: apiextensions-apiserver pkg/apiserver/schema/{convert,validation,complete}.go, v0.37.
 */
export function validateStructural(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const unsupported = findUnsupported(schema)
  if (unsupported !== undefined) return [invalid(path, '', unsupported)]
  const errors = [...validateLevel(schema, 'root', path), ...validateCompleteness(schema, path)]
  return errors.toSorted((a, b) => (`${a.field}: ${a.message}` < `${b.field}: ${b.message}` ? -1 : 1))
}

/** Keywords that have no structural form at all. */
function findUnsupported(schema: JSONSchemaProps): string | undefined {
  if (Array.isArray(schema.items)) return "OpenAPIV3Schema 'items' must be a schema, but is an array"
  for (const keyword of [
    '$ref',
    '$schema',
    'definitions',
    'dependencies',
    'id',
    'patternProperties',
    'additionalItems',
  ] as const) {
    const value = schema[keyword]
    if (value === undefined || (isRecord(value) && Object.keys(value).length === 0)) continue
    return `OpenAPIV3Schema '${keyword.replace('$', '')}' is not supported`
  }
  const additional = schema.additionalProperties
  const parts = [
    ...Object.values(schema.properties ?? {}),
    ...(isRecord(additional) ? [additional as JSONSchemaProps] : []),
    ...(schema.items === undefined ? [] : [schema.items as JSONSchemaProps]),
  ]
  for (const part of parts) {
    const found = findUnsupported(part)
    if (found !== undefined) return found
  }
  return undefined
}

function validateLevel(schema: JSONSchemaProps, level: Level, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const items = schema.items as JSONSchemaProps | undefined
  if (schema.type === 'array' && items === undefined) errors.push(required(path.child('items'), 'must be specified'))
  if (items !== undefined) errors.push(...validateLevel(items, 'item', path.child('items')))
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    errors.push(...validateLevel(property, 'field', path.child('properties').key(name)))
  }
  const additional = schema.additionalProperties
  if (additional !== undefined && level === 'root') {
    errors.push(forbiddenField(path.child('additionalProperties'), 'must not be used at the root'))
  }
  if (isRecord(additional))
    errors.push(...validateLevel(additional as JSONSchemaProps, 'field', path.child('additionalProperties')))
  errors.push(...validateExtensions(schema, path))
  errors.push(
    ...validateJunctors(schema, { path, level, isIntOrString: schema['x-kubernetes-int-or-string'] === true }),
  )
  errors.push(...validateType(schema, level, path))
  if (level === 'root' || schema['x-kubernetes-embedded-resource'] === true)
    errors.push(...validateTypeMeta(schema, path))
  if (level === 'root')
    errors.push(...validateRootMetadata(schema.properties?.['metadata'], path.child('properties').key('metadata')))
  return errors
}

function validateExtensions(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  if (schema['x-kubernetes-int-or-string'] === true) {
    for (const extension of ['x-kubernetes-preserve-unknown-fields', 'x-kubernetes-embedded-resource'] as const) {
      if (schema[extension] !== true) continue
      errors.push(invalid(path.child(extension), true, 'must be false if x-kubernetes-int-or-string is true'))
    }
  }
  if (schema['x-kubernetes-embedded-resource'] !== true) return errors
  if (schema.additionalProperties !== undefined) {
    errors.push(
      forbiddenField(path.child('additionalProperties'), 'must not be used if x-kubernetes-embedded-resource is set'),
    )
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] !== true && Object.keys(schema.properties ?? {}).length === 0) {
    const why =
      'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields'
    errors.push(required(path.child('properties'), why))
  }
  return errors
}

const EMPTY_TYPE: Readonly<Record<Level, string>> = {
  root: 'must not be empty at the root',
  item: 'must not be empty for specified array items',
  field: 'must not be empty for specified object fields',
}

function validateType(schema: JSONSchemaProps, level: Level, path: FieldPath): FieldError[] {
  const type = schema.type ?? ''
  const at = path.child('type')
  if (schema['x-kubernetes-embedded-resource'] === true && type !== 'object') {
    const why = 'must be object if x-kubernetes-embedded-resource is true'
    return [type === '' ? required(at, why) : invalid(at, type, why)]
  }
  const isOpen =
    schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true
  if (type === '' && !isOpen) return [required(at, EMPTY_TYPE[level])]
  return level === 'root' && type !== '' && type !== 'object' ? [invalid(at, type, 'must be object at the root')] : []
}

function validateTypeMeta(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  for (const [name, type] of [
    ['kind', 'string'],
    ['apiVersion', 'string'],
    ['metadata', 'object'],
  ] as const) {
    const property = schema.properties?.[name]
    if (property !== undefined && property.type !== type) {
      errors.push(invalid(path.child('properties').key(name).child('type'), property.type ?? '', `must be ${type}`))
    }
  }
  return errors
}

function validateRootMetadata(metadata: JSONSchemaProps | undefined, path: FieldPath): FieldError[] {
  if (metadata === undefined) return []
  const { type: _type, description: _description, properties = {}, ...rest } = metadata
  const hasOthers = Object.keys(properties).some((name) => name !== 'name' && name !== 'generateName')
  if (!hasOthers && Object.values(rest).every((value) => value === undefined)) return []
  return [
    forbiddenField(
      path,
      'must not specify anything other than name and generateName, but metadata is implicitly specified',
    ),
  ]
}

interface JunctorPlace {
  readonly path: FieldPath
  readonly level: Level
  readonly isIntOrString: boolean
}

function validateJunctors(schema: JSONSchemaProps, { path, level, isIntOrString }: JunctorPlace): FieldError[] {
  const errors: FieldError[] = []
  const mayName = isIntOrString && deepEqual(schema.anyOf, INT_OR_STRING)
  const firstMayName = isIntOrString && deepEqual(schema.allOf?.[0]?.anyOf, INT_OR_STRING)
  if (!mayName)
    for (const [i, part] of (schema.anyOf ?? []).entries())
      errors.push(...validateNested(part, { path: path.child('anyOf').index(i), level }))
  for (const [i, part] of (schema.allOf ?? []).entries()) {
    const at = { path: path.child('allOf').index(i), level }
    errors.push(
      ...(i === 0 && firstMayName ? validateNested({ ...part, anyOf: undefined }, at) : validateNested(part, at)),
    )
  }
  for (const [i, part] of (schema.oneOf ?? []).entries())
    errors.push(...validateNested(part, { path: path.child('oneOf').index(i), level }))
  if (schema.not !== undefined) errors.push(...validateNested(schema.not, { path: path.child('not'), level }))
  if (schema.pattern !== undefined && schema.pattern !== '')
    errors.push(...validatePattern(schema.pattern, path.child('pattern')))
  return errors
}

function validatePattern(pattern: string, path: FieldPath): FieldError[] {
  try {
    compilePattern(pattern)
    return []
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return [invalid(path, pattern, `must be a valid regular expression, but isn't: ${why}`)]
  }
}

/** Keywords that may not stand inside of anyOf, allOf, oneOf and not, with the words for each. */
const FORBIDDEN_INSIDE: readonly (readonly [keyof JSONSchemaProps, string])[] = [
  ['type', 'must be empty to be structural'],
  ['additionalProperties', 'must be undefined to be structural'],
  ['default', 'must be undefined to be structural'],
  ['title', 'must be empty to be structural'],
  ['description', 'must be empty to be structural'],
  ['nullable', 'must be false to be structural'],
  ['x-kubernetes-preserve-unknown-fields', 'must be false to be structural'],
  ['x-kubernetes-embedded-resource', 'must be false to be structural'],
  ['x-kubernetes-int-or-string', 'must be false to be structural'],
  ['x-kubernetes-list-map-keys', 'must be empty to be structural'],
  ['x-kubernetes-list-type', 'must be undefined to be structural'],
  ['x-kubernetes-map-type', 'must be undefined to be structural'],
  ['x-kubernetes-validations', 'must be empty to be structural'],
]

function validateNested(schema: JSONSchemaProps, { path, level }: { path: FieldPath; level: Level }): FieldError[] {
  const errors = validateJunctors(schema, { path, level, isIntOrString: false })
  for (const [keyword, why] of FORBIDDEN_INSIDE) {
    const value = schema[keyword]
    const isEmpty =
      value === undefined || value === '' || value === false || (Array.isArray(value) && value.length === 0)
    if (!isEmpty) errors.push(forbiddenField(path.child(keyword), why))
  }
  if (schema.items !== undefined && !Array.isArray(schema.items)) {
    errors.push(...validateNested(schema.items, { path: path.child('items'), level }))
  }
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const at = path.child('properties').key(name)
    errors.push(...validateNested(property, { path: at, level: 'field' }))
    if (name === 'metadata') errors.push(forbiddenField(at, 'must not be specified in a nested context'))
  }
  return errors
}

/** What a junctor narrows must be declared outside of it. Source: schema/complete.go. */
function validateCompleteness(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors = validateParts(schema, schema, { path, nestedPath: path })
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    errors.push(...validateCompleteness(property, path.child('properties').key(name)))
  }
  if (schema.items !== undefined && !Array.isArray(schema.items))
    errors.push(...validateCompleteness(schema.items, path.child('items')))
  const additional = schema.additionalProperties
  if (isRecord(additional))
    errors.push(...validateCompleteness(additional as JSONSchemaProps, path.child('additionalProperties')))
  return errors
}

interface Paths {
  readonly path: FieldPath
  /** Where the narrowing part stands. */
  readonly nestedPath: FieldPath
}

function validateParts(nested: JSONSchemaProps, outer: JSONSchemaProps, { path, nestedPath }: Paths): FieldError[] {
  const parts: (readonly [JSONSchemaProps, FieldPath])[] = []
  for (const junctor of ['anyOf', 'allOf', 'oneOf'] as const) {
    for (const [i, part] of (nested[junctor] ?? []).entries()) parts.push([part, nestedPath.child(junctor).index(i)])
  }
  if (nested.not !== undefined) parts.push([nested.not, nestedPath.child('not')])
  return parts.flatMap(([part, at]) => validateNestedCompleteness(part, outer, { path, nestedPath: at }))
}

function validateNestedCompleteness(
  nested: JSONSchemaProps,
  outer: JSONSchemaProps,
  { path, nestedPath }: Paths,
): FieldError[] {
  const errors = validateParts(nested, outer, { path, nestedPath })
  for (const [name, property] of Object.entries(nested.properties ?? {})) {
    const declared = outer.properties?.[name]
    const paths = { path: path.child('properties').key(name), nestedPath: nestedPath.child('properties').key(name) }
    const isOpen = outer.additionalProperties !== undefined || outer['x-kubernetes-preserve-unknown-fields'] === true
    if (declared !== undefined) errors.push(...validateNestedCompleteness(property, declared, paths))
    else if (!isOpen) errors.push(required(paths.path, `because it is defined in ${String(paths.nestedPath)}`))
  }
  return errors
}
