import type { Clock, Logger, Timer } from '@centaurus/base'
import type { ClaimBook } from './claim-book.ts'
import type { NodeClaims } from './node-claims.ts'

/** Room for which nothing is in the way any more is kept for this long: whoever asked for it has gone, or found another node. */
const UNUSED_MAX_MS = 60_000
const RETRY_DELAY_MS = 5_000

export interface NominationKeeperDeps {
  readonly claims: ClaimBook
  readonly clock: Clock
  readonly logger: Logger
}

/** Gives up room that is kept for pods that do not come. Each API server does; who is second finds nothing to do. */
export class NominationKeeper {
  readonly #deps: NominationKeeperDeps
  /** By uid: the timer of room that is free. */
  readonly #unused = new Map<string, Timer>()
  readonly #removeListener: () => void

  constructor(deps: NominationKeeperDeps) {
    this.#deps = deps
    const { ledger } = deps.claims
    this.#removeListener = ledger.onChange((_node, now, before) => this.#look(now, before))
    for (const node of ledger.claimedNodes()) this.#look(ledger.claims(node))
  }

  close(): void {
    this.#removeListener()
    for (const timer of this.#unused.values()) timer.cancel()
  }

  #look({ nominations }: NodeClaims, before?: NodeClaims): void {
    if (nominations === before?.nominations) return
    const { ledger } = this.#deps.claims
    for (const { uid } of before?.nominations ?? []) if (ledger.nominatedNode(uid) === undefined) this.#forget(uid)
    for (const { uid, victims, terms } of nominations) {
      if (victims.length > 0) this.#forget(uid)
      else if (!this.#unused.has(uid)) this.#arm(uid, { partition: terms.partition, delayMs: UNUSED_MAX_MS })
    }
  }

  #forget(uid: string): void {
    this.#unused.get(uid)?.cancel()
    this.#unused.delete(uid)
  }

  #arm(uid: string, { partition, delayMs }: { readonly partition: string; readonly delayMs: number }): void {
    const { claims, clock, logger } = this.#deps
    const giveUp = async (): Promise<void> => {
      try {
        await claims.release(partition, [{ op: 'withdraw', uid }])
        this.#forget(uid)
        logger.info('Gave up room that was kept for a Pod', { uid, partition })
      } catch (error) {
        logger.warn('Could not give up room that was kept for a Pod, will retry', { uid, partition, error })
        if (this.#unused.has(uid)) this.#arm(uid, { partition, delayMs: RETRY_DELAY_MS })
      }
    }
    this.#unused.set(
      uid,
      clock.setTimer(delayMs, () => void giveUp()),
    )
  }
}
