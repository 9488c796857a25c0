import { grown } from './columns.ts'

/** One interned column of node labels: for each node the number of its value, or {@link NO_VALUE}. */
export interface TopologyColumn {
  readonly key: string
  /** By node slot. Replaced when it grows: read it anew each time. Beyond its end there is no value. */
  readonly values: Int32Array
  /** Each number is below it. */
  readonly valueCount: number
}

export const NO_VALUE = -1

type Labels = Readonly<Record<string, string>>

class Column implements TopologyColumn {
  readonly key: string
  values: Int32Array = new Int32Array(0)
  valueCount = 0
  users = 0
  readonly #numbers = new Map<string, number>()
  readonly #texts: string[] = []
  /** Nodes that have the value, by its number. */
  readonly #nodes: number[] = []
  /** Numbers whose values no node has any more. */
  readonly #free: number[] = []

  constructor(key: string) {
    this.key = key
  }

  put(slot: number, value: string | undefined): void {
    this.values = grown(this.values, slot + 1, NO_VALUE)
    const before = this.values[slot]!
    const number = value === undefined ? NO_VALUE : this.#numberOf(value)
    if (number !== NO_VALUE) this.#nodes[number]!++
    this.values[slot] = number
    if (before === NO_VALUE || --this.#nodes[before]! > 0) return
    this.#numbers.delete(this.#texts[before]!)
    this.#free.push(before)
  }

  #numberOf(value: string): number {
    const known = this.#numbers.get(value)
    if (known !== undefined) return known
    const number = this.#free.pop() ?? this.valueCount++
    this.#numbers.set(value, number)
    this.#texts[number] = value
    this.#nodes[number] = 0
    return number
  }
}

/** Interns label values for the topology keys that are in use. A number is given again when no node has its value. */
export class TopologyIndex {
  readonly #columns = new Map<string, Column>()

  /** The column of a key, made from all nodes' labels when it is new. It is kept until {@link release} was called as often. */
  acquire(key: string, labels: readonly (Labels | undefined)[]): TopologyColumn {
    let column = this.#columns.get(key)
    if (column === undefined) {
      column = new Column(key)
      this.#columns.set(key, column)
      for (const [slot, nodeLabels] of labels.entries()) column.put(slot, nodeLabels?.[key])
    }
    column.users++
    return column
  }

  release(key: string): void {
    const column = this.#columns.get(key)
    if (column !== undefined && --column.users === 0) this.#columns.delete(key)
  }

  /** Keeps the columns right when a node's labels change; undefined: the node is gone. */
  update(slot: number, labels: Labels | undefined): void {
    for (const column of this.#columns.values()) column.put(slot, labels?.[column.key])
  }
}
