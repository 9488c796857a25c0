import { checkDnsSubdomain } from '../../meta/names.ts'
import { required, tooLong, type FieldError, type FieldPath } from '../../status/field-error.ts'
import { invalidFor } from '../shared/check.ts'

const DRIVER_NAME_BYTES_MAX = 63

/** Name of a CSI driver. Source: ValidateCSIDriverName, pkg/apis/core/validation v1.37. */
export function checkCSIDriverName(name: string | undefined, path: FieldPath): FieldError[] {
  if (!name) return [required(path)]
  const errors = name.length > DRIVER_NAME_BYTES_MAX ? [tooLong(path, DRIVER_NAME_BYTES_MAX)] : []
  return [...errors, ...invalidFor(path, name, checkDnsSubdomain(name.toLowerCase()))]
}
