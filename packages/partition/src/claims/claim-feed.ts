import { decodeText } from '@centaurus/base'
import type { Clock, Logger } from '@centaurus/base'
import { serviceUnavailable } from '@centaurus/api'
import type { KeyValue, Store, StoreEvent, StoreWatch } from '@centaurus/store'
import type { Ledger } from './ledger.ts'
import { decodeNodeClaims, type TermsTable } from './node-claims.ts'

/** Outside of `/registry/`: claims are no objects, and 300,000 of them would be dear as such. */
export const CLAIMS_PREFIX = '/centaurus/claims/'
const NODES_PREFIX = `${CLAIMS_PREFIX}nodes/`
const PEERS_PREFIX = `${CLAIMS_PREFIX}peers/`
const LOAD_PAGE_ENTRIES = 10_000
const RELOAD_DELAY_MS = 500
/** How long a decision waits for the store's news. */
const CATCH_UP_TIMEOUT_MS = 5_000

/** One value a node holds all its claims, so that comparing its revision guards the sum, whatever other API servers do. */
export function nodeClaimsKey(node: string): string {
  return NODES_PREFIX + node
}

/** Guards the order of one tenant partition's requests. */
export function claimantKey(partition: string): string {
  return PEERS_PREFIX + partition
}

/** The newest request of a tenant partition that was acted upon. */
export interface ClaimantRecord {
  readonly epoch: number
  readonly sequence: number
  /** Of the key; 0: there is none yet. */
  readonly revision: number
}

export interface ClaimFeedDeps {
  readonly store: Store
  readonly clock: Clock
  readonly logger: Logger
  readonly ledger: Ledger
  readonly table: TermsTable
}

interface Waiter {
  readonly revision: number
  readonly resolve: () => void
}

/** Keeps the ledger what the store says, so that all API servers of the partition agree. */
export class ClaimFeed {
  readonly #deps: ClaimFeedDeps
  readonly #claimants = new Map<string, ClaimantRecord>()
  #waiters: Waiter[] = []
  #revision = 0
  #watch: StoreWatch | undefined
  #closed = false

  constructor(deps: ClaimFeedDeps) {
    this.#deps = deps
  }

  /** False before the first load and while a lost watch is repaired: nothing may be decided. */
  get live(): boolean {
    return this.#watch !== undefined
  }

  /** Everything up to it is in the ledger. */
  get revision(): number {
    return this.#revision
  }

  claimant(partition: string): ClaimantRecord {
    return this.#claimants.get(partition) ?? { epoch: 0, sequence: 0, revision: 0 }
  }

  /** Takes a record that was just committed. */
  setClaimant(partition: string, record: ClaimantRecord): void {
    if (record.revision > this.claimant(partition).revision) this.#claimants.set(partition, record)
  }

  async start(): Promise<void> {
    await this.#load()
  }

  /** Resolves when everything up to `revision` is in the ledger; throws ServiceUnavailable when that takes too long. */
  async waitRevision(revision: number): Promise<void> {
    if (this.#revision >= revision) return
    this.#watch?.requestProgress()
    await new Promise<void>((resolve, reject) => {
      const timer = this.#deps.clock.setTimer(CATCH_UP_TIMEOUT_MS, () => {
        this.#waiters = this.#waiters.filter((waiter) => waiter !== entry)
        reject(serviceUnavailable('claims are not up to date with the store; please try again'))
      })
      const done = (): void => {
        timer.cancel()
        resolve()
      }
      const entry: Waiter = { revision, resolve: done }
      this.#waiters.push(entry)
    })
  }

  close(): void {
    this.#closed = true
    this.#watch?.close()
    this.#watch = undefined
  }

  async #load(): Promise<void> {
    const { store, ledger } = this.#deps
    const gone = new Set(ledger.claimedNodes())
    const first = await store.range(CLAIMS_PREFIX, { limit: LOAD_PAGE_ENTRIES })
    for (let page = first; ;) {
      for (const entry of page.entries) {
        this.#put(entry)
        if (entry.key.startsWith(NODES_PREFIX)) gone.delete(entry.key.slice(NODES_PREFIX.length))
      }
      if (!page.more) break
      const from = `${page.entries.at(-1)!.key}\0`
      page = await store.range(CLAIMS_PREFIX, { atRevision: first.revision, from, limit: LOAD_PAGE_ENTRIES })
    }
    if (this.#closed) return
    for (const node of gone) ledger.put(node, undefined, first.revision)
    this.#watch = store.watch(CLAIMS_PREFIX, {
      omitPrevious: true,
      fromRevision: first.revision + 1,
      onEvents: (events, revision) => this.#apply(events, revision),
      onProgress: (revision) => this.#advance(revision),
      onEnd: (error) => this.#onWatchEnd(error),
    })
    this.#advance(first.revision)
  }

  #apply(events: readonly StoreEvent[], revision: number): void {
    for (const event of events) {
      if (event.type === 'put') this.#put(event.entry)
      else if (event.key.startsWith(NODES_PREFIX)) {
        this.#deps.ledger.put(event.key.slice(NODES_PREFIX.length), undefined, event.modRevision)
      }
    }
    this.#advance(revision)
  }

  #put({ key, value, modRevision }: KeyValue): void {
    const { ledger, table } = this.#deps
    if (key.startsWith(NODES_PREFIX)) {
      const node = key.slice(NODES_PREFIX.length)
      if (!ledger.knows(node, modRevision)) ledger.put(node, decodeNodeClaims(value, table), modRevision)
    } else if (key.startsWith(PEERS_PREFIX)) {
      const { epoch, sequence } = JSON.parse(decodeText(value)) as ClaimantRecord
      this.setClaimant(key.slice(PEERS_PREFIX.length), { epoch, sequence, revision: modRevision })
    }
  }

  #advance(revision: number): void {
    this.#revision = Math.max(this.#revision, revision)
    if (this.#waiters.length === 0) return
    const due = this.#waiters.filter((waiter) => waiter.revision <= this.#revision)
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > this.#revision)
    for (const waiter of due) waiter.resolve()
  }

  #onWatchEnd(error: Error | undefined): void {
    this.#watch = undefined
    if (this.#closed) return
    this.#deps.logger.warn('Lost the watch of claims, loading again', { error })
    this.#deps.clock.setTimer(RELOAD_DELAY_MS, () => void this.#reload())
  }

  async #reload(): Promise<void> {
    if (this.#closed) return
    try {
      await this.#load()
    } catch (error) {
      this.#onWatchEnd(error as Error)
    }
  }
}
