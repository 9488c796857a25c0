import {
  conflict,
  controllerOf,
  isStatus,
  ownerReferenceTo,
  type KubeObject,
  type LabelSelector,
  type ResourceType,
  type Stored,
} from '@centaurus/api'
import type { Informer } from '@centaurus/client'
import type { ReconcilerContext } from './controller.ts'
import { orphansIn, ownedBy } from './owners.ts'

export interface ClaimPlan<T extends KubeObject> {
  /** Controlled by the owner and selected. */
  readonly kept: readonly Stored<T>[]
  /** Orphans that the selector takes. */
  readonly adopt: readonly Stored<T>[]
  /** Controlled by the owner, and selected no more. */
  readonly release: readonly Stored<T>[]
}

/**
 * Which objects are the owner's. An owner that is being deleted neither adopts nor releases, and nobody adopts what is being deleted.
 * Source: BaseControllerRefManager.ClaimObject, pkg/controller/controller_ref_manager.go v1.37.
 */
export function planClaim<T extends KubeObject>(
  owner: KubeObject,
  selector: LabelSelector,
  { candidates }: { readonly candidates: readonly Stored<T>[] },
): ClaimPlan<T> {
  const isOwnerGoing = owner.metadata.deletionTimestamp !== undefined
  const plan = { kept: [] as Stored<T>[], adopt: [] as Stored<T>[], release: [] as Stored<T>[] }
  for (const object of candidates) {
    const controller = controllerOf(object)
    const isSelected = selector.matches(object.metadata.labels)
    if (controller !== undefined) {
      if (controller.uid !== owner.metadata.uid) continue
      if (isSelected) plan.kept.push(object)
      else if (!isOwnerGoing) plan.release.push(object)
    } else if (isSelected && !isOwnerGoing && object.metadata.deletionTimestamp === undefined) {
      plan.adopt.push(object)
    }
  }
  return plan
}

export interface ClaimOptions<O extends KubeObject, T extends KubeObject> {
  readonly key: string
  readonly ownerType: ResourceType<O>
  readonly type: ResourceType<T>
  readonly informer: Informer<T>
  readonly selector: LabelSelector
  /** Set on what is adopted, and taken from what is released. */
  readonly finalizer?: string | undefined
}

/** Adopts and releases, and returns what the owner has then. Asks the server itself before it adopts, as the cached owner may be gone. */
export async function reconcileClaim<O extends KubeObject, T extends KubeObject>(
  context: ReconcilerContext,
  owner: Stored<O>,
  options: ClaimOptions<O, T>,
): Promise<Stored<T>[]> {
  const { informer, selector, type } = options
  const candidates = [...ownedBy(informer, owner), ...orphansIn(informer, owner.metadata.namespace ?? '')]
  const plan = planClaim(owner, selector, { candidates })
  const claimed = [...plan.kept]
  for (const object of plan.release) await release(context, { object, owner, ...options })
  if (plan.adopt.length === 0) return claimed
  await requireAlive(context, owner, options.ownerType)
  for (const object of plan.adopt) {
    const finalizers = options.finalizer === undefined ? {} : { finalizers: [options.finalizer] }
    const body = { metadata: { ownerReferences: [ownerReferenceTo(owner)], uid: object.metadata.uid, ...finalizers } }
    try {
      const adopted = await context.client.patch(type, nameOf(object), { type: 'strategic', body })
      context.writes.wrote(options.key, informer, adopted)
      claimed.push(adopted)
    } catch (error) {
      // Gone, or another of that name: nothing to adopt.
      if (!isStatus(error, 'NotFound') && !isStatus(error, 'Invalid') && !isStatus(error, 'Conflict')) throw error
    }
  }
  return claimed
}

async function requireAlive<O extends KubeObject>(
  context: ReconcilerContext,
  owner: Stored<O>,
  type: ResourceType<O>,
): Promise<void> {
  const fresh = await context.client.get(type, nameOf(owner))
  if (fresh.metadata.uid !== owner.metadata.uid) {
    throw conflict(
      type,
      owner.metadata.name,
      `original ${type.kind} is gone: got uid ${fresh.metadata.uid}, wanted ${owner.metadata.uid}`,
    )
  }
  if (fresh.metadata.deletionTimestamp !== undefined) {
    throw conflict(type, owner.metadata.name, `it has just been deleted at ${fresh.metadata.deletionTimestamp}`)
  }
}

async function release<O extends KubeObject, T extends KubeObject>(
  { client, writes }: ReconcilerContext,
  {
    object,
    owner,
    key,
    type,
    informer,
    finalizer,
  }: ClaimOptions<O, T> & { readonly object: Stored<T>; readonly owner: Stored<O> },
): Promise<void> {
  const finalizers = finalizer === undefined ? {} : { '$deleteFromPrimitiveList/finalizers': [finalizer] }
  const ownerReferences = [{ $patch: 'delete', uid: owner.metadata.uid }]
  const body = { metadata: { ownerReferences, uid: object.metadata.uid, ...finalizers } }
  try {
    writes.wrote(key, informer, await client.patch(type, nameOf(object), { type: 'strategic', body }))
  } catch (error) {
    // Gone, or without references by now (upstream reads a 422 that way).
    if (!isStatus(error, 'NotFound') && !isStatus(error, 'Invalid')) throw error
  }
}

export function nameOf(object: KubeObject): { namespace: string | undefined; name: string } {
  return { namespace: object.metadata.namespace, name: object.metadata.name ?? '' }
}
