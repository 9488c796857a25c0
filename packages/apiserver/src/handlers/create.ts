import { fillZeros, generateName, type KubeObject } from '@centaurus/api'
import { mutateByAdmission, validateByAdmission, type AdmittedWrite } from '../admission/admission.ts'
import { validateByReview } from '../admission/review-write.ts'
import type { WriteRequest } from '../resource/target.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import { commitPut, nameTaken, rehearsePut } from './commit.ts'
import { behaviorContext, fillDraft, fillNewMetadata, setNamespace, validateNew } from './prepare.ts'
import { storedSchema, trackFields } from './managed-fields.ts'
import type { WriteDeps } from './write-deps.ts'
import { runWriteChecks } from './write-checks.ts'

/** How many names are tried for a `generateName`. Source: apiserver pkg/registry/generic/registry/store.go maxNameGenerationCreateAttempts. */
const GENERATED_NAMES_MAX = 8

/**
 * Creates an object. `object` is decoded, defaulted and in the stored form; it belongs to the server from now on. Throws
 * AlreadyExists, Invalid, Forbidden, BadRequest.
 */
export async function createObject(deps: WriteDeps, request: WriteRequest, object: KubeObject): Promise<CachedObject> {
  const { target } = request
  const { definition } = target
  setNamespace(object, request)
  const isGenerated = (object.metadata.name ?? '') === ''
  fillNewMetadata(deps, object, request)
  const schema = storedSchema(definition)
  const filled = fillZeros(object, schema)
  const draft = trackFields(request, { live: undefined, updated: filled, subresource: '', nowMs: deps.clock.now() })
  const generatedName = isGenerated ? draft.metadata.name : undefined
  const write: AdmittedWrite = {
    request,
    operation: 'create',
    subresource: '',
    draft,
    old: undefined,
    generatedName,
    isReviewed: !deps.admissionContext.reviews.concern(request),
  }
  await mutateByAdmission(deps.admission, write, deps.admissionContext)
  definition.behavior.prepareForCreate?.(draft, behaviorContext(deps, request))
  fillDraft(draft, schema, filled)
  validateNew(definition, draft)
  for (const warning of definition.behavior.warnings?.(draft) ?? []) request.warn(warning)
  validateByAdmission(deps.admission, write, deps.admissionContext)
  runWriteChecks(deps, write)
  await validateByReview(write, deps.admissionContext)
  const canRename = isGenerated && draft.metadata.name === generatedName
  for (let attempt = 1; ; attempt++) {
    const created = await putNew(deps, write)
    if (created !== undefined) return created
    if (!canRename || attempt === GENERATED_NAMES_MAX) throw nameTaken(target, draft)
    draft.metadata.name = generateName(draft.metadata.generateName ?? '', deps.random)
  }
}

/** Undefined when the name is taken. */
async function putNew(deps: WriteDeps, write: AdmittedWrite): Promise<CachedObject | undefined> {
  const { request, draft } = write
  const key = keyOf(draft)
  // The commit decides; but reservations must not refuse what is refused for its name anyway.
  if (request.target.cache.get(key) !== undefined) return undefined
  const options = { target: request.target, key, atRevision: 0 }
  if (request.dryRun) return rehearsePut(deps, write, options)
  const outcome = await commitPut(deps, write, options)
  return outcome.committed ? outcome.object : undefined
}

function keyOf({ metadata }: KubeObject): string {
  const name = metadata.name ?? ''
  return metadata.namespace === undefined || metadata.namespace === '' ? name : `${metadata.namespace}/${name}`
}
