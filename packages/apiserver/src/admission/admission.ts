import type { KubeObject } from '@centaurus/api'
import type { Change, Comparison } from '@centaurus/store'
import type { Clock, Random } from '@centaurus/base'
import type { ObjectReader } from '../resource/object-reader.ts'
import type { TenantRegistries } from '../resource/tenant-registries.ts'
import type { WriteRequest } from '../resource/target.ts'
import type { TenantDirectory } from '../tenants/tenant-directory.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import { mutateByReview } from './review-write.ts'
import type { Reviews } from './reviews.ts'

export type WriteOperation = 'create' | 'update' | 'delete'

/** One write on its way to the store. Objects are in the stored form. */
export interface AdmittedWrite {
  readonly request: WriteRequest
  readonly operation: WriteOperation
  /** `''` for the object itself. */
  readonly subresource: string
  /** What will be stored: steps may change it. For a delete it is the object that goes. */
  readonly draft: KubeObject
  /** Undefined for a create. Shared: read only. */
  readonly old: KubeObject | undefined
  /** Of a create: the name, when the server has chosen it. */
  readonly generatedName?: string | undefined
  /**
   * Webhooks and policies need not see it: there are none, they have seen it as what the client sent, such as a Scale, or the server itself
   * makes the change.
   */
  readonly isReviewed?: boolean | undefined
  /** Set when webhooks or policies of the tenant have changed the draft: whoever writes, it is now what the tenant wants. */
  isChangedByTenant?: boolean | undefined
}

export interface AdmissionContext {
  readonly reader: ObjectReader
  readonly random: Random
  readonly clock: Clock
  /** For revisions of what is reserved. */
  readonly cache: WatchCache
  readonly registries: TenantRegistries
  readonly tenants: TenantDirectory
  /** Webhooks and policies of the tenants. */
  readonly reviews: Reviews
}

/** What must hold, and what else must change, in the same commit as the object. */
export interface Reservation {
  readonly compare: readonly Comparison[]
  readonly changes: readonly Change[]
}

/** One rule of admission. All functions throw `StatusError` to refuse, and see the cluster through the reader only. */
export interface AdmissionStep {
  readonly name: string
  /** Cheap test whether the step has anything to say. */
  readonly handles: (write: AdmittedWrite) => boolean
  /** First of all: waits, a bounded time, for what the step will need to see in the cache. */
  readonly ready?: ((write: AdmittedWrite, context: AdmissionContext) => Promise<void>) | undefined
  /** Before preparation and validation: fills `write.draft`. */
  readonly mutate?: ((write: AdmittedWrite, context: AdmissionContext) => void) | undefined
  /** After validation. */
  readonly validate?: ((write: AdmittedWrite, context: AdmissionContext) => void) | undefined
  /**
   * Just before the commit, and again when another write came between: what to commit along with the object. May change
   * `write.draft` (an address that was allocated).
   */
  readonly reserve?: ((write: AdmittedWrite, context: AdmissionContext) => Reservation | undefined) | undefined
}

/** The built-in steps, and then the tenant's webhooks. */
export async function mutateByAdmission(
  steps: readonly AdmissionStep[],
  write: AdmittedWrite,
  context: AdmissionContext,
): Promise<void> {
  for (const step of steps) {
    if (step.ready !== undefined && step.handles(write)) await step.ready(write, context)
  }
  const mutate = (): void => {
    for (const step of steps) if (step.mutate !== undefined && step.handles(write)) step.mutate(write, context)
  }
  mutate()
  await mutateByReview(write, context, mutate)
}

export function validateByAdmission(
  steps: readonly AdmissionStep[],
  write: AdmittedWrite,
  context: AdmissionContext,
): void {
  for (const step of steps) if (step.validate !== undefined && step.handles(write)) step.validate(write, context)
}

export function reserveByAdmission(
  steps: readonly AdmissionStep[],
  write: AdmittedWrite,
  context: AdmissionContext,
): Reservation {
  const compare: Comparison[] = []
  const changes: Change[] = []
  for (const step of steps) {
    if (step.reserve === undefined || !step.handles(write)) continue
    const reservation = step.reserve(write, context)
    if (reservation === undefined) continue
    compare.push(...reservation.compare)
    changes.push(...reservation.changes)
  }
  return { compare, changes }
}
