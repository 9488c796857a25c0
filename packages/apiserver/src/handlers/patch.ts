import {
  applyJsonPatch,
  applyMergePatch,
  applyPatch,
  applyStrategicMergePatch,
  badRequest,
  isRecord,
  isStatus,
  parseJsonPatch,
  unsupportedMediaType,
  type KubeObject,
  type Stored,
} from '@centaurus/api'
import { formatApiVersion } from '../resource/built-in.ts'
import type { WriteRequest } from '../resource/target.ts'
import { toServed } from '../respond/encoder.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import { createObject } from './create.ts'
import { decodeChanged, toStored } from './decode-body.ts'
import { resetFields } from './managed-fields.ts'
import type { UpdateStrategy } from './prepare.ts'
import { updateObject } from './update.ts'
import type { WriteDeps } from './write-deps.ts'

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply'

/** A patch as it came: parsed, not yet checked. */
export interface PatchBody {
  readonly type: PatchType
  readonly value: unknown
  /** What strict field validation has against the text (duplicate fields). */
  readonly errors: readonly string[]
}

export interface PatchObjectOptions {
  readonly name: string
  readonly patch: PatchBody
  readonly strategy: UpdateStrategy
  readonly fieldValidation: 'Strict' | 'Warn' | 'Ignore'
  /** For `apply`: take fields from other managers. */
  readonly force: boolean
}

/**
 * Patches one object; an apply creates it when it is not there. A patch that names a resourceVersion holds only for that one, any
 * other is made again when another write came first.
 */
export async function patchObject(
  deps: WriteDeps,
  request: WriteRequest,
  options: PatchObjectOptions,
): Promise<{ readonly object: CachedObject; readonly created: boolean }> {
  const { name, strategy, patch } = options
  const writing: WriteRequest = patch.type === 'apply' ? { ...request, applied: true } : request
  const change = (old: KubeObject): KubeObject => {
    const served = toServed(request.target.definition, old as Stored<KubeObject>)
    return patchedObject(deps, writing, { ...options, live: served })
  }
  try {
    const { object } = await updateObject(deps, writing, { name, strategy, change })
    return { object, created: false }
  } catch (error) {
    const creates = patch.type === 'apply' && strategy.subresource === '' && isStatus(error, 'NotFound')
    if (!creates) throw error
    const draft = patchedObject(deps, writing, { ...options, live: undefined })
    draft.metadata.name = name
    return { object: await createObject(deps, writing, draft), created: true }
  }
}

/** The patched object in the stored form. */
function patchedObject(
  deps: WriteDeps,
  request: WriteRequest,
  options: PatchObjectOptions & { readonly live: KubeObject | undefined },
): KubeObject {
  const { definition } = request.target
  const patched = runPatch(deps, request, options)
  const { object, warnings } = decodeChanged(definition, patched, {
    fieldValidation: options.fieldValidation,
    patchErrors: options.patch.errors,
  })
  for (const warning of warnings) request.warn(warning)
  return toStored(definition, object)
}

function runPatch(
  deps: WriteDeps,
  request: WriteRequest,
  { patch, live, strategy, force }: PatchObjectOptions & { readonly live: KubeObject | undefined },
): Record<string, unknown> {
  const { definition } = request.target
  const { info } = definition
  const document = live as unknown as Record<string, unknown>
  switch (patch.type) {
    case 'json':
      return requireRecord(applyJsonPatch(document, parseJsonPatch(patch.value)))
    case 'merge':
      return requireRecord(applyMergePatch(document, requireRecord(patch.value)))
    case 'strategic':
      // Custom resources have no merge keys. Source: apiserver handlers/patch.go.
      if (definition.prune !== undefined) throw unsupportedMediaType(CUSTOM_PATCH_TYPES)
      return applyStrategicMergePatch(document, requireRecord(patch.value), info.schema())
    case 'apply': {
      const applied = applyPatch({
        live,
        patch: requireRecord(patch.value),
        schema: info.schema(),
        manager: request.fieldManager,
        force,
        nowMs: deps.clock.now(),
        apiVersion: formatApiVersion(info),
        kind: info.kind,
        subresource: strategy.subresource,
        resetFields: resetFields(definition, strategy.subresource),
      })
      return applied.object as unknown as Record<string, unknown>
    }
  }
}

const CUSTOM_PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/apply-patch+yaml',
]

function requireRecord(value: unknown): Record<string, unknown> {
  if (isRecord(value)) return value
  const type = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value
  throw badRequest(`error decoding patch: json: cannot unmarshal ${type} into Go value of type map[string]interface {}`)
}
