/** A heap whose members may change their rank or leave: `put` again after a change. Each operation costs O(log n). */
export class IndexedHeap<T> {
  readonly #items: T[] = []
  readonly #places = new Map<T, number>()
  readonly #compare: (a: T, b: T) => number

  /** The item that `compare` puts first comes first. */
  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  get size(): number {
    return this.#items.length
  }

  /** Undefined when it is empty. */
  peek(): T | undefined {
    return this.#items[0]
  }

  has(item: T): boolean {
    return this.#places.has(item)
  }

  /** In no order. */
  values(): readonly T[] {
    return this.#items
  }

  /** Adds the item, or moves it to where it belongs now. */
  put(item: T): void {
    const at = this.#places.get(item) ?? this.#items.push(item) - 1
    this.#places.set(item, at)
    this.#sink(this.#rise(at))
  }

  /** False: it was not in. */
  remove(item: T): boolean {
    const at = this.#places.get(item)
    if (at === undefined) return false
    this.#places.delete(item)
    const last = this.#items.pop() as T
    if (at === this.#items.length) return true
    this.#set(last, at)
    this.#sink(this.#rise(at))
    return true
  }

  #rise(from: number): number {
    let at = from
    const item = this.#items[at] as T
    while (at > 0) {
      const above = (at - 1) >> 1
      const other = this.#items[above] as T
      if (this.#compare(item, other) >= 0) break
      this.#set(other, at)
      at = above
    }
    this.#set(item, at)
    return at
  }

  #sink(from: number): void {
    let at = from
    const item = this.#items[at] as T
    for (;;) {
      let below = 2 * at + 1
      if (below >= this.#items.length) break
      const right = below + 1
      if (right < this.#items.length && this.#compare(this.#items[right] as T, this.#items[below] as T) < 0)
        below = right
      const other = this.#items[below] as T
      if (this.#compare(item, other) <= 0) break
      this.#set(other, at)
      at = below
    }
    this.#set(item, at)
  }

  #set(item: T, at: number): void {
    this.#items[at] = item
    this.#places.set(item, at)
  }
}
