import type { JSONSchemaProps } from '../generated/types/apiextensions/v1.ts'
import { deepEqual, isRecord } from '../meta/values.ts'
import {
  FieldPath,
  invalid,
  notSupported,
  required,
  tooLong,
  tooMany,
  typeInvalid,
  type FieldError,
} from '../status/field-error.ts'
import { matchesFormat } from './formats.ts'
import { matchesPattern } from './patterns.ts'

/** Problems named at most; a larger object would answer with a larger message than it is itself. */
const ERRORS_MAX = 1000

/**
 * Checks a value against a schema. With `old`, what has not changed is not checked again, so that an object may outlive a stricter
 * schema (upstream's ratcheting). Words: kube-openapi pkg/validation, as mapped by apiextensions pkg/apiserver/validation.
 */
export function validateValue(
  value: unknown,
  schema: JSONSchemaProps,
  options: { path?: string; old?: unknown } = {},
): FieldError[] {
  const errors: FieldError[] = []
  check(value, schema, { path: options.path ?? '', old: options.old, errors })
  return errors
}

interface Check {
  /** Empty at the root. */
  readonly path: string
  readonly old: unknown
  readonly errors: FieldError[]
}

function check(value: unknown, schema: JSONSchemaProps, at: Check): void {
  if (at.errors.length >= ERRORS_MAX) return
  if (at.old !== undefined && deepEqual(at.old, value)) return
  if (value === null) {
    if (schema.nullable !== true && hasType(schema)) at.errors.push(wrongType(at.path, schema, 'null'))
    return
  }
  const type = typeOf(value)
  if (hasType(schema) && !isOfType(type, schema)) {
    at.errors.push(wrongType(at.path, schema, type))
    return
  }
  checkEnum(value, schema, at)
  if (typeof value === 'string') checkString(value, schema, at)
  else if (typeof value === 'number') checkNumber(value, schema, at)
  else if (Array.isArray(value)) checkArray(value, schema, at)
  else if (isRecord(value)) checkObject(value, schema, at)
  checkJunctors(value, schema, at)
}

function hasType(schema: JSONSchemaProps): boolean {
  return (schema.type ?? '') !== '' || schema['x-kubernetes-int-or-string'] === true
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number'
  return typeof value === 'object' ? 'object' : typeof value
}

function isOfType(type: string, schema: JSONSchemaProps): boolean {
  if (schema['x-kubernetes-int-or-string'] === true) return type === 'integer' || type === 'string'
  return type === schema.type || (type === 'integer' && schema.type === 'number')
}

const pathOf = (path: string): FieldPath => new FieldPath(path)
/** Subject of a message: `spec.replicas in body`. */
const subject = (path: string): string => `${path} in body`

function wrongType(path: string, schema: JSONSchemaProps, type: string): FieldError {
  const wanted = schema['x-kubernetes-int-or-string'] === true ? 'integer,string' : (schema.type ?? '')
  return typeInvalid(pathOf(path), type, `${subject(path)} must be of type ${wanted}: ${JSON.stringify(type)}`)
}

function checkEnum(value: unknown, schema: JSONSchemaProps, { path, errors }: Check): void {
  if (schema.enum === undefined || schema.enum.length === 0) return
  if (schema.enum.some((allowed) => deepEqual(allowed, value))) return
  const allowed = schema.enum.map((item) => (typeof item === 'string' ? item : JSON.stringify(item)))
  errors.push(notSupported(pathOf(path), value, allowed))
}

function checkString(value: string, schema: JSONSchemaProps, { path, errors }: Check): void {
  const length = schema.maxLength === undefined && schema.minLength === undefined ? 0 : [...value].length
  if (schema.maxLength !== undefined && length > schema.maxLength) errors.push(tooLong(pathOf(path), schema.maxLength))
  if (schema.minLength !== undefined && length < schema.minLength) {
    errors.push(invalid(pathOf(path), value, `${subject(path)} should be at least ${schema.minLength} chars long`))
  }
  if (schema.pattern !== undefined && schema.pattern !== '' && !matchesPattern(value, schema.pattern)) {
    errors.push(invalid(pathOf(path), value, `${subject(path)} should match '${schema.pattern}'`))
  }
  if (schema.format !== undefined && !matchesFormat(value, schema.format)) {
    errors.push(
      invalid(pathOf(path), value, `${subject(path)} must be of type ${schema.format}: ${JSON.stringify(value)}`),
    )
  }
}

const INTEGER_LIMITS: Readonly<Record<string, number>> = { int32: 2 ** 31, int64: 2 ** 63 }

function checkNumber(value: number, schema: JSONSchemaProps, { path, errors }: Check): void {
  const fail = (text: string): void =>
    void errors.push(invalid(pathOf(path), value, `${subject(path)} should be ${text}`))
  const { minimum, maximum, multipleOf } = schema
  if (maximum !== undefined) {
    if (schema.exclusiveMaximum === true ? value >= maximum : value > maximum) {
      fail(`less than ${schema.exclusiveMaximum === true ? '' : 'or equal to '}${maximum}`)
    }
  }
  if (minimum !== undefined) {
    if (schema.exclusiveMinimum === true ? value <= minimum : value < minimum) {
      fail(`greater than ${schema.exclusiveMinimum === true ? '' : 'or equal to '}${minimum}`)
    }
  }
  if (multipleOf !== undefined && !isMultiple(value, multipleOf)) fail(`a multiple of ${multipleOf}`)
  const limit = schema.type === 'integer' ? INTEGER_LIMITS[schema.format ?? ''] : undefined
  if (limit !== undefined && (value >= limit || value < -limit)) {
    errors.push(
      invalid(pathOf(path), value, `Checked value must be of type integer with format ${schema.format} in body`),
    )
  }
}

function isMultiple(value: number, factor: number): boolean {
  const quotient = value / factor
  return Number.isInteger(quotient) || Math.abs(quotient - Math.round(quotient)) < 1e-9
}

function checkArray(value: readonly unknown[], schema: JSONSchemaProps, at: Check): void {
  const { path, errors } = at
  const { minItems, maxItems } = schema
  if (minItems !== undefined && value.length < minItems) {
    errors.push(invalid(pathOf(path), value.length, `${subject(path)} should have at least ${minItems} items`))
  }
  if (maxItems !== undefined && value.length > maxItems) errors.push(tooMany(pathOf(path), value.length, maxItems))
  if (
    schema.uniqueItems === true &&
    value.some((item, i) => value.findIndex((other) => deepEqual(other, item)) !== i)
  ) {
    errors.push(invalid(pathOf(path), '', `${subject(path)} shouldn't contain duplicates`))
  }
  const items = schema.items
  if (items === undefined || Array.isArray(items)) return
  const oldItem = correlateItems(at.old, schema)
  for (const [i, item] of value.entries()) check(item, items, { path: `${path}[${i}]`, old: oldItem(item), errors })
}

/** Items are told apart by the keys of a list of type map only; other lists count as wholes. */
export function correlateItems(old: unknown, schema: JSONSchemaProps): (item: unknown) => unknown {
  const keys = schema['x-kubernetes-list-map-keys'] ?? []
  if (!Array.isArray(old) || schema['x-kubernetes-list-type'] !== 'map' || keys.length === 0) return () => undefined
  const nameOf = (item: unknown): string => JSON.stringify(isRecord(item) ? keys.map((key) => item[key] ?? null) : null)
  const index = new Map((old as unknown[]).map((item) => [nameOf(item), item]))
  return (item) => index.get(nameOf(item))
}

function checkObject(value: Record<string, unknown>, schema: JSONSchemaProps, at: Check): void {
  const { path, errors } = at
  const count = Object.keys(value).length
  if (schema.minProperties !== undefined && count < schema.minProperties) {
    errors.push(
      invalid(pathOf(path), count, `${subject(path)} should have at least ${schema.minProperties} properties`),
    )
  }
  if (schema.maxProperties !== undefined && count > schema.maxProperties)
    errors.push(tooMany(pathOf(path), count, schema.maxProperties))
  const childPath = (key: string): string => (path === '' ? key : `${path}.${key}`)
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(value, name) || value[name] === undefined) errors.push(required(pathOf(childPath(name))))
  }
  const additional = schema.additionalProperties
  const oldMembers = isRecord(at.old) ? at.old : {}
  for (const key of Object.keys(value)) {
    if (value[key] === undefined) continue
    const child = { path: childPath(key), old: Object.hasOwn(oldMembers, key) ? oldMembers[key] : undefined, errors }
    const property = Object.hasOwn(schema.properties ?? {}, key) ? schema.properties?.[key] : undefined
    if (property !== undefined) check(value[key], property, child)
    else if (isRecord(additional)) check(value[key], additional as JSONSchemaProps, child)
    else if (additional === false) {
      errors.push(invalid(pathOf(childPath(key)), '', `${path}.${key} in body is a forbidden property`))
    }
  }
}

/** allOf, anyOf, oneOf, not. Messages about them carry no path of their own, as upstream. */
function checkJunctors(value: unknown, schema: JSONSchemaProps, at: Check): void {
  const quoted = JSON.stringify(at.path)
  const fail = (text: string): void => void at.errors.push(invalid(new FieldPath(), '', `${quoted} ${text}`))
  const errorsOf = (part: JSONSchemaProps): FieldError[] => validateValue(value, part, { path: at.path })
  if (schema.anyOf !== undefined && schema.anyOf.length > 0) {
    const results = schema.anyOf.map(errorsOf)
    if (results.every((errors) => errors.length > 0)) {
      fail('must validate at least one schema (anyOf)')
      at.errors.push(...shortest(results))
    }
  }
  if (schema.oneOf !== undefined && schema.oneOf.length > 0) {
    const results = schema.oneOf.map(errorsOf)
    const valid = results.filter((errors) => errors.length === 0).length
    if (valid !== 1) {
      fail(
        `must validate one and only one schema (oneOf). ${valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`}`,
      )
      if (valid === 0) at.errors.push(...shortest(results))
    }
  }
  if (schema.allOf !== undefined && schema.allOf.length > 0) {
    const results = schema.allOf.map(errorsOf)
    const failed = results.filter((errors) => errors.length > 0)
    if (failed.length > 0) {
      fail(`must validate all the schemas (allOf)${failed.length === results.length ? '. None validated' : ''}`)
      at.errors.push(...failed.flat())
    }
  }
  if (schema.not !== undefined && errorsOf(schema.not).length === 0) fail('must not validate the schema (not)')
}

/** The errors of the alternative that came closest. */
function shortest(results: readonly FieldError[][]): FieldError[] {
  return results.reduce((best, errors) => (errors.length < best.length ? errors : best))
}
