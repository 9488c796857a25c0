/**
 * Names for commits under way, so that each one's outcome can be read when its answer is lost.
 *
 * Every transaction also requires a key of its own, the slot's, to be as the last user of the slot left it, and writes that key. So
 * after a lost answer one more transaction tells for certain what became of it: it requires the same and writes the slot as well.
 * When it succeeds, the commit did not happen, and never will, though it may still be on its way; when it fails, the slot's revision
 * is the commit's. Slots are reused, last in first out, so that there are as many as commits were under way at once.
 */
import { StoreUnavailableError } from '../store.ts'

/** Commits under way at once: more gain nothing on one connection to one etcd. */
const SLOTS_MAX = 128
/** Commits that wait for a slot. */
const WAITING_MAX = 65_536

/** State of a slot in etcd, as known to this process, its only user. */
export interface CommitSlot {
  readonly key: string
  /** The slot's key must have this modRevision; 0: not exist. */
  modRevision: number
  /** Newest revision that a commit under this slot made; 0: none. */
  committedRevision: number
}

export class CommitSlots {
  readonly #prefix: string
  readonly #free: CommitSlot[] = []
  readonly #waiting: ((slot: CommitSlot) => void)[] = []
  readonly #drained: (() => void)[] = []
  #made = 0
  #used = 0

  /** `prefix`: of the keys, this process's own. */
  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** A slot nobody else uses until {@link release}, in the order of the calls. */
  acquire(): Promise<CommitSlot> {
    const slot = this.#free.pop()
    if (slot !== undefined || this.#used < SLOTS_MAX) {
      this.#used++
      return Promise.resolve(slot ?? this.#make())
    }
    if (this.#waiting.length >= WAITING_MAX) {
      throw new StoreUnavailableError(
        `Cannot commit: ${WAITING_MAX} commits wait for etcd already; nothing was changed`,
      )
    }
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  release(slot: CommitSlot): void {
    const next = this.#waiting.shift()
    if (next !== undefined) return next(slot)
    this.#free.push(slot)
    this.#unuse()
  }

  /** Gives up a slot whose state is unknown. */
  retire(): void {
    const next = this.#waiting.shift()
    if (next !== undefined) return next(this.#make())
    this.#unuse()
  }

  /** Resolves when no commit is under way. */
  drained(): Promise<void> {
    if (this.#used === 0) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  #make(): CommitSlot {
    return { key: `${this.#prefix}${this.#made++}`, modRevision: 0, committedRevision: 0 }
  }

  #unuse(): void {
    this.#used--
    if (this.#used === 0) for (const resolve of this.#drained.splice(0)) resolve()
  }
}
