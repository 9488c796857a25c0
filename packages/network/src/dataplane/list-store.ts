import type { BpfMap } from '../kernel/bpf-map.ts'
import { list, LIST_OPEN, listKey, SEGMENT_JUMP, type ListRecord } from '../layouts/layouts.ts'
import type { VerdictList } from '../policy/policy-set.ts'
import { encodeJump, encodeList, listText, type EncodedList } from './encode-list.ts'
import type { RuleCounters } from './rule-counters.ts'

interface Stored {
  readonly id: number
  readonly text: string
  /** Lists that this one leads to. */
  readonly parts: readonly number[]
  readonly rules: ReadonlySet<number>
  uses: number
}

/**
 * Lists of verdicts in the kernel. Equal ones are kept once, as long as somebody uses them. Numbers are never given twice: a program that still holds an old
 * one finds nothing, which denies, and not another's list.
 */
export class ListStore {
  readonly #map: BpfMap
  readonly #counters: RuleCounters
  readonly #byId = new Map<number, Stored>()
  readonly #byText = new Map<string, Stored>()
  #lastId = 0

  /** Takes over what is in the map; nobody uses it yet. */
  constructor(map: BpfMap, counters: RuleCounters) {
    this.#map = map
    this.#counters = counters
    for (const [key, value] of map.entries()) this.#adopt(listKey.decode(key).id, list.decode(value))
    for (const { parts } of this.#byId.values()) for (const part of parts) this.hold(part)
  }

  /** Number of the list, which is written when no equal one is there. One more uses it. */
  add(verdicts: VerdictList): number {
    const tree = encodeList(verdicts)
    if (tree.kind === 'open') return LIST_OPEN
    if (tree.kind === 'list') return this.#use(tree.segments, [])
    const parts = tree.parts.map((part) => this.#use(part, []))
    const jumps = tree.parts.map((part, i) => encodeJump(part, parts[i]!))
    const wasThere = this.#byText.has(listText(jumps))
    const id = this.#use(jumps, parts)
    if (wasThere) for (const part of parts) this.release(part) // the list that was there holds them already
    return id
  }

  /** One more uses a list that is there. */
  hold(id: number): void {
    const stored = this.#byId.get(id)
    if (stored !== undefined) stored.uses++
  }

  /** One less uses it; what nobody uses is deleted. 0 and the open list are nobody's. */
  release(id: number): void {
    const stored = this.#byId.get(id)
    if (stored === undefined) return
    stored.uses--
    if (stored.uses > 0) return
    this.#drop(stored)
    for (const part of stored.parts) this.release(part)
  }

  /** Deletes what was taken over and nobody claimed. */
  dropUnused(): void {
    const unused = [...this.#byId.values()].filter(({ uses }) => uses === 0)
    for (const stored of unused) {
      this.#drop(stored)
      for (const part of stored.parts) this.release(part)
    }
  }

  get size(): number {
    return this.#byId.size
  }

  #adopt(id: number, { count, segments }: ListRecord): void {
    const used = segments.slice(0, count)
    const parts = used.flatMap((item) => (item.verdict === SEGMENT_JUMP ? [item.rule] : []))
    this.#keep({ id, text: listText(used), parts, rules: rulesOf(used), uses: 0 })
  }

  #use(segments: EncodedList, parts: readonly number[]): number {
    const text = listText(segments)
    const known = this.#byText.get(text)
    if (known !== undefined) {
      known.uses++
      return known.id
    }
    const id = this.#lastId + 1
    this.#map.set(listKey.encode({ id }), list.encode({ count: segments.length, segments }))
    this.#keep({ id, text, parts, rules: rulesOf(segments), uses: 1 })
    return id
  }

  #keep(stored: Stored): void {
    this.#byId.set(stored.id, stored)
    this.#byText.set(stored.text, stored)
    this.#counters.hold(stored.rules)
    this.#lastId = Math.max(this.#lastId, stored.id)
  }

  #drop(stored: Stored): void {
    this.#map.delete(listKey.encode({ id: stored.id }))
    this.#byId.delete(stored.id)
    this.#counters.release(stored.rules)
    if (this.#byText.get(stored.text) === stored) this.#byText.delete(stored.text)
  }
}

function rulesOf(segments: EncodedList): Set<number> {
  return new Set(segments.filter(({ verdict }) => verdict !== SEGMENT_JUMP).map(({ rule }) => rule))
}
