import { parseStoreKey, type StoredEntry, type StoredObjects } from '@centaurus/apiserver'
import type { Clock } from '@centaurus/base'
import { originOf } from './copies.ts'

interface Waiter {
  readonly revision: number
  readonly resolve: () => void
}

/** Lets who wrote to an original wait until the copy here shows it, so that a node reads what it wrote. */
export class CopyAwaiter {
  readonly #stored: StoredObjects
  readonly #clock: Clock
  readonly #waiters = new Map<string, Set<Waiter>>()
  readonly #followed = new Map<string, () => void>()

  constructor(stored: StoredObjects, clock: Clock) {
    this.#stored = stored
    this.#clock = clock
  }

  /** The copy when it shows the original's `revision` or a later one; undefined when it is gone, or that did not come within `timeoutMs`. */
  async wait(storeKey: string, revision: number, timeoutMs: number): Promise<StoredEntry | undefined> {
    const address = parseStoreKey(storeKey)
    if (address === undefined) return undefined
    const { tenant, resource, key } = address
    this.#follow(resource)
    const find = (): StoredEntry | undefined => this.#stored.get(tenant, resource, key)
    if (!shows(find(), revision)) await this.#waitChange(storeKey, revision, timeoutMs)
    const found = find()
    return found !== undefined && shows(found, revision) ? found : undefined
  }

  close(): void {
    for (const remove of this.#followed.values()) remove()
    for (const waiters of this.#waiters.values()) for (const { resolve } of waiters) resolve()
  }

  #follow(resource: string): void {
    if (this.#followed.has(resource)) return
    const remove = this.#stored.onChange(resource, ({ tenant, type, object }) => {
      if (this.#waiters.size === 0) return
      const waiters = this.#waiters.get(`/registry/${tenant}/${resource}/${object.key}`)
      for (const { revision, resolve } of waiters ?? []) if (type === 'DELETED' || shows(object, revision)) resolve()
    })
    this.#followed.set(resource, remove)
  }

  #waitChange(storeKey: string, revision: number, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel()
        waiters.delete(waiter)
        if (waiters.size === 0) this.#waiters.delete(storeKey)
        resolve()
      }
      const timer = this.#clock.setTimer(timeoutMs, done)
      const waiter: Waiter = { revision, resolve: done }
      const waiters = this.#waiters.get(storeKey) ?? new Set()
      waiters.add(waiter)
      this.#waiters.set(storeKey, waiters)
    })
  }
}

/** What is not there was deleted, or never copied: nothing more is to come. */
function shows(entry: StoredEntry | undefined, revision: number): boolean {
  if (entry === undefined) return true
  const origin = originOf(entry.object())
  return origin === undefined || origin.revision >= revision
}
