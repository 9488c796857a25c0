import { decodePatched, fillZeros, isRecord, type KubeObject } from '@centaurus/api'
import { decodeChanged, requireSchema, toStored } from '../../handlers/decode-body.ts'
import { storedSchema } from '../../handlers/managed-fields.ts'
import type { Attributes, ServedVersion } from './attributes.ts'

/**
 * Reads what a reviewer made of the object in some version, as a body would be read, and gives it the stored form. What no schema knows is
 * dropped, or refused. Throws `StatusError` for what can't be read.
 */
export function fromServed(
  attributes: Attributes,
  { definition, kind }: ServedVersion,
  value: unknown,
  fieldValidation: 'Strict' | 'Ignore',
): KubeObject {
  if (!isRecord(value)) throw new Error('the object is no longer an object')
  const shaped = { ...value, apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: value['metadata'] ?? {} }
  if (attributes.ownKind !== undefined) {
    return decodePatched(shaped, requireSchema(kind), { fieldValidation, patchErrors: [] }).object
  }
  const decoded = decodeChanged(definition, shaped, { fieldValidation, patchErrors: [] })
  return fillZeros(toStored(definition, decoded.object), storedSchema(definition))
}

function apiVersionOf({ group, version }: { readonly group: string; readonly version: string }): string {
  return group === '' ? version : `${group}/${version}`
}
