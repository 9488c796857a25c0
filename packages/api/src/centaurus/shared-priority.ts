import { SYSTEM_TENANT } from './names.ts'

/** Classes of the system itself; tenants have as many such pods as their quota grants. Source: pkg/apis/scheduling/types.go SystemCriticalPriority, v1.37. */
const SYSTEM_CRITICAL_PRIORITY = 2_000_000_000

/** Whose pod it is, and how important to them. */
export interface RankedPod {
  readonly tenant: string
  readonly priority: number
}

/** What operators granted a tenant (`Tenant.spec.maxPriority`), 0 by default. */
export type MaxPriorityOf = (tenant: string) => number

/**
 * What a pod's priority counts beside pods of other tenants. Tenants make priority classes of their own, so theirs count no more than operators
 * granted, and no less than 0: what is of little importance to its tenant is not everybody's to remove. Operators' pods count as they are.
 */
export function sharedPriority({ tenant, priority }: RankedPod, maxPriorityOf: MaxPriorityOf): number {
  if (tenant === SYSTEM_TENANT || priority >= SYSTEM_CRITICAL_PRIORITY) return priority
  return Math.max(0, Math.min(priority, maxPriorityOf(tenant)))
}

/** Whether `a` may take the room of `b`: within a tenant its own priorities decide, between tenants the shared ones. */
export function outranks(a: RankedPod, b: RankedPod, maxPriorityOf: MaxPriorityOf): boolean {
  if (a.tenant === b.tenant) return a.priority > b.priority
  return sharedPriority(a, maxPriorityOf) > sharedPriority(b, maxPriorityOf)
}
