import { invalid, type FieldError, type FieldPath } from '../../status/field-error.ts'

/** A path that stays where it starts. Source: validatePathNoBacksteps, pkg/apis/core/validation v1.37. */
export function checkNoBacksteps(text: string, path: FieldPath): FieldError[] {
  return text.split('/').includes('..') ? [invalid(path, text, "must not contain '..'")] : []
}

/** A relative path that stays where it starts. Source: validateLocalDescendingPath. */
export function checkDescendingPath(text: string, path: FieldPath): FieldError[] {
  const errors = text.startsWith('/') ? [invalid(path, text, 'must be a relative path')] : []
  return [...errors, ...checkNoBacksteps(text, path)]
}

/** As {@link checkDescendingPath}, and not a name that volumes use themselves. Source: ValidateLocalNonReservedPath. */
export function checkLocalPath(text: string, path: FieldPath): FieldError[] {
  const errors = checkDescendingPath(text, path)
  if (text.startsWith('..') && !text.startsWith('../')) errors.push(invalid(path, text, "must not start with '..'"))
  return errors
}

/** Permission bits of a file. */
export function checkFileMode(mode: number | undefined, path: FieldPath): FieldError[] {
  if (mode === undefined || (mode >= 0 && mode <= 0o777)) return []
  return [invalid(path, mode, 'must be a number between 0 and 0777 (octal), both inclusive')]
}
