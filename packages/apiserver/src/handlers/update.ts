import {
  badRequest,
  conflict,
  deepClone,
  deepEqual,
  fillZeros,
  FieldPath,
  invalid,
  invalidObject,
  notFound,
  type KubeObject,
} from '@centaurus/api'
import { mutateByAdmission, validateByAdmission, type AdmittedWrite } from '../admission/admission.ts'
import { validateByReview } from '../admission/review-write.ts'
import { groupResource, type Target, type WriteRequest } from '../resource/target.ts'
import { encodeStored } from '../storage/encoding.ts'
import { isVersionOf, StoredObject, type CachedObject } from '../watch-cache/cached-object.ts'
import { commitDelete, commitPut, rehearsePut } from './commit.ts'
import {
  fillDraft,
  fillUpdatedMetadata,
  setNamespace,
  validateUpdated,
  type AnyObject,
  type UpdateStrategy,
} from './prepare.ts'
import { storedSchema, trackFields } from './managed-fields.ts'
import type { WriteDeps } from './write-deps.ts'
import { runWriteChecks } from './write-checks.ts'

/** How often an update that does not insist on a resourceVersion is made again on a newer object. */
const UPDATE_ATTEMPTS_MAX = 30

export interface UpdateOptions {
  readonly name: string
  readonly strategy: UpdateStrategy
  /**
   * Makes the new object from the stored one (shared: copy what you change), or returns undefined to leave it. Called again when
   * another write came first. The result belongs to the server. It is decoded, defaulted and in the stored form.
   */
  readonly change: (old: KubeObject) => KubeObject | Promise<KubeObject>
}

export interface Updated {
  readonly object: CachedObject
  /** The update removed the last finalizer of an object that was being deleted, so it is gone. */
  readonly deleted: boolean
}

const STALE = 'the object has been modified; please apply your changes to the latest version and try again'

/** Updates an existing object. Throws NotFound, Conflict, Invalid, Forbidden, BadRequest. */
export async function updateObject(deps: WriteDeps, request: WriteRequest, options: UpdateOptions): Promise<Updated> {
  const { target, namespace } = request
  const key = namespace === '' ? options.name : `${namespace}/${options.name}`
  await deps.cache.waitCurrent()
  let current = target.cache.get(key)
  for (let attempt = 0; attempt < UPDATE_ATTEMPTS_MAX; attempt++) {
    if (current === undefined) throw notFound(groupResource(target), options.name)
    const outcome = await updateOnce(deps, request, { ...options, current })
    if (outcome.done) return outcome.updated
    current = outcome.found
  }
  throw conflict(groupResource(target), options.name, STALE)
}

type Outcome =
  | { readonly done: true; readonly updated: Updated }
  | { readonly done: false; readonly found: CachedObject | undefined }

async function updateOnce(
  deps: WriteDeps,
  request: WriteRequest,
  { name, strategy, change, current }: UpdateOptions & { readonly current: CachedObject },
): Promise<Outcome> {
  const { target } = request
  const { definition } = target
  const old = current.object() as AnyObject
  const changed = (await change(old)) as AnyObject
  if (changed === old) return { done: true, updated: { object: current, deleted: false } }
  checkIdentity(target, changed, current)
  if ((changed.metadata.name ?? name) !== name) {
    throw badRequest(`the name of the object (${changed.metadata.name}) does not match the name on the URL (${name})`)
  }
  setNamespace(changed, request)
  fillUpdatedMetadata(changed, old)
  const { subresource } = strategy
  if (strategy.isOwnChange === true) {
    const own: AdmittedWrite = { request, operation: 'update', subresource, draft: changed, old, isReviewed: true }
    await mutateByAdmission(deps.admission, own, deps.admissionContext)
    validateByAdmission(deps.admission, own, deps.admissionContext)
    runWriteChecks(deps, own)
    return store(deps, own, { current, isChanged: true })
  }
  const schema = storedSchema(definition)
  const filled = fillZeros(changed, schema, old)
  const draft = trackFields(request, { live: old, updated: filled, subresource, nowMs: deps.clock.now() })
  const isReviewed = strategy.isReviewed === true || !deps.admissionContext.reviews.concern(request)
  const write: AdmittedWrite = { request, operation: 'update', subresource, draft, old, isReviewed }
  await mutateByAdmission(deps.admission, write, deps.admissionContext)
  strategy.prepare(draft, old, request)
  fillDraft(draft, schema, old)
  validateUpdated(definition, draft, { old, strategy })
  for (const warning of definition.behavior.warnings?.(draft, old) ?? []) request.warn(warning)
  validateByAdmission(deps.admission, write, deps.admissionContext)
  runWriteChecks(deps, write)
  await validateByReview(write, deps.admissionContext)
  return store(deps, write, { current, isChanged: false })
}

async function store(
  deps: WriteDeps,
  write: AdmittedWrite,
  { current, isChanged }: { readonly current: CachedObject; readonly isChanged: boolean },
): Promise<Outcome> {
  const { request, draft, old } = write
  const options = { target: request.target, key: current.key, atRevision: current.revision }
  const deletes = isFinallyDeleted(draft)
  // Nothing would change: no write, so that watchers are left in peace.
  if (!deletes && !isChanged && deepEqual(draft, old))
    return { done: true, updated: { object: current, deleted: false } }
  if (request.dryRun) {
    const object = deletes ? draftOf(current, draft) : rehearsePut(deps, write, options)
    return { done: true, updated: { object, deleted: deletes } }
  }
  const outcome = deletes
    ? await commitDelete(deps, { ...write, operation: 'delete' }, { ...options, current: draftOf(current, draft) })
    : await commitPut(deps, write, options)
  if (outcome.committed) return { done: true, updated: { object: outcome.object, deleted: deletes } }
  return { done: false, found: outcome.found }
}

function draftOf(current: CachedObject, draft: KubeObject): CachedObject {
  return new StoredObject(current.key, encodeStored(draft), current.revision)
}

/** The caller named another object than the one that is here now. */
function checkIdentity(target: Target, draft: KubeObject, current: CachedObject): void {
  const { uid, resourceVersion } = draft.metadata
  const old = current.object()
  const name = old.metadata.name ?? ''
  if (uid !== undefined && uid !== '' && uid !== old.metadata.uid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`
    throw conflict(groupResource(target), name, why)
  }
  if (resourceVersion === undefined || resourceVersion === '' || resourceVersion === '0') {
    if (target.definition.behavior.allowUnconditionalUpdate !== false) return
    // validateObjectMetaUpdate words this, but it sees the draft only after the revision was filled in.
    throw missingResourceVersion(target, name)
  }
  if (!isVersionOf(current, resourceVersion)) throw conflict(groupResource(target), name, STALE)
}

function missingResourceVersion(target: Target, name: string): Error {
  const { storage } = target.definition
  const path = new FieldPath('metadata').child('resourceVersion')
  // named by the resource and with a number, as upstream does here and nowhere else
  return invalidObject({ group: storage.group, kind: storage.resource }, name, [
    invalid(path, 0, 'must be specified for an update'),
  ])
}

/** The last finalizer went from an object that was told to go, and its grace is over. */
export function isFinallyDeleted({
  kind,
  metadata,
  ...rest
}: KubeObject & { spec?: { finalizers?: unknown } }): boolean {
  if (metadata.deletionTimestamp === undefined) return false
  if ((metadata.finalizers?.length ?? 0) > 0) return false
  if (kind === 'Namespace') return ((rest.spec?.finalizers as unknown[] | undefined)?.length ?? 0) === 0
  return (metadata.deletionGracePeriodSeconds ?? 0) === 0
}

/** A private copy, for a `change` that edits a little. */
export function copyOf<T extends KubeObject>(object: T): T {
  return deepClone(object)
}
