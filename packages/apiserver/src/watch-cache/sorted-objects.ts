import type { CachedObject } from './cached-object.ts'

/** A chunk is split when it grows beyond this: an insert moves at most so many references. */
const CHUNK_LENGTH_MAX = 512

/** Cached objects ordered by key. Insert and delete cost a binary search and a short move; iteration is in order. */
export class SortedObjects<T extends Pick<CachedObject, 'key'> = CachedObject> {
  /** No chunk is empty, except that an empty list has none. */
  #chunks: T[][] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Replaces the contents. `objects` must be sorted by key and without duplicates. */
  load(objects: readonly T[]): void {
    this.#chunks = []
    for (let i = 0; i < objects.length; i += CHUNK_LENGTH_MAX / 2) {
      this.#chunks.push(objects.slice(i, i + CHUNK_LENGTH_MAX / 2))
    }
    this.#size = objects.length
  }

  /** Inserts, or replaces the object of the same key. */
  put(object: T): void {
    const chunkIndex = Math.max(0, this.#findChunk(object.key))
    const chunk = this.#chunks[chunkIndex]
    if (chunk === undefined) {
      this.#chunks.push([object])
      this.#size = 1
      return
    }
    const at = findPosition(chunk, object.key)
    if (chunk[at]?.key === object.key) {
      chunk[at] = object
      return
    }
    chunk.splice(at, 0, object)
    this.#size++
    if (chunk.length > CHUNK_LENGTH_MAX) this.#chunks.splice(chunkIndex + 1, 0, chunk.splice(CHUNK_LENGTH_MAX / 2))
  }

  delete(key: string): void {
    const chunkIndex = this.#findChunk(key)
    const chunk = this.#chunks[chunkIndex]
    if (chunk === undefined) return
    const at = findPosition(chunk, key)
    if (chunk[at]?.key !== key) return
    chunk.splice(at, 1)
    this.#size--
    if (chunk.length === 0) this.#chunks.splice(chunkIndex, 1)
  }

  /** Objects whose key starts with `prefix`, from the key `from` on, in order. Do not change the list while iterating. */
  *range(prefix: string, from = prefix): Generator<T, void> {
    const start = from > prefix ? from : prefix
    for (let i = Math.max(0, this.#findChunk(start)); i < this.#chunks.length; i++) {
      const chunk = this.#chunks[i]!
      for (let j = chunk[0]!.key < start ? findPosition(chunk, start) : 0; j < chunk.length; j++) {
        const object = chunk[j]!
        if (!object.key.startsWith(prefix)) return
        yield object
      }
    }
  }

  /** The last chunk whose first key is ≤ `key`; -1 when there is none. */
  #findChunk(key: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#chunks[middle]![0]!.key <= key) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}

/** The first position whose key is ≥ `key`. */
function findPosition(chunk: readonly Pick<CachedObject, 'key'>[], key: string): number {
  let low = 0
  let high = chunk.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (chunk[middle]!.key < key) low = middle + 1
    else high = middle
  }
  return low
}
