import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { EPOCH_KEY, readEpoch, type ObjectReader } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Store, StoreWatch } from '@centaurus/store'
import type { Membership } from '../membership/membership.ts'
import type { ClaimBook } from './claim-book.ts'
import { isOver } from './claim-releaser.ts'

const RETRY_DELAY_MS = 1_000

export interface LocalReconcilerDeps {
  readonly claims: ClaimBook
  /** Name of this partition, which has both nodes and tenants. */
  readonly membership: Pick<Membership, 'self' | 'onChange' | 'tenants' | 'hosts'>
  readonly store: Store
  readonly reader: ObjectReader
  readonly client: Client
  readonly clock: Clock
  readonly logger: Logger
}

/** Whether the pod of a claim is there, on that node, and not over, as this partition's own store or its copies tell. */
export function createIsBound(claims: ClaimBook, reader: ObjectReader): (uid: string, node: string) => boolean {
  return (uid, node) => {
    const claim = claims.ledger.findClaim(uid)?.claim
    if (claim === undefined) return false
    const { tenant, namespace } = claim.terms
    const pod = reader.get<Pod>(pods, { namespace, name: claim.name }, { tenant })
    return pod?.metadata.uid === uid && pod.spec?.nodeName === node && !isOver(pod)
  }
}

/**
 * Gives back, each time that another scheduler of this partition takes over, the room that those before it left behind without a pod; takes over the
 * room of pods whose tenant moves here.
 */
export class LocalReconciler {
  readonly #deps: LocalReconcilerDeps
  #watch: StoreWatch | undefined
  #closed = false
  #running: Promise<void> = Promise.resolve()
  #hosted = new Map<string, number>()
  readonly #stopListening: () => void

  constructor(deps: LocalReconcilerDeps) {
    this.#deps = deps
    this.#hosted = this.#readHosted()
    this.#stopListening = deps.membership.onChange(() => this.#review())
    this.#follow()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#stopListening()
    this.#watch?.close()
    await this.#running
  }

  #follow(): void {
    this.#watch = this.#deps.store.watch(EPOCH_KEY, {
      onEvents: () => this.#start(),
      onEnd: () => {
        if (!this.#closed) this.#deps.clock.setTimer(RETRY_DELAY_MS, () => this.#closed || this.#follow())
      },
    })
    this.#start()
  }

  #review(): void {
    const before = this.#hosted
    this.#hosted = this.#readHosted()
    for (const [tenant, epoch] of this.#hosted) if (before.get(tenant) !== epoch) return this.#start()
  }

  /** Epochs of the tenants that are here. */
  #readHosted(): Map<string, number> {
    const { membership } = this.#deps
    const hosted = membership.tenants().filter(({ metadata }) => membership.hosts(metadata.name))
    return new Map(hosted.map(({ metadata, status }) => [metadata.name, status?.epoch ?? 0]))
  }

  #start(): void {
    this.#running = this.#running.then(() => this.#reconcile())
  }

  async #reconcile(): Promise<void> {
    const { claims, membership, store, reader, client, clock, logger } = this.#deps
    if (this.#closed) return
    try {
      const present = await readEpoch(store)
      if (present === undefined) return
      await client.list(nodes, { limit: 1 }) // the cache holds now what was bound before the epoch began
      await claims.reconcile(membership.self, {
        epoch: present.epoch,
        isBound: createIsBound(claims, reader),
      })
    } catch (error) {
      if (this.#closed) return
      logger.warn('Could not look for room without pods, will retry', { error })
      clock.setTimer(RETRY_DELAY_MS, () => this.#start())
    }
  }
}
