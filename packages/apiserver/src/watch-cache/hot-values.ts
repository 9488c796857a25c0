import type { StoredObject } from './cached-object.ts'
import type { ResourceCache } from './resource-cache.ts'

/**
 * Bytes of values that stay in memory: those that were written last. 12 s of 60,000 nodes' heartbeats, and far more than the histories of
 * all resources that change at the same time.
 */
export const HOT_VALUES_BYTES_MAX = 64 * 1024 * 1024

/** The value of a store key as of a revision, at once; undefined when the store does not have it any more. */
export type PeekValue = (storeKey: string, revision: number) => Uint8Array | undefined

interface HotValue {
  readonly object: StoredObject
  readonly cache: ResourceCache
}

/**
 * Lets go of the values of objects that have not changed for a while: the store has them, and reads one in 4 µs from a file that the
 * kernel keeps in its page cache. A pod and its events are 8 KB; what is left of them is 1 KB. First in, first out.
 */
export class HotValues {
  readonly #peek: PeekValue
  readonly #bytesMax: number
  #queue: (HotValue | undefined)[] = []
  #first = 0
  #bytes = 0

  constructor(peek: PeekValue, bytesMax: number) {
    this.#peek = peek
    this.#bytesMax = bytesMax
  }

  /** The object was written, or read from the store, just now. */
  add(object: StoredObject, cache: ResourceCache): void {
    this.#queue.push({ object, cache })
    this.#bytes += object.heldBytes
    while (this.#bytes > this.#bytesMax) this.#dropOldest()
    if (this.#first > 1_024 && this.#first * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#first)
      this.#first = 0
    }
  }

  #dropOldest(): void {
    const { object, cache } = this.#queue[this.#first]!
    this.#queue[this.#first++] = undefined
    this.#bytes -= object.heldBytes
    // What was replaced belongs to the history, and the store may forget it: it keeps its value as long as somebody holds it.
    if (cache.get(object.key) !== object) return
    const storeKey = cache.prefix + object.key
    object.drop(() => this.#peek(storeKey, object.revision))
  }
}
