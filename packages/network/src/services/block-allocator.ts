interface FreeRange {
  readonly first: number
  readonly count: number
}

/**
 * Gives out runs of neighbouring elements of one array map. No I/O. What is given back can be given out again only after {@link BlockAllocator.settle}, so
 * that a program that still reads an old table never sees a new one's content.
 */
export class BlockAllocator {
  readonly #used = new Map<number, number>()
  #free: FreeRange[]
  #returned: FreeRange[] = []

  constructor(elements: number) {
    this.#free = [{ first: 0, count: elements }]
  }

  /** Index of the first of `count` elements (at least 1); undefined: no run is long enough. First fit. */
  allocate(count: number): number | undefined {
    const place = this.#free.findIndex((range) => range.count >= count)
    const range = this.#free[place]
    if (range === undefined) return undefined
    this.#take(place, { first: range.first, count })
    return range.first
  }

  /** Marks a run as taken that another process gave out. False: some of it is taken already. */
  reserve(first: number, count: number): boolean {
    const place = this.#free.findIndex((range) => range.first <= first && range.first + range.count >= first + count)
    if (place < 0) return false
    this.#take(place, { first, count })
    return true
  }

  release(first: number): void {
    const count = this.#used.get(first)
    if (count === undefined) throw new Error(`No block begins at ${first}`)
    this.#used.delete(first)
    this.#returned.push({ first, count })
  }

  /** What was given back before is free from now on. */
  settle(): void {
    if (this.#returned.length === 0) return
    const sorted = [...this.#free, ...this.#returned].sort((a, b) => a.first - b.first)
    this.#returned = []
    this.#free = []
    for (const range of sorted) {
      const last = this.#free.at(-1)
      if (last !== undefined && last.first + last.count === range.first)
        this.#free[this.#free.length - 1] = { first: last.first, count: last.count + range.count }
      else this.#free.push(range)
    }
  }

  get usedElements(): number {
    return [...this.#used.values()].reduce((sum, count) => sum + count, 0)
  }

  #take(place: number, { first, count }: FreeRange): void {
    const range = this.#free[place]
    if (range === undefined) return
    const before = { first: range.first, count: first - range.first }
    const after = { first: first + count, count: range.first + range.count - first - count }
    this.#free.splice(place, 1, ...[before, after].filter((rest) => rest.count > 0))
    this.#used.set(first, count)
  }
}
