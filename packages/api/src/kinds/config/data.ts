import { encodeText } from '@centaurus/base'
import { FieldPath, forbiddenField, type FieldError } from '../../status/field-error.ts'
import { semanticEqual } from '../shared/deep-equal.ts'

/** All values of a config map or secret together. Source: core MaxSecretSize. */
export const DATA_BYTES_MAX = 1024 * 1024

/** Bytes of a text in UTF-8. */
export function textBytes(text: string): number {
  return encodeText(text).length
}

/** Bytes that a base64 text stands for. */
export function base64Bytes(text: string): number {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return Math.max(0, Math.floor((text.length * 3) / 4) - padding)
}

interface MaybeImmutable {
  readonly immutable?: boolean | undefined
}

/** Nothing of an immutable object changes, not even that it is. Source: ValidateConfigMapUpdate, ValidateSecretUpdate. */
export function validateImmutableData<T extends MaybeImmutable>(
  object: T,
  old: T,
  fields: readonly (keyof T & string)[],
): FieldError[] {
  if (old.immutable !== true) return []
  const detail = 'field is immutable when `immutable` is set'
  const errors = object.immutable === true ? [] : [forbiddenField(new FieldPath('immutable'), detail)]
  for (const field of fields) {
    if (!semanticEqual(object[field], old[field])) errors.push(forbiddenField(new FieldPath(field), detail))
  }
  return errors
}
