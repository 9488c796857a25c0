import type { Tenant } from '@centaurus/api/centaurus/v1'
import type { TenantFence } from './tenant-fence.ts'

/** What one partition has to do about one tenant. */
export type MoveStep =
  /** It lives here, or it does not concern this partition. */
  | { readonly type: 'nothing' }
  /** Fetch the tenant from partition `from`, then take it over at `epoch`. */
  | { readonly type: 'fetch'; readonly from: string; readonly epoch: number }
  /** The registry says that the tenant lives here since `epoch`: let its writes in. */
  | { readonly type: 'serve'; readonly epoch: number }
  /** The registry says that the tenant lives elsewhere since `epoch`: never write for it again. */
  | { readonly type: 'leave'; readonly epoch: number }
  /** Frozen for a move that nobody wants any more: let writes in again, at a new epoch so that a late target can't take over. */
  | { readonly type: 'thaw'; readonly epoch: number }

/**
 * Decides from what the registry says and what the fence of `self` says. Pure. The registry decides where a tenant lives; its epoch orders decisions, and a
 * fence is never set back: `fence.epoch ≤ status.epoch` once everything is told.
 */
export function planMove(self: string, tenant: Readonly<Tenant>, fence: TenantFence): MoveStep {
  const { partition, epoch = 0 } = tenant.status ?? {}
  if (partition === undefined || fence.epoch > epoch) return { type: 'nothing' } // not placed yet, or this copy of the registry is behind
  const wanted = tenant.spec?.partition ?? partition
  const isDeleted = tenant.metadata.deletionTimestamp !== undefined
  if (partition === self) {
    if (fence.state === 'frozen' && fence.epoch === epoch)
      return wanted === fence.to && !isDeleted ? { type: 'nothing' } : { type: 'thaw', epoch: epoch + 1 }
    return fence.state === 'serving' && fence.epoch === epoch ? { type: 'nothing' } : { type: 'serve', epoch }
  }
  if (wanted === self && !isDeleted) return { type: 'fetch', from: partition, epoch: epoch + 1 }
  const hadIt = fence.epoch > 0 || fence.state !== 'serving'
  return hadIt && fence.state !== 'gone' ? { type: 'leave', epoch } : { type: 'nothing' }
}
