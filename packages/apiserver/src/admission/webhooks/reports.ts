import type { Clock, Logger } from '@centaurus/base'
import type { Operation } from '../matching/attributes.ts'

/** How one call of a webhook ended. */
export interface WebhookReport {
  readonly tenant: string
  readonly webhook: string
  readonly mutating: boolean
  readonly operation: Operation
  readonly outcome: 'allowed' | 'denied' | 'failed'
  /** What failure means: `Fail` or `Ignore`. */
  readonly failurePolicy: string
  readonly seconds: number
  /** Why it failed. */
  readonly error?: string | undefined
}

const QUIET_MS = 60_000
/** Webhooks that are remembered to have been complained of. */
const COMPLAINTS_MAX = 10_000

/** Logs webhooks that can't be asked: each once a minute, however many writes that fails. */
export class Complaints {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #lastMs = new Map<string, number>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  take({ tenant, webhook, outcome, failurePolicy, error }: WebhookReport): void {
    if (outcome !== 'failed') return
    const key = `${tenant}/${webhook}`
    const nowMs = this.#clock.monotonicMs()
    const lastMs = this.#lastMs.get(key)
    if (lastMs !== undefined && nowMs - lastMs < QUIET_MS) return
    if (this.#lastMs.size >= COMPLAINTS_MAX) this.#lastMs.clear()
    this.#lastMs.set(key, nowMs)
    this.#logger.warn('Could not ask a webhook', { tenant, webhook, failurePolicy, error })
  }
}
