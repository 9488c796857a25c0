import { decodeText, encodeText, type Logger } from '@centaurus/base'
import type { Store } from '@centaurus/store'

/** Where a partition keeps what it knows of home; outside of the API's objects. */
const HOME_MEMORY_KEY = '/centaurus/registry-home'

/** What a partition remembers of home's store, so that it notices when that is restored from a backup or is another one. */
interface Remembered {
  /** Of home's own Partition object. */
  readonly uid: string
  /** Highest revision of home's store when something was copied. */
  readonly revision: number
  /** Why home is not believed any more; set until an operator readmits it. */
  readonly fence?: string | undefined
}

/**
 * Judges whether home's store is the one that it was and has not gone back in time. An old backup says nothing about tenants that
 * were made, moved or deleted since: believing it could delete copies that people need, or serve a tenant twice.
 */
export class HomeMemory {
  /** Called when an operator has readmitted home: what was seen of it is of the time before. */
  onReadmitted: () => void = () => {}
  readonly #store: Store
  readonly #logger: Logger
  #known: Remembered | undefined
  /** Highest revision seen, saved with the next copy. */
  #revision = 0

  private constructor(store: Store, logger: Logger, known: Remembered | undefined) {
    this.#store = store
    this.#logger = logger
    this.#known = known
    this.#revision = known?.revision ?? 0
  }

  /** Reads what an earlier run has kept. */
  static async open(store: Store, logger: Logger): Promise<HomeMemory> {
    return new HomeMemory(store, logger, await load(store))
  }

  /** Why home is not believed; undefined when it is. */
  get fence(): string | undefined {
    return this.#known?.fence
  }

  /**
   * Asks home for its store's revision by `read`. False, durably, when it was further before `read` was called: answers may arrive
   * out of order. Throws what `read` throws.
   */
  async probe(read: () => Promise<number>): Promise<boolean> {
    if (this.fence !== undefined && !(await this.#wasReadmitted())) return false
    const before = this.#revision
    const revision = await read()
    if (revision >= before) {
      this.#revision = Math.max(this.#revision, revision)
      return true
    }
    await this.#raise(`its store is at revision ${revision} and was at ${before} before: it went back in time`)
    return false
  }

  /** Home's own Partition object has this uid. False, durably, when it had another before. */
  async identify(uid: string): Promise<boolean> {
    if (this.fence !== undefined) return false
    if (this.#known === undefined) await this.#save({ uid, revision: this.#revision })
    if (this.#known?.uid === uid) return true
    await this.#raise('its store is another one than it was')
    return false
  }

  /** Keeps the highest revision seen. Call after something was copied. */
  async save(): Promise<void> {
    if (this.#known !== undefined && this.#known.revision < this.#revision)
      await this.#save({ ...this.#known, revision: this.#revision })
  }

  /** Any server of the partition may have been told. */
  async #wasReadmitted(): Promise<boolean> {
    if ((await load(this.#store)) !== undefined) return false
    this.#known = undefined
    this.#revision = 0
    this.#logger.info('Home was readmitted')
    this.onReadmitted()
    return true
  }

  async #raise(fence: string): Promise<void> {
    this.#logger.error('Fenced the home partition: nothing of it is copied until it is readmitted', { reason: fence })
    await this.#save({ uid: '', revision: this.#revision, ...this.#known, fence })
  }

  async #save(known: Remembered): Promise<void> {
    this.#known = known
    const value = encodeText(JSON.stringify(known))
    await this.#store.commit({ changes: [{ type: 'put', key: HOME_MEMORY_KEY, value }] })
  }
}

/** Believes home again, whatever it says now: an operator has looked at it. Durable when it resolves. */
export async function readmitHome(store: Store): Promise<void> {
  await store.commit({ changes: [{ type: 'delete', key: HOME_MEMORY_KEY }] })
}

async function load(store: Store): Promise<Remembered | undefined> {
  const { entry } = await store.get(HOME_MEMORY_KEY)
  return entry === undefined ? undefined : (JSON.parse(decodeText(entry.value)) as Remembered)
}
