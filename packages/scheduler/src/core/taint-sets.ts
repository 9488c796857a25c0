import type { Taint } from '@centaurus/api/core/v1'

interface Known {
  readonly id: number
  readonly key: string
  nodes: number
}

/** Numbers the sets of taints that nodes have: few sets, many nodes, so that a toleration is checked once a set. 0 is the empty one. */
export class TaintSets {
  readonly #sets: (readonly Taint[] | undefined)[] = [[]]
  readonly #known = new Map<string, Known>()
  readonly #byId = new Map<number, Known>()

  /** Whether any node has taints. */
  get isUsed(): boolean {
    return this.#known.size > 0
  }

  get(id: number): readonly Taint[] {
    return this.#sets[id] ?? []
  }

  /** The number of a set for one more node; numbers are not given twice. */
  acquire(taints: readonly Taint[]): number {
    if (taints.length === 0) return 0
    // When a taint came does not matter for who tolerates it.
    const key = JSON.stringify(taints.map((taint) => [taint.key, taint.value, taint.effect]))
    let known = this.#known.get(key)
    if (known === undefined) {
      known = { id: this.#sets.push(taints) - 1, key, nodes: 0 }
      this.#known.set(key, known)
      this.#byId.set(known.id, known)
    }
    known.nodes++
    return known.id
  }

  release(id: number): void {
    const known = this.#byId.get(id)
    if (known === undefined || --known.nodes > 0) return
    this.#known.delete(known.key)
    this.#byId.delete(id)
    this.#sets[id] = undefined
  }
}
