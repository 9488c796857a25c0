import { formatResource, StatusError } from './status-error.ts'

/** Kinds of validation failure; the words are upstream's (apimachinery pkg/util/validation/field/errors.go). */
export type FieldErrorType =
  | 'FieldValueNotFound'
  | 'FieldValueRequired'
  | 'FieldValueDuplicate'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'FieldValueTypeInvalid'
  | 'InternalError'

/** One thing that is wrong with an object: where, what kind, and a message as upstream would print it (without the field). */
export interface FieldError {
  readonly type: FieldErrorType
  /** Path such as `spec.containers[1].name`. */
  readonly field: string
  readonly message: string
}

/** Path to a field, built as validation descends. */
export class FieldPath {
  readonly #text: string

  constructor(text = '') {
    this.#text = text
  }

  child(name: string, ...more: string[]): FieldPath {
    const tail = more.length === 0 ? name : [name, ...more].join('.')
    return new FieldPath(this.#text === '' ? tail : `${this.#text}.${tail}`)
  }

  index(i: number): FieldPath {
    return new FieldPath(`${this.#text}[${i}]`)
  }

  /** For maps: `metadata.labels[app]`. */
  key(key: string): FieldPath {
    return new FieldPath(`${this.#text}[${key}]`)
  }

  toString(): string {
    return this.#text === '' ? '<nil>' : this.#text
  }
}

/** The field is missing or empty. */
export function required(path: FieldPath, detail = ''): FieldError {
  return { type: 'FieldValueRequired', field: String(path), message: withDetail('Required value', detail) }
}

/** The value breaks a rule; `detail` says which, as "must be …". */
export function invalid(path: FieldPath, value: unknown, detail: string): FieldError {
  return {
    type: 'FieldValueInvalid',
    field: String(path),
    message: withDetail(`Invalid value: ${quoteValue(value)}`, detail),
  }
}

/** The value has another JSON type than the field. */
export function typeInvalid(path: FieldPath, value: unknown, detail: string): FieldError {
  return {
    type: 'FieldValueTypeInvalid',
    field: String(path),
    message: withDetail(`Invalid value: ${quoteValue(value)}`, detail),
  }
}

/** The value occurs twice where it may once. */
export function duplicate(path: FieldPath, value: unknown): FieldError {
  return { type: 'FieldValueDuplicate', field: String(path), message: `Duplicate value: ${quoteValue(value)}` }
}

/** The value is none of the words that the field knows. */
export function notSupported(path: FieldPath, value: unknown, supported: readonly string[]): FieldError {
  const list = supported.map((word) => JSON.stringify(word)).join(', ')
  const detail = supported.length === 0 ? '' : `supported values: ${list}`
  return {
    type: 'FieldValueNotSupported',
    field: String(path),
    message: withDetail(`Unsupported value: ${quoteValue(value)}`, detail),
  }
}

/** The field may not be set here; `detail` says why. */
export function forbiddenField(path: FieldPath, detail: string): FieldError {
  return { type: 'FieldValueForbidden', field: String(path), message: withDetail('Forbidden', detail) }
}

/** For a field that names something which does not exist. */
export function notFoundValue(path: FieldPath, value: unknown): FieldError {
  return { type: 'FieldValueNotFound', field: String(path), message: `Not found: ${quoteValue(value)}` }
}

/** The text is longer than `maxLength` bytes. */
export function tooLong(path: FieldPath, maxLength: number): FieldError {
  return {
    type: 'FieldValueTooLong',
    field: String(path),
    message: `Too long: may not be more than ${maxLength} bytes`,
  }
}

/** A list or map holds more than `max` items. */
export function tooMany(path: FieldPath, actual: number, max: number): FieldError {
  const noun = max === 1 ? 'item' : 'items'
  return {
    type: 'FieldValueTooMany',
    field: String(path),
    message: `Too many: ${actual}: must have at most ${max} ${noun}`,
  }
}

/** 422 with every error of an object, worded as upstream does. `errors` must not be empty. */
export function invalidObject(
  kind: { readonly group: string; readonly kind: string },
  name: string,
  errors: readonly FieldError[],
): StatusError {
  const lines = [...new Set(errors.map((error) => `${error.field}: ${error.message}`))]
  const text = lines.length === 1 ? lines[0]! : `[${lines.join(', ')}]`
  const kindName = formatResource({ group: kind.group, resource: kind.kind })
  const details = {
    ...(name === '' ? {} : { name }),
    ...(kind.kind === '' ? {} : { kind: kind.kind }),
    causes: errors.map((error) => ({ reason: error.type, message: error.message, field: error.field })),
    ...(kind.group === '' ? {} : { group: kind.group }),
  }
  return new StatusError({ reason: 'Invalid', message: `${kindName} "${name}" is invalid: ${text}`, details })
}

function withDetail(head: string, detail: string): string {
  return detail === '' ? head : `${head}: ${detail}`
}

function quoteValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value === undefined || value === null) return 'null'
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
