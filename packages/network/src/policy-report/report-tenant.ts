import type { ClusterView } from '../daemon/cluster-view.ts'
import type { PolicyReporter } from './policy-reporter.ts'

export interface PlannedTenant {
  readonly tenant: string
  /** Whether pods of it are on this host. */
  readonly hasPods: boolean
  /** From when the first news arrived that was not in the kernel yet. */
  readonly effectiveAfterMs: number
}

/** Reports all policies that the view has of a tenant. Call it right after these were programmed, before any other news can come. */
export function reportTenant(
  reporter: Pick<PolicyReporter, 'reportApplied' | 'forget'>,
  view: Pick<ClusterView, 'newestPolicyOf'>,
  { tenant, hasPods, effectiveAfterMs: afterMs }: PlannedTenant,
): void {
  if (!hasPods) return reporter.forget(tenant)
  for (const kind of ['networkPolicies', 'clusterNetworkPolicies'] as const) {
    const revision = view.newestPolicyOf(tenant, kind)
    if (revision !== undefined) reporter.reportApplied({ tenant, kind, revision, afterMs })
  }
}
