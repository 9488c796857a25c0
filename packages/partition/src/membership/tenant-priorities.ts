import type { Membership } from './membership.ts'
import { findCondition, READY } from './partition-status.ts'

/** What operators granted to tenants, remembered: it is asked for with each pod that is in another's way. */
export class TenantPriorities {
  readonly #granted = new Map<string, number>()
  #membership: Pick<Membership, 'self' | 'get' | 'tenant'> | undefined

  /** Begins to answer. Returns what ends it. */
  follow(membership: Pick<Membership, 'self' | 'get' | 'tenant' | 'onChange'>): () => void {
    this.#membership = membership
    this.#granted.clear()
    return membership.onChange(() => this.#granted.clear())
  }

  /** `spec.maxPriority`; 0 for a tenant without it, or that is not known. */
  maxPriorityOf(tenant: string): number {
    const known = this.#granted.get(tenant)
    if (known !== undefined) return known
    const granted = this.#membership?.tenant(tenant)?.spec?.maxPriority ?? 0
    this.#granted.set(tenant, granted)
    return granted
  }

  /** Whether the partition is there to be told that its pods must go, as home saw it last. */
  isThere(partition: string): boolean {
    const membership = this.#membership
    if (membership === undefined || partition === membership.self) return membership !== undefined
    const member = membership.get(partition)
    const status = member && (findCondition(member, READY)?.status ?? 'True')
    return status === 'True'
  }
}
