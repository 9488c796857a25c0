import type { DownwardAPIVolumeFile, KeyToPath } from '../../generated/types/core/v1.ts'
import { invalid, required, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { checkId, checkRequired } from '../shared/check.ts'
import { checkFileMode, checkLocalPath } from './paths.ts'
import { validateFieldRef, validateResourceFieldRef } from './validate-env.ts'

/** Source: validateKeyToPath. */
export function validateKeyToPath(item: KeyToPath, path: FieldPath): FieldError[] {
  return [
    ...checkRequired(item.key, path.child('key')),
    ...checkRequired(item.path, path.child('path')),
    ...checkLocalPath(item.path ?? '', path.child('path')),
    ...checkFileMode(item.mode, path.child('mode')),
    ...checkId(item.user, path.child('user')),
  ]
}

/** Source: validateDownwardAPIVolumeFile. */
export function validateDownwardFile(file: DownwardAPIVolumeFile, path: FieldPath): FieldError[] {
  const errors = [
    ...checkRequired(file.path, path.child('path')),
    ...checkLocalPath(file.path ?? '', path.child('path')),
  ]
  if (file.fieldRef !== undefined) {
    errors.push(...validateFieldRef(file.fieldRef, path.child('fieldRef'), 'volume'))
    if (file.resourceFieldRef !== undefined) {
      errors.push(invalid(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'))
    }
  } else if (file.resourceFieldRef !== undefined) {
    errors.push(...validateResourceFieldRef(file.resourceFieldRef, path.child('resourceFieldRef'), 'volume'))
  } else {
    errors.push(required(path, 'one of fieldRef and resourceFieldRef is required'))
  }
  return [...errors, ...checkFileMode(file.mode, path.child('mode')), ...checkId(file.user, path.child('user'))]
}
