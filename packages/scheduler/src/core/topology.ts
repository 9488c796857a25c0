/** One interned column of node labels: for each node the number of its value, or {@link NO_VALUE}. */
export interface TopologyColumn {
  readonly key: string
  /** By node slot. Longer than the number of slots. */
  readonly values: Int32Array
  /** How many numbers were given out; each value is below it. */
  readonly valueCount: number
}

export const NO_VALUE = -1

const INITIAL_SLOTS = 64

/** Interns label values per topology key, for keys that some pod has asked about. */
export class TopologyIndex {
  readonly #columns = new Map<
    string,
    { key: string; values: Int32Array; valueCount: number; numbers: Map<string, number> }
  >()

  /** The column of a key; made from all nodes' labels at the first call. */
  column(key: string, labels: readonly (Readonly<Record<string, string>> | undefined)[]): TopologyColumn {
    const known = this.#columns.get(key)
    if (known !== undefined) return known
    const column = {
      key,
      values: new Int32Array(Math.max(INITIAL_SLOTS, labels.length)).fill(NO_VALUE),
      valueCount: 0,
      numbers: new Map<string, number>(),
    }
    this.#columns.set(key, column)
    for (const [slot, nodeLabels] of labels.entries()) this.#put(column, slot, nodeLabels?.[key])
    return column
  }

  /** Keeps the columns right when a node's labels change; undefined: the node is gone. */
  update(slot: number, labels: Readonly<Record<string, string>> | undefined): void {
    for (const column of this.#columns.values()) this.#put(column, slot, labels?.[column.key])
  }

  #put(
    column: { values: Int32Array; valueCount: number; numbers: Map<string, number> },
    slot: number,
    value: string | undefined,
  ): void {
    if (slot >= column.values.length) {
      const grown = new Int32Array(Math.max(slot + 1, column.values.length * 2)).fill(NO_VALUE)
      grown.set(column.values)
      column.values = grown
    }
    if (value === undefined) {
      column.values[slot] = NO_VALUE
      return
    }
    let number = column.numbers.get(value)
    if (number === undefined) {
      number = column.valueCount++
      column.numbers.set(value, number)
    }
    column.values[slot] = number
  }
}
