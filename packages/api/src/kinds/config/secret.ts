import { decodeText } from '@centaurus/base'
import type { Secret } from '../../generated/types/core/v1.ts'
import { FieldPath, invalid, required, tooLong, type FieldError } from '../../status/field-error.ts'
import type { KindBehavior } from '../behavior.ts'
import { checkImmutable, describeConfigKey, invalidFor } from '../shared/check.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, nameColumn } from '../shared/table.ts'
import { base64Bytes, DATA_BYTES_MAX, textBytes, validateImmutableData } from './data.ts'

const dataPath = new FieldPath('data')
const ACCOUNT_ANNOTATION = 'kubernetes.io/service-account.name'
/** Keys that a secret of a type cannot do without. */
const REQUIRED_KEYS: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
}

/** Secrets. Source: ValidateSecret, pkg/apis/core/validation; pkg/registry/core/secret v1.37. */
export const secretBehavior: KindBehavior<Secret> = {
  hasGeneration: false,
  setDefaults: (draft) => {
    draft.type = draft.type || 'Opaque'
    mergeStringData(draft)
  },
  prepareForUpdate: (draft, old) => {
    draft.type = draft.type || old.type
  },
  validate: validateSecret,
  validateUpdate: (object, old) => [
    ...checkImmutable(object.type, old.type, new FieldPath('type')),
    ...validateImmutableData(object, old, ['data']),
  ],
  selectableFields: ({ type }) => ({ type: type ?? '' }),
  selectableFieldNames: ['type'],
  columns: [nameColumn, column('Type', 'What the secret is for'), column('Data', 'Number of entries'), ageColumn],
  row: ({ metadata, type, data }, nowMs) => [
    metadata.name,
    type ?? '',
    Object.keys(data ?? {}).length,
    formatAge(metadata.creationTimestamp, nowMs),
  ],
}

/** Text for people to write becomes data, and wins over it. Source: Convert_v1_Secret_To_core_Secret. */
function mergeStringData(draft: Secret): void {
  if (draft.stringData === undefined) return
  const data = { ...draft.data }
  for (const [key, text] of Object.entries(draft.stringData)) data[key] = encodeBase64(text)
  if (Object.keys(data).length > 0) draft.data = data
  delete draft.stringData
}

function encodeBase64(text: string): string {
  const bytes = new TextEncoder().encode(text)
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

function validateSecret(secret: Readonly<Secret>): FieldError[] {
  const data = secret.data ?? {}
  const errors: FieldError[] = []
  let bytes = 0
  for (const [key, value] of Object.entries(data)) {
    errors.push(...invalidFor(dataPath.key(key), key, describeConfigKey(key)))
    bytes += base64Bytes(value)
  }
  for (const text of Object.values(secret.stringData ?? {})) bytes += textBytes(text)
  if (bytes > DATA_BYTES_MAX) errors.push(tooLong(dataPath, DATA_BYTES_MAX))
  return [...errors, ...validateType(secret, data)]
}

function validateType({ metadata, type = '' }: Readonly<Secret>, data: Readonly<Record<string, string>>): FieldError[] {
  if (type === 'kubernetes.io/service-account-token') {
    if (metadata.annotations?.[ACCOUNT_ANNOTATION]) return []
    return [required(new FieldPath('metadata.annotations').key(ACCOUNT_ANNOTATION))]
  }
  if (type === 'kubernetes.io/basic-auth') {
    if (data['username'] !== undefined || data['password'] !== undefined) return []
    return [required(dataPath.key('username')), required(dataPath.key('password'))]
  }
  return (REQUIRED_KEYS[type] ?? []).flatMap((key) => {
    const value = data[key]
    if (value === undefined || (value === '' && key === 'ssh-privatekey')) return [required(dataPath.key(key))]
    return key.startsWith('.docker') ? validateJSON(value, dataPath.key(key)) : []
  })
}

/** The value is not repeated, since it is secret. */
function validateJSON(value: string, path: FieldPath): FieldError[] {
  try {
    const parsed: unknown = JSON.parse(decodeText(Uint8Array.from(atob(value), (character) => character.charCodeAt(0))))
    if (typeof parsed === 'object' && !Array.isArray(parsed)) return []
    return [invalid(path, '<secret contents redacted>', 'must be a JSON object')]
  } catch {
    return [invalid(path, '<secret contents redacted>', 'invalid JSON')]
  }
}
