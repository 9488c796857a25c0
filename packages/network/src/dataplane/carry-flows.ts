import type { BpfMap } from '../kernel/bpf-map.ts'
import type { Conversion } from '../layouts/record-layout.ts'

/** How records of one table become those of the other version's. */
export interface TableConversion {
  readonly from: BpfMap
  readonly to: BpfMap
  readonly key: Conversion
  readonly value: Conversion
}

interface Entry {
  readonly text: string
  readonly key: Buffer
  readonly value: Buffer
}

/**
 * Carries over a table that programs themselves write while it is read. Until the switch the new one is brought up to date as often as asked; after it, what the
 * old programs wrote last.
 */
export class FlowCarry {
  readonly #table: TableConversion
  /** What the old table had when it was last read. Undefined: never, by this process. */
  #seen: Map<string, Entry> | undefined

  constructor(table: TableConversion) {
    this.#table = table
  }

  /** Before the switch, when nobody else writes the new table. Returns the number of changes. */
  refresh(): number {
    const { to } = this.#table
    const before = this.#seen ?? new Map<string, Entry>()
    const now = this.#read()
    const changed = [...now.values()].filter(({ text, value }) => before.get(text)?.value.equals(value) !== true)
    const gone = [...before.values()].filter(({ text }) => !now.has(text))
    to.deleteMany(this.#convert(gone).map(([key]) => key))
    to.setMany(this.#convert(changed))
    this.#seen = now
    return changed.length + gone.length
  }

  /**
   * After the switch. Of a flow that both programs wrote, the new ones' entry counts, unless they never saw how it began: who asks for it would be mistaken for
   * who answers.
   */
  finish(): number {
    const { to } = this.#table
    const before = this.#seen
    const late: [Buffer, Buffer][] = []
    for (const entry of this.#read().values()) {
      const seen = before?.get(entry.text)
      if (seen?.value.equals(entry.value) === true) continue
      const [converted] = this.#convert([entry])
      if (converted === undefined) continue
      const current = to.get(converted[0])
      const isOurs = seen !== undefined && this.#convert([seen])[0]?.[1].equals(current ?? Buffer.alloc(0)) === true
      const beganBefore = before !== undefined && seen === undefined
      if (current === undefined || isOurs || beganBefore) late.push(converted)
    }
    to.setMany(late)
    return late.length
  }

  #read(): Map<string, Entry> {
    return new Map(
      this.#table.from.entries().map(([key, value]) => {
        const text = key.toString('latin1')
        return [text, { text, key, value }]
      }),
    )
  }

  #convert(entries: readonly Entry[]): [Buffer, Buffer][] {
    return entries.flatMap((entry) => {
      const key = this.#table.key(entry.key)
      const value = this.#table.value(entry.value)
      return key === undefined || value === undefined ? [] : [[key, value] satisfies [Buffer, Buffer]]
    })
  }
}
