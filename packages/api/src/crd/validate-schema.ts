import type { JSONSchemaProps, ValidationRule } from '../generated/types/apiextensions/v1.ts'
import { isRecord } from '../meta/values.ts'
import {
  forbiddenField,
  invalid,
  notSupported,
  required,
  type FieldError,
  type FieldPath,
} from '../status/field-error.ts'
import { compileProblems } from './cel-rules.ts'
import { defaultObject } from './defaults.ts'
import { pruneObject } from './prune.ts'
import { validateStructural } from './validate-structural.ts'
import { validateListTypes } from './list-types.ts'
import { validateValue } from './validate-value.ts'
import { deepClone } from '../meta/values.ts'

const TYPES: readonly string[] = ['string', 'number', 'integer', 'boolean', 'array', 'object']
const REASONS: readonly string[] = [
  'FieldValueDuplicate',
  'FieldValueForbidden',
  'FieldValueInvalid',
  'FieldValueRequired',
]

/**
 * Checks the `openAPIV3Schema` of a version: structural, with sound list types, map types, defaults and rules.
 * Source: apiextensions-apiserver pkg/apis/apiextensions/validation ValidateCustomResourceDefinitionOpenAPISchema, v0.37.
 */
export function validateSchema(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  if (schema.nullable === true)
    errors.push(forbiddenField(path.child('nullable'), 'nullable cannot be true at the root'))
  errors.push(...validateStructural(schema, path))
  errors.push(...visit(schema, path, { isRoot: true, defaultsForbidden: '', oldSelfForbidden: undefined }))
  return errors
}

interface Place {
  readonly isRoot: boolean
  /** Why no default may stand here; empty when one may. */
  readonly defaultsForbidden: string
  /** The part of the schema whose values can't be matched with their old ones. */
  readonly oldSelfForbidden: FieldPath | undefined
}

function visit(schema: JSONSchemaProps, path: FieldPath, place: Place): FieldError[] {
  const errors = [
    ...validateKeywords(schema, path),
    ...validateDefault(schema, path, place),
    ...validateMapType(schema, path),
    ...validateListType(schema, path),
  ]
  const inner = { ...place, isRoot: false }
  const additional = schema.additionalProperties
  if (isRecord(additional)) {
    if (Object.keys(schema.properties ?? {}).length > 0) {
      errors.push(
        forbiddenField(path.child('additionalProperties'), 'additionalProperties and properties are mutual exclusive'),
      )
    }
    errors.push(...visit(additional as JSONSchemaProps, path.child('additionalProperties'), inner))
  }
  const isAtomic = schema['x-kubernetes-map-type'] === 'atomic'
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const isMeta = place.isRoot && ['metadata', 'kind', 'apiVersion'].includes(name)
    errors.push(
      ...visit(property, path.child('properties').key(name), {
        ...inner,
        ...(isAtomic ? { oldSelfForbidden: path } : {}),
        ...(isMeta ? { defaultsForbidden: `in top-level ${name}` } : {}),
      }),
    )
  }
  if (schema.items !== undefined && !Array.isArray(schema.items)) {
    const isMap = schema['x-kubernetes-list-type'] === 'map'
    errors.push(...visit(schema.items, path.child('items'), { ...inner, ...(isMap ? {} : { oldSelfForbidden: path }) }))
  }
  for (const [i, rule] of (schema['x-kubernetes-validations'] ?? []).entries()) {
    errors.push(...validateRule(rule, path.child('x-kubernetes-validations').index(i), place.oldSelfForbidden))
  }
  return errors
}

function validateKeywords(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  if ((schema.type ?? '') !== '' && !TYPES.includes(schema.type!))
    errors.push(notSupported(path.child('type'), schema.type, TYPES))
  if (schema.uniqueItems === true) {
    errors.push(
      forbiddenField(
        path.child('uniqueItems'),
        'uniqueItems cannot be set to true since the runtime complexity becomes quadratic',
      ),
    )
  }
  if (schema.additionalProperties === false) {
    errors.push(forbiddenField(path.child('additionalProperties'), 'additionalProperties cannot be set to false'))
  }
  if (schema['x-kubernetes-preserve-unknown-fields'] === false) {
    errors.push(invalid(path.child('x-kubernetes-preserve-unknown-fields'), false, 'must be true or undefined'))
  }
  return errors
}

/** A default must pass the schema that it stands in, and hold nothing that would be pruned. */
function validateDefault(schema: JSONSchemaProps, path: FieldPath, place: Place): FieldError[] {
  if (schema.default === undefined) return []
  const at = path.child('default')
  if (place.isRoot || place.defaultsForbidden !== '') {
    return [
      forbiddenField(at, place.isRoot ? 'must not be set at the root' : `must not be set ${place.defaultsForbidden}`),
    ]
  }
  const value = deepClone(schema.default)
  const errors: FieldError[] = []
  if (isRecord(value)) {
    defaultObject(value, schema)
    const holder = { value }
    const pruned = pruneObject(holder, { properties: { value: schema } })
    if (pruned.length > 0) {
      const fields = pruned.map((field) => field.replace(/^value\.?/, '')).join(', ')
      errors.push(invalid(at, schema.default, `must not have unknown fields: ${fields}`))
    }
  }
  for (const error of [...validateValue(value, schema), ...validateListTypes(value, schema)]) {
    const field = error.field === '<nil>' ? String(at) : `${String(at)}.${error.field}`
    errors.push({ ...error, field })
  }
  return errors
}

function validateMapType(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const mapType = schema['x-kubernetes-map-type']
  if (mapType === undefined) return []
  const errors = wrongHolder(schema, path, { wanted: 'object', extension: 'x-kubernetes-map-type' })
  if (mapType !== 'atomic' && mapType !== 'granular') {
    errors.push(notSupported(path.child('x-kubernetes-map-type'), mapType, ['atomic', 'granular']))
  }
  return errors
}

function wrongHolder(
  schema: JSONSchemaProps,
  path: FieldPath,
  { wanted, extension }: { wanted: string; extension: string },
): FieldError[] {
  if (schema.type === wanted) return []
  const why = `must be ${wanted} if ${extension} is specified`
  return [
    (schema.type ?? '') === '' ? required(path.child('type'), why) : invalid(path.child('type'), schema.type, why),
  ]
}

function validateListType(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const listType = schema['x-kubernetes-list-type']
  const keys = schema['x-kubernetes-list-map-keys'] ?? []
  const at = path.child('x-kubernetes-list-type')
  const errors: FieldError[] = []
  if (keys.length > 0 && listType !== 'map') {
    const why = 'must be map if x-kubernetes-list-map-keys is non-empty'
    errors.push(listType === undefined ? required(at, why) : invalid(at, listType, why))
  }
  if (listType === undefined) return errors
  errors.push(...wrongHolder(schema, path, { wanted: 'array', extension: 'x-kubernetes-list-type' }))
  if (!['atomic', 'set', 'map'].includes(listType)) errors.push(notSupported(at, listType, ['atomic', 'set', 'map']))
  const items = Array.isArray(schema.items) ? undefined : schema.items
  if (listType !== 'atomic' && items?.nullable === true) {
    errors.push(
      forbiddenField(path.child('items', 'nullable'), `cannot be nullable when x-kubernetes-list-type is ${listType}`),
    )
  }
  if (listType === 'set') errors.push(...validateSetItems(items, path.child('items')))
  if (listType === 'map') errors.push(...validateMapItems(items, keys, path))
  return errors
}

function validateSetItems(items: JSONSchemaProps | undefined, path: FieldPath): FieldError[] {
  const why = 'must be atomic as item of a list with x-kubernetes-list-type=set'
  const listType = items?.['x-kubernetes-list-type']
  if (items?.type === 'array' && listType !== undefined && listType !== 'atomic') {
    return [invalid(path.child('x-kubernetes-list-type'), listType, why)]
  }
  const mapType = items?.['x-kubernetes-map-type']
  return items?.type === 'object' && mapType !== 'atomic'
    ? [invalid(path.child('x-kubernetes-map-type'), mapType, why)]
    : []
}

function validateMapItems(items: JSONSchemaProps | undefined, keys: readonly string[], path: FieldPath): FieldError[] {
  const errors: FieldError[] = []
  const keysPath = path.child('x-kubernetes-list-map-keys')
  if (keys.length === 0) errors.push(required(keysPath, 'must not be empty if x-kubernetes-list-type is map'))
  if (items === undefined)
    return [...errors, required(path.child('items'), 'must have a schema if x-kubernetes-list-type is map')]
  if (items.type !== 'object') {
    const why = "must be object if parent array's x-kubernetes-list-type is map"
    return [...errors, invalid(path.child('items', 'type'), items.type ?? '', why)]
  }
  for (const [i, key] of keys.entries()) {
    const property = items.properties?.[key]
    const at = path.child('items').child('properties').key(key)
    if (property === undefined) errors.push(invalid(keysPath, keys, 'entries must all be names of item properties'))
    else if (property.type === 'array' || property.type === 'object') {
      errors.push(
        invalid(
          at.child('type'),
          property.type,
          "must be a scalar type if parent array's x-kubernetes-list-type is map",
        ),
      )
    }
    if (keys.indexOf(key) !== i) errors.push(invalid(keysPath, keys, 'must not contain duplicate entries'))
    if (property === undefined) continue
    if (property.default === undefined && !(items.required ?? []).includes(key)) {
      const why = 'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'
      errors.push(required(at.child('default'), why))
    }
    if (property.nullable === true) {
      errors.push(
        forbiddenField(
          at.child('nullable'),
          'this property is in x-kubernetes-list-map-keys, so it cannot be nullable',
        ),
      )
    }
  }
  return errors
}

function validateRule(rule: ValidationRule, path: FieldPath, oldSelfForbidden: FieldPath | undefined): FieldError[] {
  const errors: FieldError[] = []
  const text = (rule.rule ?? '').trim()
  const message = (rule.message ?? '').trim()
  if (text === '') errors.push(required(path.child('rule'), 'rule is not specified'))
  else if ((rule.message ?? '') !== '' && message === '')
    errors.push(invalid(path.child('message'), rule.message, 'must be non-empty if specified'))
  else if (/[\n\r]/.test(message))
    errors.push(invalid(path.child('message'), rule.message, 'must not contain line breaks'))
  else if (/[\n\r]/.test(text) && message === '') {
    errors.push(required(path.child('message'), 'message must be specified if rule contains line breaks'))
  }
  if ((rule.messageExpression ?? 'x').trim() === '') {
    errors.push(required(path.child('messageExpression'), 'messageExpression must be non-empty if specified'))
  }
  if (rule.reason !== undefined && !REASONS.includes(rule.reason))
    errors.push(notSupported(path.child('reason'), rule.reason, REASONS))
  if (/[\n\r]/.test(rule.fieldPath ?? ''))
    errors.push(invalid(path.child('fieldPath'), rule.fieldPath, 'must not contain line breaks'))
  if (errors.length > 0) return errors
  const problems = compileProblems(rule)
  if (problems.rule !== undefined) errors.push(invalid(path.child('rule'), rule, problems.rule))
  if (problems.message !== undefined) errors.push(invalid(path.child('messageExpression'), rule, problems.message))
  if (problems.usesOldSelf && oldSelfForbidden !== undefined) {
    const why = `oldSelf cannot be used on the uncorrelatable portion of the schema within ${String(oldSelfForbidden)}`
    errors.push(invalid(path.child('rule'), rule.rule, why))
  } else if (!problems.usesOldSelf && rule.optionalOldSelf !== undefined) {
    errors.push(
      invalid(path.child('optionalOldSelf'), rule.optionalOldSelf, 'may not be set if oldSelf is not used in rule'),
    )
  }
  return errors
}
