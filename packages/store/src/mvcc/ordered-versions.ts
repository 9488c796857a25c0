/**
 * The newest version of every key, in order. Sorted arrays in chunks: one array of leaves, each with at most
 * {@link LEAF_KEYS_MAX} keys. At a million keys the upper array holds some 12,000 leaves, so that a look-up is 21 comparisons,
 * an insert moves at most one leaf's slots, and a split moves the upper array once in 64 inserts. Cheaper per key (16 bytes)
 * than a tree of nodes, and as fast to walk as an array.
 *
 * Invariant: no leaf is empty; `leaf.live` counts heads that are not tombstones; `leaf.newestRevision ≥` every head's revision.
 */
import { toSortKey } from './sort-key.ts'
import { isTombstone, liveAt, type Version } from './version.ts'

/** Large enough for few leaves, small enough that an insert moves less than a kilobyte. */
const LEAF_KEYS_MAX = 128

interface Leaf {
  readonly keys: string[]
  readonly heads: Version[]
  live: number
  newestRevision: number
}

/** A slice of the keys at one revision. */
export interface VersionRange {
  readonly versions: readonly Version[]
  /** How many live keys there are from the start on, beyond the limit too. */
  readonly count: number
}

export class OrderedVersions {
  readonly #leaves: Leaf[] = []

  /** Newest version of `key`, perhaps a tombstone. */
  head(key: string): Version | undefined {
    const sortKey = toSortKey(key)
    const leaf = this.#leaves[this.#leafIndex(sortKey)]
    if (leaf === undefined) return undefined
    const slot = lowerBound(leaf.keys, sortKey)
    return leaf.keys[slot] === sortKey ? leaf.heads[slot] : undefined
  }

  /** Makes `head` the newest version of its key. */
  set(head: Version): void {
    const sortKey = toSortKey(head.key)
    const index = this.#leafIndex(sortKey)
    const leaf = this.#leaves[index]
    if (leaf === undefined) {
      this.#leaves.push(createLeaf([sortKey], [head]))
      return
    }
    const slot = lowerBound(leaf.keys, sortKey)
    const old = leaf.keys[slot] === sortKey ? leaf.heads[slot] : undefined
    if (old === undefined) {
      leaf.keys.splice(slot, 0, sortKey)
      leaf.heads.splice(slot, 0, head)
    } else {
      leaf.heads[slot] = head
      if (!isTombstone(old)) leaf.live--
    }
    if (!isTombstone(head)) leaf.live++
    leaf.newestRevision = Math.max(leaf.newestRevision, head.modRevision)
    if (leaf.keys.length > LEAF_KEYS_MAX) this.#split(index, leaf)
  }

  /** Forgets `key` with all its versions. Does nothing when it is not there. */
  remove(key: string): void {
    const sortKey = toSortKey(key)
    const index = this.#leafIndex(sortKey)
    const leaf = this.#leaves[index]
    if (leaf === undefined) return
    const slot = lowerBound(leaf.keys, sortKey)
    const head = leaf.heads[slot]
    if (head === undefined || leaf.keys[slot] !== sortKey) return
    if (leaf.keys.length === 1) {
      this.#leaves.splice(index, 1)
      return
    }
    leaf.keys.splice(slot, 1)
    leaf.heads.splice(slot, 1)
    if (!isTombstone(head)) leaf.live--
  }

  /**
   * Live keys under `prefix` from `from` on (which starts with the prefix), as of `revision`; at most `limit` versions are
   * returned. Cost: the entries returned, plus a step a leaf for the rest of the count (a step a key in leaves changed since).
   */
  range(prefix: string, from: string, options: { readonly revision: number; readonly limit: number }): VersionRange {
    const sortPrefix = toSortKey(prefix)
    const sortFrom = toSortKey(from)
    const versions: Version[] = []
    let count = 0
    const first = this.#leafIndex(sortFrom)
    for (let index = first; index < this.#leaves.length; index++) {
      const leaf = this.#leaves[index]!
      const start = index === first ? lowerBound(leaf.keys, sortFrom) : 0
      const isWhole = start === 0 && leaf.keys.at(-1)!.startsWith(sortPrefix)
      if (isWhole && versions.length >= options.limit && leaf.newestRevision <= options.revision) {
        count += leaf.live
        continue
      }
      for (let slot = start; slot < leaf.keys.length; slot++) {
        if (!isWhole && !leaf.keys[slot]!.startsWith(sortPrefix)) return { versions, count }
        const version = liveAt(leaf.heads[slot], options.revision)
        if (version === undefined) continue
        count++
        if (versions.length < options.limit) versions.push(version)
      }
    }
    return { versions, count }
  }

  /** Index of the leaf that holds `sortKey` or would: the last one whose first key is not greater, else the first. */
  #leafIndex(sortKey: string): number {
    let low = 0
    let high = this.#leaves.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#leaves[middle]!.keys[0]! <= sortKey) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  /** Splits in the middle, or near the end when the last leaf overflows: keys that come in order then fill their leaves. */
  #split(index: number, leaf: Leaf): void {
    const isLast = index === this.#leaves.length - 1
    const at = isLast ? LEAF_KEYS_MAX - LEAF_KEYS_MAX / 8 : LEAF_KEYS_MAX / 2
    const right = createLeaf(leaf.keys.splice(at), leaf.heads.splice(at))
    right.newestRevision = leaf.newestRevision
    leaf.live -= right.live
    this.#leaves.splice(index + 1, 0, right)
  }
}

function createLeaf(keys: string[], heads: Version[]): Leaf {
  const live = heads.reduce((sum, head) => sum + (isTombstone(head) ? 0 : 1), 0)
  const newestRevision = heads.reduce((newest, head) => Math.max(newest, head.modRevision), 0)
  return { keys, heads, live, newestRevision }
}

/** Index of the first key that is not less than `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (keys[middle]! < key) low = middle + 1
    else high = middle
  }
  return low
}
