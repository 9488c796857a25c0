import type { Tenant } from '@centaurus/api/centaurus/v1'
import type { TenantFence } from './tenant-fence.ts'

/** A tenant whose writes were stopped for so long without being taken over is let go on; its target begins again. */
export const FROZEN_MS_MAX = 5_000

/** What one partition has to do about one tenant. */
export type MoveStep =
  /** It lives here, or it does not concern this partition. */
  | { readonly type: 'nothing' }
  /** Look again after so long: its writes are stopped. */
  | { readonly type: 'wait'; readonly ms: number }
  /** Fetch the tenant from partition `from`, then take it over at `epoch`. */
  | { readonly type: 'fetch'; readonly from: string; readonly epoch: number }
  /** The registry says that the tenant lives here since `epoch`: let its writes in, and put in order what was here before. */
  | { readonly type: 'serve'; readonly epoch: number }
  /** The registry says that the tenant lives elsewhere since `epoch`: never write for it again. */
  | { readonly type: 'leave'; readonly epoch: number }
  /** Remove what is here of a tenant that lives elsewhere, or nowhere. */
  | { readonly type: 'clean' }
  /** Forget the fence of a tenant that does not exist. */
  | { readonly type: 'forget' }
  /** Frozen for a move that nobody wants any more, or that takes too long: let writes in again, at a new epoch so that a late target can't take over. */
  | { readonly type: 'thaw'; readonly epoch: number }

/** Where this partition stands. */
export interface MovePlace {
  readonly self: string
  readonly fence: TenantFence
  /** Milliseconds since 1970. */
  readonly nowMs: number
}

/**
 * Decides from what the registry says and what the fence of `self` says. Pure. The registry decides where a tenant lives; its epoch orders decisions, and a
 * fence is never set back: `fence.epoch ≤ status.epoch` once everything is told.
 */
export function planMove(tenant: Readonly<Tenant> | undefined, { self, fence, nowMs }: MovePlace): MoveStep {
  const hasLeftovers = fence.state === 'gone' || fence.state === 'fetching'
  if (tenant === undefined) return { type: hasLeftovers ? 'clean' : 'forget' }
  const { partition, epoch = 0 } = tenant.status ?? {}
  if (partition === undefined || fence.epoch > epoch) return { type: 'nothing' } // not placed yet, or this copy of the registry is behind
  const wanted = tenant.spec?.partition ?? partition
  const isDeleted = tenant.metadata.deletionTimestamp !== undefined
  if (partition === self) {
    if (fence.state === 'frozen' && fence.epoch === epoch) {
      const leftMs = (fence.sinceMs ?? 0) + FROZEN_MS_MAX - nowMs
      const isWanted = wanted === fence.to && !isDeleted
      return isWanted && leftMs > 0
        ? { type: 'wait', ms: Math.min(leftMs, FROZEN_MS_MAX) }
        : { type: 'thaw', epoch: epoch + 1 }
    }
    const isServed = fence.state === 'serving' && fence.epoch === epoch && fence.isNew !== true
    return isServed ? { type: 'nothing' } : { type: 'serve', epoch }
  }
  if (wanted === self && !isDeleted) return { type: 'fetch', from: partition, epoch: epoch + 1 }
  if (hasLeftovers) return { type: 'clean' }
  const hadIt = fence.epoch > 0 || fence.state !== 'serving'
  return hadIt && fence.state !== 'away' ? { type: 'leave', epoch } : { type: 'nothing' }
}
