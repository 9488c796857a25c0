import type { Clock } from '@centaurus/base'

/** Tenants that are remembered; the one that was charged longest ago is forgiven first. */
const TENANTS_MAX = 10_000

export interface CreditTerms {
  /** What a tenant may use at once, and owe at most. */
  readonly msMax: number
  /** What comes back in a second. */
  readonly msPerSecond: number
}

interface Account {
  ms: number
  atMs: number
}

/** Time that each tenant may take from what all tenants share: much at once, and little in the long run. */
export class TenantCredit {
  readonly #clock: Clock
  readonly #terms: CreditTerms
  /** Of those that have used some; the one charged last at the end. */
  readonly #accounts = new Map<string, Account>()

  constructor(clock: Clock, terms: CreditTerms) {
    this.#clock = clock
    this.#terms = terms
  }

  /** False when the tenant has used up what it had. */
  has(tenant: string): boolean {
    const account = this.#accounts.get(tenant)
    return account === undefined || this.#now(account) > 0
  }

  charge(tenant: string, ms: number): void {
    if (ms <= 0) return
    const { msMax } = this.#terms
    const account = this.#accounts.get(tenant) ?? { ms: msMax, atMs: this.#clock.monotonicMs() }
    account.ms = Math.max(this.#now(account) - ms, -msMax)
    this.#accounts.delete(tenant)
    this.#accounts.set(tenant, account)
    if (this.#accounts.size > TENANTS_MAX) this.#accounts.delete(this.#accounts.keys().next().value!)
  }

  /** Brings an account up to date. */
  #now(account: Account): number {
    const nowMs = this.#clock.monotonicMs()
    const { msMax, msPerSecond } = this.#terms
    account.ms = Math.min(account.ms + (Math.max(0, nowMs - account.atMs) / 1000) * msPerSecond, msMax)
    account.atMs = nowMs
    return account.ms
  }
}
