import { grown } from './columns.ts'

/** Domains with smaller numbers are in the array in any case: zones and racks are few. */
const ARRAY_DOMAINS_MIN = 256
/** A table of this share of the domains takes less memory as an array than as a map. */
const DENSE_PART = 1 / 16

/** A number for each domain: an array, and a map for domains of large numbers while few of them have one. */
export class DomainCounts {
  /** Domains beyond the array; undefined when the array has room for all. */
  #sparse: Map<number, number> | undefined = new Map()
  #dense = new Int32Array(0)
  #nonZero = 0
  #total = 0
  /** The smallest number that is not 0, and how many domains have it; unknown when `#atLeast` is 0. */
  #least = 0
  #atLeast = 0

  /** Sum over all domains. */
  get total(): number {
    return this.#total
  }

  /** Domains whose number is not 0. */
  get nonZero(): number {
    return this.#nonZero
  }

  /** By domain, for loops: {@link get} knows what is beyond its end. */
  get dense(): Int32Array {
    return this.#dense
  }

  get(domain: number): number {
    if (domain < this.#dense.length) return this.#dense[domain]!
    return this.#sparse?.get(domain) ?? 0
  }

  add(domain: number, delta: number): void {
    if (delta === 0) return
    const before = this.get(domain)
    const after = before + delta
    this.#total += delta
    if (before === 0) this.#nonZero++
    if (after === 0) this.#nonZero--
    if (this.#sparse === undefined || domain < ARRAY_DOMAINS_MIN) {
      // never larger while there is a map: what is in it is not in the array
      this.#dense = grown(this.#dense, this.#sparse === undefined ? domain + 1 : ARRAY_DOMAINS_MIN)
      this.#dense[domain] = after
    } else {
      if (after === 0) this.#sparse.delete(domain)
      else this.#sparse.set(domain, after)
      this.#densify(domain)
    }
    this.#noteLeast(before, after)
  }

  /** The smallest number among the domains that have one. Cost: a look, or all of them once after the last one at the minimum rose. */
  least(): number {
    if (this.#nonZero === 0) return 0
    if (this.#atLeast > 0) return this.#least
    let least = Infinity
    let atLeast = 0
    const look = (count: number): void => {
      if (count === 0 || count > least) return
      atLeast = count === least ? atLeast + 1 : 1
      least = count
    }
    for (let domain = 0; domain < this.#dense.length; domain++) look(this.#dense[domain]!)
    for (const count of this.#sparse?.values() ?? []) look(count)
    this.#least = least
    this.#atLeast = atLeast
    return least
  }

  #noteLeast(before: number, after: number): void {
    if (this.#atLeast === 0) return
    if (before === this.#least && before !== 0) this.#atLeast--
    if (after === 0 || after > this.#least) return
    // When none is left at the minimum, what is the next one must be looked for.
    if (after < this.#least) {
      this.#least = after
      this.#atLeast = 1
    } else if (this.#atLeast > 0) {
      this.#atLeast++
    }
  }

  #densify(domain: number): void {
    const sparse = this.#sparse!
    if (sparse.size < ARRAY_DOMAINS_MIN || sparse.size < (domain + 1) * DENSE_PART) return
    let largest = domain
    for (const key of sparse.keys()) largest = Math.max(largest, key)
    if (sparse.size < (largest + 1) * DENSE_PART) return
    this.#dense = grown(this.#dense, largest + 1)
    for (const [key, count] of sparse) this.#dense[key] = count
    this.#sparse = undefined
  }
}
