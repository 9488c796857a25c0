import type { Clock } from '@centaurus/base'

/** How long the cluster's own parts wait for one webhook of a tenant. */
export const SHARED_CALL_MS_MAX = 3_000
/** What a call may take without being counted: a webhook that answers as webhooks do is asked as often as there is need. */
const FREE_MS = 100
/** Waiting that a tenant may cause at once. */
const CREDIT_MS_MAX = 10_000
/** Waiting that it may cause in the long run, a second of time. */
const CREDIT_MS_PER_SECOND = 100
/** Calls for a tenant under way at once. */
const CALLS_MAX = 16
/** Tenants that are remembered; the one that was asked longest ago is forgiven first. */
const TENANTS_MAX = 10_000

interface Account {
  /** Negative: owed. */
  creditMs: number
  atMs: number
  calls: number
}

/**
 * How much the webhooks of a tenant may hold up what serves all tenants: controllers, the scheduler, nodes. These have few workers, and a webhook
 * that takes its time would keep them from everybody else. Time beyond {@link FREE_MS} is counted; a tenant that has used up its credit is not waited
 * for until some has come back. Its own users wait for their webhooks as long as they say.
 */
export class Patience {
  readonly #clock: Clock
  /** The one asked last at the end. */
  readonly #accounts = new Map<string, Account>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Begins a call; call what it returns when it ends. Throws when the tenant has none left. */
  enter(tenant: string): () => void {
    const account = this.#accountOf(tenant)
    if (account.creditMs <= 0 || account.calls >= CALLS_MAX) {
      throw new Error(
        "webhooks of this cluster take too long: they are not asked for the cluster's own parts for a while",
      )
    }
    account.calls++
    const beganMs = this.#clock.now()
    return () => {
      account.calls--
      const heldMs = Math.max(0, this.#clock.now() - beganMs - FREE_MS)
      account.creditMs = Math.max(account.creditMs - heldMs, -CREDIT_MS_MAX)
    }
  }

  #accountOf(tenant: string): Account {
    const nowMs = this.#clock.now()
    const account = this.#accounts.get(tenant) ?? { creditMs: CREDIT_MS_MAX, atMs: nowMs, calls: 0 }
    const earnedMs = (Math.max(0, nowMs - account.atMs) / 1000) * CREDIT_MS_PER_SECOND
    account.creditMs = Math.min(account.creditMs + earnedMs, CREDIT_MS_MAX)
    account.atMs = nowMs
    this.#accounts.delete(tenant)
    this.#accounts.set(tenant, account)
    if (this.#accounts.size > TENANTS_MAX) this.#accounts.delete(this.#accounts.keys().next().value!)
    return account
  }
}
