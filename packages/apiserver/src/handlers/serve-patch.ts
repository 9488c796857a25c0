import {
  badRequest,
  FieldPath,
  forbiddenField,
  invalidObject,
  parseBody,
  required,
  unsupportedMediaType,
} from '@centaurus/api'
import type { Exchange } from '../http/exchange.ts'
import { REQUEST_BODY_BYTES_MAX } from '../http/limits.ts'
import { isTrue } from '../request/parse-request-info.ts'
import { readFieldValidation } from '../request/query.ts'
import { respondObject } from '../respond/respond.ts'
import { encoderOptions, writeRequest, type ResourceCall } from './call.ts'
import { patchObject, type PatchBody, type PatchType } from './patch.ts'
import type { UpdateStrategy } from './prepare.ts'
import type { ServeDeps } from './serve-deps.ts'

const PATCH_TYPES: ReadonlyMap<string, PatchType> = new Map([
  ['application/json-patch+json', 'json'],
  ['application/merge-patch+json', 'merge'],
  ['application/strategic-merge-patch+json', 'strategic'],
  ['application/apply-patch+yaml', 'apply'],
])

/** Answers PATCH of an object or of a subresource that has the object's own kind. */
export async function servePatch(deps: ServeDeps, call: ResourceCall, strategy: UpdateStrategy): Promise<void> {
  const { exchange, info } = call
  const encoding = encoderOptions(deps, call)
  const patch = await readPatch(exchange)
  const patched = await patchObject(deps, writeRequest(call), {
    name: info.name,
    patch,
    strategy,
    fieldValidation: readFieldValidation(exchange.query),
    force: isTrue(exchange.query.get('force')),
  })
  respondObject(exchange, patched.created ? 201 : 200, { ...encoding, object: patched.object })
}

/** Reads the patch and checks its options. Throws UnsupportedMediaType, BadRequest, Invalid. */
export async function readPatch(exchange: Exchange): Promise<PatchBody> {
  const contentType = (exchange.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
  const type = PATCH_TYPES.get(contentType)
  if (type === undefined) throw unsupportedMediaType([...PATCH_TYPES.keys()])
  checkPatchOptions(exchange.query, type)
  const bytes = await exchange.readBody(REQUEST_BODY_BYTES_MAX)
  try {
    const { value, strictErrors } = parseBody(bytes, { format: type === 'apply' ? 'yaml' : 'json' })
    return { type, value, errors: strictErrors }
  } catch (error) {
    if (error instanceof SyntaxError) throw badRequest(`error decoding patch: ${error.message}`)
    throw error
  }
}

/** Source: apimachinery pkg/apis/meta/v1/validation ValidatePatchOptions. */
function checkPatchOptions(query: URLSearchParams, type: PatchType): void {
  const errors = []
  if (type !== 'apply' && query.get('force') !== null) {
    errors.push(forbiddenField(new FieldPath('force'), 'may not be specified for non-apply patch'))
  }
  if (type === 'apply' && (query.get('fieldManager') ?? '') === '') {
    errors.push(required(new FieldPath('fieldManager'), 'is required for apply patch'))
  }
  if (errors.length > 0) throw invalidObject({ group: 'meta.k8s.io', kind: 'PatchOptions' }, '', errors)
}
