import { parseQuantity, type Quantity } from '../../quantity/quantity.ts'
import { describePattern } from '../../meta/names.ts'
import { semanticEqual } from './deep-equal.ts'
import { invalid, notSupported, required, type FieldError, type FieldPath } from '../../status/field-error.ts'

export const INT32_MAX = 2_147_483_647
const PORT_NAME_BYTES_MAX = 15
const CONFIG_KEY_BYTES_MAX = 253
export const IMMUTABLE = 'field is immutable'

/** An error for each sentence about `value`. */
export function invalidFor(path: FieldPath, value: unknown, messages: readonly string[]): FieldError[] {
  return messages.map((message) => invalid(path, value, message))
}

/** `rule` applied to a name; an empty name is "Required". */
export function checkRequiredName(
  value: string | undefined,
  path: FieldPath,
  rule: (name: string) => readonly string[],
): FieldError[] {
  return value ? invalidFor(path, value, rule(value)) : [required(path)]
}

/** Error when a text is missing or empty. */
export function checkRequired(value: string | undefined | null, path: FieldPath, detail = ''): FieldError[] {
  return value ? [] : [required(path, detail)]
}

/** Value of a closed set; `supported` is printed in the order that it has. Nothing for an absent value. */
export function checkOneOf(
  value: string | undefined | null,
  path: FieldPath,
  supported: readonly string[],
): FieldError[] {
  if (value === undefined || value === null || supported.includes(value)) return []
  return [notSupported(path, value, supported)]
}

/** As {@link checkOneOf}, but "Required" for an empty or absent value. */
export function checkRequiredOneOf(
  value: string | undefined,
  path: FieldPath,
  supported: readonly string[],
): FieldError[] {
  return value ? checkOneOf(value, path, supported) : [required(path)]
}

/** Source: ValidateNonnegativeField, apimachinery pkg/api/validation v0.37. */
export function checkNonNegative(value: number | undefined, path: FieldPath): FieldError[] {
  return value !== undefined && value < 0 ? [invalid(path, value, 'must be greater than or equal to 0')] : []
}

/** Source: ValidatePositiveField, pkg/apis/core/validation v1.37. */
export function checkPositive(value: number | undefined, path: FieldPath): FieldError[] {
  return value !== undefined && value <= 0 ? [invalid(path, value, 'must be greater than zero')] : []
}

export interface Range {
  readonly min: number
  readonly max: number
}

/** Source: InclusiveRangeError, apimachinery pkg/util/validation v0.37. */
export function checkRange(value: number | undefined, path: FieldPath, { min, max }: Range): FieldError[] {
  if (value === undefined || (value >= min && value <= max)) return []
  return [invalid(path, value, `must be between ${min} and ${max}, inclusive`)]
}

/** A user or group id. */
export function checkId(value: number | undefined, path: FieldPath): FieldError[] {
  return checkRange(value, path, { min: 0, max: INT32_MAX })
}

export function checkPortNumber(value: number | undefined, path: FieldPath): FieldError[] {
  return checkRange(value, path, { min: 1, max: 65_535 })
}

/** Source: IsValidPortName, apimachinery pkg/util/validation v0.37 (RFC 6335 section 5.1). */
export function describePortName(name: string): string[] {
  const messages: string[] = []
  if (name.length > PORT_NAME_BYTES_MAX) messages.push(`must be no more than ${PORT_NAME_BYTES_MAX} characters`)
  if (!/^[-a-z0-9]+$/.test(name))
    messages.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)')
  if (!/[a-z]/.test(name)) messages.push('must contain at least one letter (a-z)')
  if (name.includes('--')) messages.push('must not contain consecutive hyphens')
  if (name.startsWith('-') || name.endsWith('-')) messages.push('must not begin or end with a hyphen')
  return messages
}

/** A number, or the name of a container's port. */
export function checkPort(port: number | string | undefined, path: FieldPath): FieldError[] {
  return typeof port === 'string' ? invalidFor(path, port, describePortName(port)) : checkPortNumber(port ?? 0, path)
}

/** Key of a config map or secret. Source: IsConfigMapKey, apimachinery pkg/util/validation v0.37. */
export function describeConfigKey(key: string): string[] {
  const messages: string[] = []
  if (key.length > CONFIG_KEY_BYTES_MAX) messages.push(`must be no more than ${CONFIG_KEY_BYTES_MAX} characters`)
  if (!/^[-._a-zA-Z0-9]+$/.test(key)) {
    const rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    messages.push(describePattern(rule, '[-._a-zA-Z0-9]+', ['key.name', 'KEY_NAME', 'key-name']))
  }
  if (key === '.') messages.push("must not be '.'")
  else if (key === '..') messages.push("must not be '..'")
  else if (key.startsWith('..')) messages.push("must not start with '..'")
  return messages
}

/** A number, or a percentage such as `25%`, that is not negative. Source: ValidatePositiveIntOrPercent, pkg/apis/apps/validation. */
export function checkIntOrPercent(value: number | string | undefined, path: FieldPath): FieldError[] {
  if (typeof value !== 'string') return checkNonNegative(value, path)
  if (/^[0-9]+%$/.test(value)) return []
  const rule = "a valid percent string must be a numeric string followed by an ending '%'"
  return [invalid(path, value, describePattern(rule, '[0-9]+%', ['1%', '93%']))]
}

/** Refuses more than all. Source: IsNotMoreThan100Percent, same file. */
export function checkAtMostAll(value: number | string | undefined, path: FieldPath): FieldError[] {
  if (typeof value !== 'string' || intOrPercentNumber(value) <= 100) return []
  return [invalid(path, value, 'must not be greater than 100%')]
}

/** The plain number, or that of a percentage; 0 for anything else. */
export function intOrPercentNumber(value: number | string | undefined): number {
  if (typeof value !== 'string') return value ?? 0
  return /^[0-9]+%$/.test(value) ? Number(value.slice(0, -1)) : 0
}

/** An error when a field that may not change did. Source: ValidateImmutableField, apimachinery pkg/api/validation v0.37. */
export function checkImmutable(now: unknown, before: unknown, path: FieldPath): FieldError[] {
  return semanticEqual(now, before) ? [] : [invalid(path, now, IMMUTABLE)]
}

/** The parsed quantity, or undefined when the text is none: decoding has reported it then. */
export function tryQuantity(text: string | undefined): Quantity | undefined {
  if (text === undefined) return undefined
  try {
    return parseQuantity(text)
  } catch {
    return undefined
  }
}
