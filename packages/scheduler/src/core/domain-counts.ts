import { grown } from './columns.ts'

/** A table of this share of the domains takes less memory as an array than as a map. */
const DENSE_PART = 1 / 16
const DENSE_DOMAINS_MIN = 256

/** A number for each domain, most of them 0: a map while few are not, an array from then on. */
export class DomainCounts {
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

  /** By domain, for loops: beyond its end all are 0. Undefined while few domains have a number. */
  get dense(): Int32Array | undefined {
    return this.#sparse === undefined ? this.#dense : undefined
  }

  get(domain: number): number {
    if (this.#sparse !== undefined) return this.#sparse.get(domain) ?? 0
    return domain < this.#dense.length ? this.#dense[domain]! : 0
  }

  add(domain: number, delta: number): void {
    if (delta === 0) return
    const before = this.get(domain)
    const after = before + delta
    this.#total += delta
    if (before === 0) this.#nonZero++
    if (after === 0) this.#nonZero--
    if (this.#sparse === undefined) {
      this.#dense = grown(this.#dense, domain + 1)
      this.#dense[domain] = after
    } else {
      if (after === 0) this.#sparse.delete(domain)
      else this.#sparse.set(domain, after)
      if (this.#sparse.size > DENSE_DOMAINS_MIN) this.#densify(domain)
    }
    this.#noteLeast(before, after)
  }

  /** The smallest number among the domains that have one. Cost: a look, or all of them once after the last one at the minimum rose. */
  least(): number {
    if (this.#nonZero === 0) return 0
    if (this.#atLeast > 0) return this.#least
    let least = Infinity
    let atLeast = 0
    for (const count of this.#sparse?.values() ?? this.#dense) {
      if (count === 0 || count > least) continue
      atLeast = count === least ? atLeast + 1 : 1
      least = count
    }
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
    let largest = domain
    for (const key of sparse.keys()) largest = Math.max(largest, key)
    if (sparse.size < (largest + 1) * DENSE_PART) return
    this.#dense = grown(this.#dense, largest + 1)
    for (const [key, count] of sparse) this.#dense[key] = count
    this.#sparse = undefined
  }
}
