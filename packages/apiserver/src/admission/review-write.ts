import { deepClone, type KubeObject } from '@centaurus/api'
import type { DeleteOptions } from '@centaurus/api/meta/v1'
import { fillUpdatedMetadata, hasStatusSubresource, setNamespace } from '../handlers/prepare.ts'
import type { WriteRequest } from '../resource/target.ts'
import type { AdmissionContext, AdmittedWrite } from './admission.ts'
import type { AttributesInit, Operation } from './matching/attributes.ts'

const OPTIONS_VERSION = 'meta.k8s.io/v1'

/**
 * Lets mutating webhooks change `write.draft`. What only the server decides stays. `again` lets the built-in steps look at what they made,
 * after which the webhooks that want it are asked a second time.
 */
export async function mutateByReview(
  write: AdmittedWrite,
  context: AdmissionContext,
  again: () => void,
): Promise<void> {
  if (write.isReviewed === true) return
  const review = context.reviews.open(write.request, () => attributesOf(write, shownDraft(write)))
  if (review === undefined || !(await review.mutate())) return
  takeOver(write, review.object!)
  again()
  if (!(await review.mutateAgain(shownDraft(write)))) return
  takeOver(write, review.object!)
  // nothing that they make goes by the built-in steps
  again()
}

/** Asks policies and validating webhooks about what will be stored. Undefined: nobody wants to see it. */
export function validateByReview(write: AdmittedWrite, context: AdmissionContext): Promise<void> | undefined {
  if (write.isReviewed === true) return undefined
  return context.reviews.open(write.request, () => attributesOf(write, { ...write.draft }))?.validate()
}

/** Asks everybody about a delete. Throws their refusals. */
export async function reviewDelete(
  write: AdmittedWrite,
  context: AdmissionContext,
  options: DeleteOptions,
): Promise<void> {
  const review = context.reviews.open(write.request, () => ({
    request: write.request,
    operation: 'DELETE',
    subresource: write.subresource,
    name: write.request.info.name,
    object: undefined,
    old: write.old,
    options: {
      ...withoutUndefined(options),
      kind: 'DeleteOptions',
      apiVersion: OPTIONS_VERSION,
      ...dryRunOf(write.request),
    },
  }))
  await review?.mutate()
  await review?.validate()
}

export interface OwnKindReview {
  readonly operation: Operation
  readonly subresource: string
  readonly name: string
  readonly object: KubeObject
  readonly old?: KubeObject | undefined
  readonly kind: { readonly group: string; readonly version: string; readonly kind: string }
}

/** Asks everybody about what is no object of the resource: a Binding, a Scale, the options of an exec. Returns what they made of it. */
export async function reviewOwnKind<T extends KubeObject>(
  context: AdmissionContext,
  request: WriteRequest,
  { operation, subresource, name, object, old, kind }: OwnKindReview & { readonly object: T },
): Promise<T> {
  const review = context.reviews.open(request, () => ({
    request,
    operation,
    subresource,
    name,
    object,
    old,
    ownKind: kind,
    options: operation === 'CONNECT' ? undefined : optionsOf(request, operation),
  }))
  if (review === undefined) return object
  if (await review.mutate()) await review.mutateAgain(review.object!)
  await review.validate()
  return review.object as T
}

function attributesOf(write: AdmittedWrite, object: KubeObject): AttributesInit {
  const { request, subresource, old } = write
  const operation = write.operation === 'create' ? 'CREATE' : 'UPDATE'
  const name = operation === 'CREATE' ? (object.metadata.name ?? '') : (old?.metadata.name ?? '')
  return { request, operation, subresource, name, object, old, options: optionsOf(request, operation) }
}

function optionsOf(request: WriteRequest, operation: Operation): Record<string, unknown> {
  const { fieldManager = '', fieldValidation = '' } = request.asked ?? {}
  return {
    kind: operation === 'CREATE' ? 'CreateOptions' : 'UpdateOptions',
    apiVersion: OPTIONS_VERSION,
    ...dryRunOf(request),
    ...(fieldManager === '' ? {} : { fieldManager }),
    ...(fieldValidation === '' ? {} : { fieldValidation }),
  }
}

function dryRunOf({ dryRun }: WriteRequest): { dryRun?: string[] } {
  return dryRun ? { dryRun: ['All'] } : {}
}

function withoutUndefined(options: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/** As upstream, a new object has no identity yet when webhooks may change it. A copy: what they see is not changed under their eyes. */
function shownDraft({ draft, operation, generatedName }: AdmittedWrite): KubeObject {
  if (operation !== 'create') return deepClone(draft)
  const { uid: _uid, creationTimestamp: _time, generation: _generation, ...metadata } = draft.metadata
  if (generatedName !== undefined && metadata.name === generatedName) delete metadata.name
  return deepClone({ ...draft, metadata })
}

/** Puts what webhooks made in the place of the draft, with what they can't decide as it was. */
function takeOver(write: AdmittedWrite, made: KubeObject): void {
  const { draft, old, request, operation, generatedName } = write
  write.isChangedByTenant = true
  const { uid, creationTimestamp, generation, managedFields } = draft.metadata
  const members = draft as unknown as Record<string, unknown>
  for (const member of Object.keys(members)) delete members[member]
  Object.assign(members, deepClone(made))
  const { metadata } = draft
  if (managedFields === undefined) delete metadata.managedFields
  else metadata.managedFields = managedFields
  setNamespace(draft, request)
  if (operation !== 'create') return fillUpdatedMetadata(draft, old!)
  Object.assign(metadata, { uid, creationTimestamp })
  if (generation === undefined) delete metadata.generation
  else metadata.generation = generation
  if ((metadata.name ?? '') === '' && generatedName !== undefined) metadata.name = generatedName
  for (const member of ['resourceVersion', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    delete metadata[member]
  }
  if (hasStatusSubresource(request.target.definition)) delete members['status']
}
