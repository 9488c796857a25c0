import { badRequest, conflict, formatTime, parseTime, type GroupResource, type KubeObject } from '@centaurus/api'
import type { DeleteOptions } from '@centaurus/api/meta/v1'
import type { AnyObject } from './prepare.ts'

export const FINALIZER_ORPHAN = 'orphan'
export const FINALIZER_FOREGROUND = 'foregroundDeletion'

export interface DeleteContext {
  readonly nowMs: number
  readonly resource: GroupResource
  /** Of the object in the store: as good in a precondition as its resourceVersion, which may be another partition's. */
  readonly revision: number
  /** What the kind does about dependents when neither the caller nor the object says. */
  readonly defaultPolicy: 'Orphan' | 'Background' | 'Unsupported'
  /** Grace that the kind gives by itself, for kinds that have grace. */
  readonly defaultGraceSeconds: ((object: KubeObject) => number) | undefined
}

export type DeletePlan =
  /** It goes now. */
  | { readonly type: 'remove' }
  /** It stays until its finalizers or its node agent are done. `draft` shares unchanged parts with the object. */
  | { readonly type: 'mark'; readonly draft: AnyObject }
  /** It is on its way already and nothing changes. */
  | { readonly type: 'wait' }

/**
 * Decides what a delete does to an object. Pure. Throws Conflict when a precondition does not hold.
 * Source: apiserver pkg/registry/rest/delete.go BeforeDelete and pkg/registry/generic/registry/store.go Delete, v0.37.
 */
export function planDelete(object: AnyObject, options: DeleteOptions, context: DeleteContext): DeletePlan {
  checkPreconditions(object, options, context)
  const { metadata } = object
  const finalizers = finalizersAfterDelete(metadata.finalizers ?? [], options, context)
  const finalizersChanged = finalizers.join(',') !== (metadata.finalizers ?? []).join(',')
  const grace = planGrace(object, options, context)
  if (grace === 'pending') return finalizersChanged ? mark(object, { finalizers }) : { type: 'wait' }
  if (grace === undefined) {
    if (finalizers.length === 0) return { type: 'remove' }
    return planWithFinalizers(object, finalizers, { changed: finalizersChanged, nowMs: context.nowMs })
  }
  if (grace.seconds === 0 && finalizers.length === 0) return { type: 'remove' }
  const isKnown =
    metadata.deletionTimestamp === grace.deletionTimestamp && metadata.deletionGracePeriodSeconds === grace.seconds
  // Writing the same again would wake whoever deletes on seeing it, for ever.
  if (isKnown && !finalizersChanged) return { type: 'wait' }
  const bumps = metadata.deletionTimestamp === undefined
  return mark(object, {
    finalizers,
    deletionTimestamp: grace.deletionTimestamp,
    deletionGracePeriodSeconds: grace.seconds,
    generation: nextGeneration(metadata.generation, { bumps }),
  })
}

function planWithFinalizers(
  object: AnyObject,
  finalizers: string[],
  { changed, nowMs }: { changed: boolean; nowMs: number },
): DeletePlan {
  const { metadata } = object
  if (metadata.deletionTimestamp !== undefined) return changed ? mark(object, { finalizers }) : { type: 'wait' }
  return mark(object, {
    finalizers,
    deletionTimestamp: formatTime(nowMs),
    deletionGracePeriodSeconds: 0,
    generation: nextGeneration(metadata.generation, { bumps: true }),
  })
}

function mark(object: AnyObject, changes: Partial<KubeObject['metadata']>): DeletePlan {
  const metadata = { ...object.metadata, ...changes }
  if (metadata.finalizers?.length === 0) delete metadata.finalizers
  if (metadata.generation === undefined) delete metadata.generation
  return { type: 'mark', draft: { ...object, metadata } }
}

function nextGeneration(generation: number | undefined, { bumps }: { bumps: boolean }): number | undefined {
  return bumps && generation !== undefined && generation > 0 ? generation + 1 : generation
}

function checkPreconditions(
  { metadata }: KubeObject,
  { preconditions }: DeleteOptions,
  { resource, revision }: DeleteContext,
): void {
  const name = metadata.name ?? ''
  if (preconditions?.uid !== undefined && preconditions.uid !== metadata.uid) {
    const why = `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${metadata.uid}). The object might have been deleted and then recreated`
    throw conflict(resource, name, why)
  }
  const version = preconditions?.resourceVersion
  if (version !== undefined && version !== metadata.resourceVersion && version !== String(revision)) {
    const why = `the ResourceVersion in the precondition (${version}) does not match the ResourceVersion in record (${metadata.resourceVersion}). The object might have been modified`
    throw conflict(resource, name, why)
  }
}

/** Undefined: the kind has no grace. `pending`: grace runs already and is not shortened. */
function planGrace(
  object: KubeObject,
  options: DeleteOptions,
  { nowMs, defaultGraceSeconds }: DeleteContext,
): { seconds: number; deletionTimestamp: string } | 'pending' | undefined {
  if (defaultGraceSeconds === undefined) return undefined
  const requested = options.gracePeriodSeconds === undefined ? undefined : atLeast(options.gracePeriodSeconds)
  const { deletionTimestamp, deletionGracePeriodSeconds: running = 0 } = object.metadata
  if (deletionTimestamp === undefined) {
    const own = atLeast(defaultGraceSeconds(object))
    // A kind that gives no grace (a Pod that no node has, or that has ended) is not given any by the caller.
    const seconds = requested === undefined || own === 0 ? own : requested
    return { seconds, deletionTimestamp: formatTime(nowMs + seconds * 1000) }
  }
  if (running === 0) return { seconds: 0, deletionTimestamp }
  if (requested === undefined || requested >= running) return 'pending'
  const startedMs = (parseTime(deletionTimestamp) ?? nowMs) - running * 1000
  const endMs = startedMs + requested * 1000
  if (endMs >= nowMs) return { seconds: requested, deletionTimestamp: formatTime(endMs) }
  // The shorter grace is over already; but who asked for grace still leaves the end to the node agent.
  return { seconds: requested === 0 ? 0 : 1, deletionTimestamp: formatTime(nowMs) }
}

/** Upstream takes negative grace for one second. */
function atLeast(seconds: number): number {
  return seconds < 0 ? 1 : seconds
}

function finalizersAfterDelete(
  finalizers: readonly string[],
  options: DeleteOptions,
  context: DeleteContext,
): string[] {
  if (options.orphanDependents !== undefined && options.propagationPolicy !== undefined) {
    throw badRequest('orphanDependents and deletionPropagation cannot be both set')
  }
  if (context.defaultPolicy === 'Unsupported') return [...finalizers]
  const wanted = wantedFinalizer(finalizers, options, context.defaultPolicy)
  const kept = finalizers.filter((name) => name !== FINALIZER_ORPHAN && name !== FINALIZER_FOREGROUND)
  return wanted === undefined ? kept : [...kept, wanted]
}

function wantedFinalizer(
  finalizers: readonly string[],
  { orphanDependents, propagationPolicy }: DeleteOptions,
  defaultPolicy: 'Orphan' | 'Background',
): string | undefined {
  if (orphanDependents !== undefined) return orphanDependents ? FINALIZER_ORPHAN : undefined
  switch (propagationPolicy) {
    case 'Orphan':
      return FINALIZER_ORPHAN
    case 'Foreground':
      return FINALIZER_FOREGROUND
    case 'Background':
      return undefined
    default:
      if (finalizers.includes(FINALIZER_ORPHAN)) return FINALIZER_ORPHAN
      if (finalizers.includes(FINALIZER_FOREGROUND)) return FINALIZER_FOREGROUND
      return defaultPolicy === 'Orphan' ? FINALIZER_ORPHAN : undefined
  }
}
