import { ALL_TENANTS, type Stored } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { ObjectReader } from '@centaurus/apiserver'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { ClaimBook } from './claim-book.ts'
import type { ClaimResizer } from './claim-resizer.ts'
import type { ClaimItem } from './model.ts'

/** Pods that end within this time give their room back together. */
const COALESCE_MS = 20
const RETRY_DELAY_MS = 1_000
/** Claims looked at before other work gets its turn. */
const SWEEP_CLAIMS_A_TURN = 500

export interface ClaimReleaserDeps {
  readonly claims: ClaimBook
  readonly reader: ObjectReader
  /** Told of the pods that go on. */
  readonly resizer: Pick<ClaimResizer, 'look'>
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Gives the room of pods back that are deleted or over, as this partition's own store tells, originals and copies alike. Each API server does;
 * who is second finds nothing to do.
 */
export class ClaimReleaser {
  readonly #deps: ClaimReleaserDeps
  readonly #ended = new Set<string>()
  readonly #removeListener: () => void
  #timer: Timer | undefined
  #closed = false

  constructor(deps: ClaimReleaserDeps) {
    this.#deps = deps
    this.#removeListener = deps.reader.onChange<Pod>(
      pods,
      (change) => {
        const pod = change.object()
        if (change.type === 'DELETED') this.#end(pod.metadata.uid)
        else this.#look(pod)
      },
      { tenant: ALL_TENANTS },
    )
  }

  /** Looks at every claim once, for pods that ended, or were resized, while nobody looked. Pods that are not there are not judged: they may be about to come. */
  async sweep(): Promise<void> {
    const { ledger } = this.#deps.claims
    let count = 0
    for (const node of ledger.claimedNodes()) {
      for (const { uid, name, terms } of ledger.claims(node).claims) {
        const pod = this.#deps.reader.get<Pod>(pods, { namespace: terms.namespace, name }, { tenant: terms.tenant })
        if (pod?.metadata.uid === uid) this.#look(pod)
        if (++count % SWEEP_CLAIMS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
        if (this.#closed) return
      }
    }
  }

  close(): void {
    this.#closed = true
    this.#removeListener()
    this.#timer?.cancel()
  }

  #look(pod: Stored<Pod>): void {
    if (isOver(pod)) this.#end(pod.metadata.uid)
    else this.#deps.resizer.look(pod)
  }

  #end(uid: string): void {
    this.#ended.add(uid)
    this.#timer ??= this.#deps.clock.setTimer(COALESCE_MS, () => void this.#flush())
  }

  async #flush(): Promise<void> {
    this.#timer = undefined
    const { claims, clock, logger } = this.#deps
    const ended = [...this.#ended]
    this.#ended.clear()
    try {
      await claims.whenCurrent() // another API server may have made the claim just now
      const byPartition = new Map<string, ClaimItem[]>()
      for (const uid of ended) {
        const found = claims.ledger.findClaim(uid)
        if (found === undefined) continue
        const { partition } = found.claim.terms
        const items = byPartition.get(partition) ?? []
        byPartition.set(partition, items)
        items.push({ op: 'release', uid })
      }
      await Promise.all(Array.from(byPartition, ([partition, items]) => claims.release(partition, items)))
    } catch (error) {
      if (this.#closed) return
      logger.warn('Could not release the room of pods that ended, will retry', { pods: ended.length, error })
      for (const uid of ended) this.#ended.add(uid)
      this.#timer ??= clock.setTimer(RETRY_DELAY_MS, () => void this.#flush())
    }
  }
}

/** Source: kubernetes pkg/api/v1/pod/util.go IsPodTerminal. */
export function isOver({ status }: Readonly<Pod>): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}
