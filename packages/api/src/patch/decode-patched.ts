import type { KubeObject } from '../kinds/behavior.ts'
import { DecodeError, decodeStruct, type DecodeReport } from '../decode/decode-values.ts'
import type { FieldValidation } from '../decode/parse-body.ts'
import type { StructSchema } from '../schema/schema.ts'
import { FieldPath, invalid, invalidObject } from '../status/field-error.ts'

/**
 * Gives a patched built-in object its stored form, as `decodeObject` does for bodies. `patchErrors` are what was found strictly
 * wrong in the patch itself (duplicate fields). Throws Invalid (422) about the field `patch`, as upstream does for patches.
 * Source: apiserver pkg/endpoints/handlers/patch.go.
 */
export function decodePatched<T = KubeObject>(
  patched: Record<string, unknown>,
  schema: StructSchema,
  options: {
    readonly fieldValidation?: FieldValidation | undefined
    readonly patchErrors?: readonly string[] | undefined
  },
): { object: T; warnings: readonly string[] } {
  const refuse = (why: string): Error =>
    invalidObject({ group: '', kind: '' }, '', [invalid(new FieldPath('patch'), JSON.stringify(patched), why)])
  const report: DecodeReport = { strictErrors: [] }
  let object: Record<string, unknown>
  try {
    object = decodeStruct(patched, schema, report)
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message)
    throw error
  }
  const strictErrors = [...(options.patchErrors ?? []), ...report.strictErrors]
  const validation = options.fieldValidation ?? 'Strict'
  if (validation === 'Strict' && strictErrors.length > 0)
    throw refuse(`strict decoding error: ${strictErrors.join(', ')}`)
  object['metadata'] ??= {}
  return { object: object as T, warnings: validation === 'Warn' ? strictErrors : [] }
}
