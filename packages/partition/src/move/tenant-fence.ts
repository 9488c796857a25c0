import { StatusError, SYSTEM_TENANT } from '@centaurus/api'
import { departureChange, type AdmissionStep } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import type { Change, Comparison, KeyValue, Store, StoreWatch } from '@centaurus/store'

/** Beside `/registry/`, so that no API shows it. */
const FENCE_PREFIX = '/centaurus/tenants/'
/** A client that was refused because its tenant is moving tries again after this. */
const RETRY_AFTER_SECONDS = 1
const RELOAD_DELAY_MS = 500

/**
 * What this partition may do for a tenant, durably. `serving`: everything. `frozen`: no writes, while the last of them are copied to partition
 * `to`. `fetching`: nothing, while it comes; some of it is here. `gone`: nothing; the tenant lives elsewhere, and what it had here is to be removed.
 * `away`: it lives elsewhere, and nothing of it is here. A tenant that never moved has no fence, which means `serving` at epoch 0.
 */
export interface TenantFence {
  readonly state: 'serving' | 'frozen' | 'fetching' | 'gone' | 'away'
  /** `Tenant.status.epoch` for which the state holds. */
  readonly epoch: number
  /** Of `serving`: what was here of the tenant before it came is not in order yet. */
  readonly isNew?: boolean | undefined
  /** Of `frozen`: the partition that fetches it. */
  readonly to?: string | undefined
  /** Of `frozen`: since when, in milliseconds since 1970 on this partition's clock. */
  readonly sinceMs?: number | undefined
}

interface Known {
  readonly fence: TenantFence
  readonly modRevision: number
}

const NEVER_MOVED: Known = { fence: { state: 'serving', epoch: 0 }, modRevision: 0 }

/**
 * The fences of a partition's tenants. Every write of a tenant compares its fence in the same commit, so that after a fence is down no
 * write of any API server of the partition can still happen: what the fence's revision does not include is refused.
 */
export class TenantFences {
  readonly #store: Store
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #known = new Map<string, Known>()
  readonly #listeners = new Map<string, Set<() => void>>()
  #watch: StoreWatch | undefined
  #closed = false

  constructor({ store, clock, logger }: { readonly store: Store; readonly clock: Clock; readonly logger: Logger }) {
    this.#store = store
    this.#clock = clock
    this.#logger = logger
  }

  /** Reads all fences and follows them. */
  async start(): Promise<void> {
    const { entries, revision } = await this.#store.range(FENCE_PREFIX)
    this.#known.clear()
    for (const entry of entries) this.#learn(entry)
    if (this.#closed) return
    this.#watch = this.#store.watch(FENCE_PREFIX, {
      omitPrevious: true,
      fromRevision: revision + 1,
      onEvents: (events) => {
        for (const event of events) {
          if (event.type === 'put') this.#learn(event.entry)
          else this.#forget(event.key.slice(FENCE_PREFIX.length))
        }
      },
      onEnd: (error) => this.#onEnd(error),
    })
  }

  close(): void {
    this.#closed = true
    this.#watch?.close()
    this.#listeners.clear()
  }

  get(tenant: string): TenantFence {
    return this.#find(tenant).fence
  }

  /** Tenants that have a fence. */
  names(): readonly string[] {
    return [...this.#known.keys()]
  }

  /** What holds as long as the tenant's fence is the present one: for changes that nobody may make under another. */
  comparison(tenant: string): Comparison {
    return { key: FENCE_PREFIX + tenant, modRevision: this.#find(tenant).modRevision }
  }

  /** Calls `listener` after each change of the tenant's fence. Returns what removes it. */
  onChange(tenant: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(tenant) ?? new Set()
    this.#listeners.set(tenant, listeners)
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listeners.delete(tenant)
    }
  }

  /**
   * Sets the fence if it still is what `from` accepts; resolves to the revision, after which no write of the tenant can happen that the old
   * fence allowed, or to undefined when `from` refuses what is there.
   */
  async set(tenant: string, fence: TenantFence, from: (current: TenantFence) => boolean): Promise<number | undefined> {
    const key = FENCE_PREFIX + tenant
    for (;;) {
      const { entry } = await this.#store.get(key)
      const current = entry === undefined ? NEVER_MOVED.fence : parse(entry)
      if (!from(current)) return undefined
      const result = await this.#store.commit({
        compare: [{ key, modRevision: entry?.modRevision ?? 0 }],
        changes: [{ type: 'put', key, value: Buffer.from(JSON.stringify(fence)) }],
      })
      if (!result.committed) continue // another server of this partition was quicker: look again
      this.#put(tenant, { fence, modRevision: result.revision })
      return result.revision
    }
  }

  /** Forgets a tenant that was deleted. */
  async remove(tenant: string): Promise<void> {
    const changes: Change[] = [{ type: 'delete', key: FENCE_PREFIX + tenant }, departureChange(tenant)]
    await this.#store.commit({ changes })
  }

  /** Admission that makes every write depend on its tenant's fence. */
  readonly admission: AdmissionStep = {
    name: 'TenantFence',
    handles: ({ request }) => request.target.tenant !== SYSTEM_TENANT,
    validate: ({ request }) => this.#confirm(request.target.tenant),
    reserve: ({ request }) => {
      const { tenant } = request.target
      this.#confirm(tenant)
      return { compare: [this.comparison(tenant)], changes: [] }
    },
  }

  #confirm(tenant: string): void {
    const { state } = this.get(tenant)
    if (state === 'serving') return
    throw new StatusError({
      reason: 'ServiceUnavailable',
      message: 'the server is moving; please try again',
      details: { retryAfterSeconds: RETRY_AFTER_SECONDS },
    })
  }

  #find(tenant: string): Known {
    return this.#known.get(tenant) ?? NEVER_MOVED
  }

  /** Events may come after what {@link set} knows already. */
  #learn(entry: KeyValue): void {
    const tenant = entry.key.slice(FENCE_PREFIX.length)
    if (this.#find(tenant).modRevision >= entry.modRevision) return
    this.#put(tenant, { fence: parse(entry), modRevision: entry.modRevision })
  }

  #put(tenant: string, known: Known): void {
    this.#known.set(tenant, known)
    this.#tell(tenant)
  }

  #forget(tenant: string): void {
    this.#known.delete(tenant)
    this.#tell(tenant)
  }

  #tell(tenant: string): void {
    for (const listener of Array.from(this.#listeners.get(tenant) ?? [])) listener()
  }

  #onEnd(error: Error | undefined): void {
    if (this.#closed) return
    this.#logger.warn('Lost the watch of tenant fences, reading them again', { error })
    this.#clock.setTimer(RELOAD_DELAY_MS, () => void this.#restart())
  }

  async #restart(): Promise<void> {
    try {
      await this.start()
    } catch (reason) {
      this.#onEnd(reason as Error)
    }
  }
}

function parse({ value }: KeyValue): TenantFence {
  return JSON.parse(Buffer.from(value).toString('utf8')) as TenantFence
}
