import { conflict, formatTime, notFound } from '@centaurus/api'
import type { DeleteOptions, Status } from '@centaurus/api/meta/v1'
import { validateByAdmission, type AdmittedWrite } from '../admission/admission.ts'
import { reviewDelete } from '../admission/review-write.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import { groupResource, type WriteRequest } from '../resource/target.ts'
import { encodeStored } from '../storage/encoding.ts'
import { StoredObject, type CachedObject } from '../watch-cache/cached-object.ts'
import { commitDelete, commitPut } from './commit.ts'
import { planDelete, type DeleteContext, type DeletePlan } from './plan-delete.ts'
import type { AnyObject } from './prepare.ts'
import type { WriteDeps } from './write-deps.ts'
import { runWriteChecks } from './write-checks.ts'

const DELETE_ATTEMPTS_MAX = 30

export interface Deleted {
  /** What it was last; with a later revision when it was marked. */
  readonly object: CachedObject
  /** False when it stays for its finalizers or its grace. */
  readonly gone: boolean
}

export interface DeleteRequest {
  readonly name: string
  readonly options: DeleteOptions
  /** Webhooks and policies have seen it already, as the Eviction that asks for it. */
  readonly isReviewed?: boolean | undefined
}

/** Deletes one object, or marks it. Throws NotFound, Conflict, Forbidden. */
export async function deleteObject(
  deps: WriteDeps,
  request: WriteRequest,
  { name, options, isReviewed }: DeleteRequest,
): Promise<Deleted> {
  const { target, namespace } = request
  const key = namespace === '' ? name : `${namespace}/${name}`
  await deps.cache.waitCurrent()
  let current = target.cache.get(key)
  for (let attempt = 0; attempt < DELETE_ATTEMPTS_MAX; attempt++) {
    if (current === undefined) throw notFound(groupResource(target), name)
    const outcome = await deleteOnce(deps, request, { current, options, isReviewed })
    if (outcome.done) return outcome.deleted
    current = outcome.found
  }
  throw conflict(groupResource(target), name, 'too many concurrent writes; please try again')
}

type Outcome =
  | { readonly done: true; readonly deleted: Deleted }
  | { readonly done: false; readonly found: CachedObject | undefined }

async function deleteOnce(
  deps: WriteDeps,
  request: WriteRequest,
  { current, options, isReviewed }: Omit<DeleteRequest, 'name'> & { readonly current: CachedObject },
): Promise<Outcome> {
  const old = current.object() as AnyObject
  const write: AdmittedWrite = { request, operation: 'delete', subresource: '', draft: old, old }
  validateByAdmission(deps.admission, write, deps.admissionContext)
  runWriteChecks(deps, write)
  const nowMs = deps.clock.now()
  const plan = planFor(old, options, { nowMs, revision: current.revision, ...deleteContext(request) })
  if (plan.type !== 'wait' && isReviewed !== true) await reviewDelete(write, deps.admissionContext, options)
  const at = { target: request.target, key: current.key, atRevision: current.revision }
  switch (plan.type) {
    case 'wait':
      return { done: true, deleted: { object: current, gone: false } }
    case 'remove': {
      if (request.dryRun) return { done: true, deleted: { object: current, gone: true } }
      const outcome = await commitDelete(deps, write, { ...at, current })
      if (!outcome.committed) return { done: false, found: outcome.found }
      return { done: true, deleted: { object: outcome.object, gone: true } }
    }
    case 'mark': {
      const marking: AdmittedWrite = { ...write, operation: 'update', draft: plan.draft }
      if (request.dryRun) {
        const object = new StoredObject(current.key, encodeStored(plan.draft), current.revision)
        return { done: true, deleted: { object, gone: false } }
      }
      const outcome = await commitPut(deps, marking, at)
      if (!outcome.committed) return { done: false, found: outcome.found }
      return { done: true, deleted: { object: outcome.object, gone: false } }
    }
  }
}

function deleteContext({ target }: WriteRequest): Omit<DeleteContext, 'nowMs' | 'revision'> {
  const { info, behavior } = target.definition
  const key = `${info.group}/${info.version}/${info.resource}`
  return {
    resource: groupResource(target),
    defaultPolicy: ORPHANING.has(key) ? 'Orphan' : info.resource === 'events' ? 'Unsupported' : 'Background',
    defaultGraceSeconds: behavior.defaultGraceSeconds,
  }
}

/** Kinds that leave their dependents alone unless told otherwise, as their first versions did. Source: DefaultGarbageCollectionPolicy of v1.37. */
const ORPHANING = new Set(['/v1/replicationcontrollers', 'batch/v1/jobs'])

function planFor(old: AnyObject, options: DeleteOptions, context: DeleteContext): DeletePlan {
  if (context.resource.group === '' && context.resource.resource === 'namespaces') {
    return planNamespaceDelete(old, options, context)
  }
  return planDelete(old, options, context)
}

/**
 * A Namespace is marked first, whatever its metadata says: its own finalizer stands in `spec.finalizers`, and the namespace
 * controller takes it out when nothing is left inside. Source: kubernetes pkg/registry/core/namespace/storage Delete, v1.37.
 */
function planNamespaceDelete(old: AnyObject, options: DeleteOptions, context: DeleteContext): DeletePlan {
  const plan = planDelete(old, options, context)
  const finalizers = (old['spec'] as { finalizers?: string[] } | undefined)?.finalizers ?? []
  if (old.metadata.deletionTimestamp !== undefined) return finalizers.length > 0 ? { type: 'wait' } : plan
  const draft: AnyObject = plan.type === 'mark' ? plan.draft : { ...old, metadata: { ...old.metadata } }
  draft.metadata.deletionTimestamp = formatTime(context.nowMs)
  delete draft.metadata.deletionGracePeriodSeconds
  draft['status'] = { ...(old['status'] as object | undefined), phase: 'Terminating' }
  return { type: 'mark', draft }
}

/** What a delete answers: the object, or a Status that says it is gone. */
export function deleteAnswer({ info }: ResourceDefinition, { object, gone }: Deleted): 'object' | Status {
  if (!gone || info.returnsDeleted) return 'object'
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: object.name,
      ...(info.group === '' ? {} : { group: info.group }),
      kind: info.resource,
      uid: object.object().metadata.uid,
    },
  }
}
