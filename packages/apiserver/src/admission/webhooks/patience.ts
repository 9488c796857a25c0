import type { Clock } from '@centaurus/base'
import { TenantCredit } from '../matching/tenant-credit.ts'

/** How long the cluster's own parts wait for one webhook of a tenant. */
export const SHARED_CALL_MS_MAX = 3_000
/** What a call may take without being counted: a webhook that answers as webhooks do is asked as often as there is need. */
const FREE_MS = 100
/** Waiting that a tenant may cause. */
const TERMS = { msMax: 10_000, msPerSecond: 100 }
/** Calls for a tenant under way at once. */
const CALLS_MAX = 16

/**
 * How much the webhooks of a tenant may hold up what serves all tenants: controllers, the scheduler, nodes. These have few workers, and a webhook
 * that takes its time would keep them from everybody else. Time beyond {@link FREE_MS} is counted; a tenant that has used up its credit is not waited
 * for until some has come back. Its own users wait for their webhooks as long as these say.
 */
export class Patience {
  readonly #clock: Clock
  readonly #credit: TenantCredit
  /** Calls under way, of tenants that have any. */
  readonly #calls = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#credit = new TenantCredit(clock, TERMS)
  }

  /** Begins a call; call what it returns when it ends. Throws when the tenant has no credit left. */
  enter(tenant: string): () => void {
    const calls = this.#calls.get(tenant) ?? 0
    if (calls >= CALLS_MAX || !this.#credit.has(tenant)) {
      throw new Error(
        "webhooks of this cluster take too long: they are not asked for the cluster's own parts for a while",
      )
    }
    this.#calls.set(tenant, calls + 1)
    const beganMs = this.#clock.monotonicMs()
    return () => {
      const left = this.#calls.get(tenant)! - 1
      if (left === 0) this.#calls.delete(tenant)
      else this.#calls.set(tenant, left)
      this.#credit.charge(tenant, this.#clock.monotonicMs() - beganMs - FREE_MS)
    }
  }
}
