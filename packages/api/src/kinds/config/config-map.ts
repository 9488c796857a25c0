import type { ConfigMap } from '../../generated/types/core/v1.ts'
import { FieldPath, invalid, tooLong, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { describeConfigKey, invalidFor } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { base64Bytes, DATA_BYTES_MAX, textBytes, validateImmutableData } from './data.ts'

/** Config maps. Source: ValidateConfigMap, pkg/apis/core/validation; pkg/registry/core/configmap v1.37. */
export const configMapBehavior: KindBehavior<ConfigMap> = {
  hasGeneration: false,
  validate: validateConfigMap,
  validateUpdate: (object, old) => validateImmutableData(object, old, ['data', 'binaryData']),
  columns: [nameColumn, column('Data', 'Number of entries'), ageColumn],
  row: ({ metadata, data, binaryData }, nowMs) => [
    metadata.name,
    Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

function validateConfigMap({ data = {}, binaryData = {} }: Readonly<ConfigMap>): FieldError[] {
  const errors: FieldError[] = []
  let bytes = 0
  for (const [key, value] of Object.entries(data)) {
    const at = new FieldPath('data').key(key)
    errors.push(...invalidFor(at, key, describeConfigKey(key)))
    if (binaryData[key] !== undefined) errors.push(invalid(at, key, 'duplicate of key present in binaryData'))
    bytes += textBytes(value)
  }
  for (const [key, value] of Object.entries(binaryData)) {
    errors.push(...invalidFor(new FieldPath('binaryData').key(key), key, describeConfigKey(key)))
    bytes += base64Bytes(value)
  }
  // Upstream's path is empty here.
  if (bytes > DATA_BYTES_MAX) errors.push({ ...tooLong(new FieldPath(), DATA_BYTES_MAX), field: '' })
  return errors
}
