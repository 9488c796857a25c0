import { grown } from './columns.ts'
import type { PodFootprint } from './pod-footprint.ts'
import type { Tracker } from './trackers.ts'

const NONE = -1

/** A footprint that placed pods have, with what counts them. */
export interface PlacedFootprint {
  readonly footprint: PodFootprint
  /** Its place in the table. */
  readonly id: number
  /** What each of its pods adds to. */
  readonly tracked: { readonly tracker: Tracker; readonly weight: number }[]
  /** The first of its pods; −1: none. */
  first: number
  pods: number
}

/**
 * Pods that use nodes: a row of numbers each, no object. Rows of one node, and rows of one footprint, are linked. The row of a
 * pod that went is used again.
 */
export class PodTable {
  readonly #rows = new Map<string, number>()
  readonly #uids: (string | undefined)[] = []
  readonly #footprints: (PlacedFootprint | undefined)[] = []
  readonly #byKey = new Map<string, PlacedFootprint>()
  readonly #byIdentity = new Map<string, Set<PlacedFootprint>>()
  readonly #freeRows: number[] = []
  readonly #freeFootprints: number[] = []
  #slots = new Int32Array(0)
  #footprintIds = new Int32Array(0)
  /** Links of a node's pods, in order of arrival. */
  #next = new Int32Array(0)
  #previous = new Int32Array(0)
  /** Links of a footprint's pods. */
  #nextAlike = new Int32Array(0)
  #previousAlike = new Int32Array(0)
  /** By node slot. */
  #firstOn = new Int32Array(0)
  #lastOn = new Int32Array(0)

  get size(): number {
    return this.#rows.size
  }

  rowOf(uid: string): number | undefined {
    return this.#rows.get(uid)
  }

  slotAt(row: number): number {
    return this.#slots[row]!
  }

  uidAt(row: number): string {
    return this.#uids[row]!
  }

  footprintAt(row: number): PlacedFootprint {
    return this.#footprints[this.#footprintIds[row]!]!
  }

  footprint(key: string): PlacedFootprint | undefined {
    return this.#byKey.get(key)
  }

  /** All, or those with this {@link PodFootprint.identityKey}. */
  footprints(identityKey: string | undefined): Iterable<PlacedFootprint> {
    return identityKey === undefined ? this.#byKey.values() : (this.#byIdentity.get(identityKey) ?? [])
  }

  /** A row of the node's pods; −1: it has none. */
  firstOn(slot: number): number {
    return slot < this.#firstOn.length ? this.#firstOn[slot]! : NONE
  }

  /** The next row of the same node; −1: it was the last. */
  nextOn(row: number): number {
    return this.#next[row]!
  }

  /** The next row of the same footprint; −1: it was the last. */
  nextAlike(row: number): number {
    return this.#nextAlike[row]!
  }

  addFootprint(footprint: PodFootprint): PlacedFootprint {
    const id = this.#freeFootprints.pop() ?? this.#footprints.length
    const placed: PlacedFootprint = { footprint, id, tracked: [], first: NONE, pods: 0 }
    this.#footprints[id] = placed
    this.#byKey.set(footprint.key, placed)
    const alike = this.#byIdentity.get(footprint.identityKey) ?? new Set<PlacedFootprint>()
    this.#byIdentity.set(footprint.identityKey, alike.add(placed))
    return placed
  }

  /** It must have no pods. */
  removeFootprint(placed: PlacedFootprint): void {
    const { id, footprint } = placed
    this.#byKey.delete(footprint.key)
    const alike = this.#byIdentity.get(footprint.identityKey)
    alike?.delete(placed)
    if (alike?.size === 0) this.#byIdentity.delete(footprint.identityKey)
    this.#footprints[id] = undefined
    this.#freeFootprints.push(id)
  }

  add(uid: string, slot: number, placed: PlacedFootprint): void {
    const row = this.#freeRows.pop() ?? this.#uids.length
    this.#grow(row + 1, slot + 1)
    this.#rows.set(uid, row)
    this.#uids[row] = uid
    this.#slots[row] = slot
    this.#footprintIds[row] = placed.id
    const last = this.#lastOn[slot]!
    this.#previous[row] = last
    this.#next[row] = NONE
    if (last === NONE) this.#firstOn[slot] = row
    else this.#next[last] = row
    this.#lastOn[slot] = row
    this.#previousAlike[row] = NONE
    this.#nextAlike[row] = placed.first
    if (placed.first !== NONE) this.#previousAlike[placed.first] = row
    placed.first = row
    placed.pods++
  }

  remove(row: number): void {
    const slot = this.#slots[row]!
    const [next, previous] = [this.#next[row]!, this.#previous[row]!]
    if (previous === NONE) this.#firstOn[slot] = next
    else this.#next[previous] = next
    if (next === NONE) this.#lastOn[slot] = previous
    else this.#previous[next] = previous
    const placed = this.footprintAt(row)
    const [nextAlike, previousAlike] = [this.#nextAlike[row]!, this.#previousAlike[row]!]
    if (previousAlike === NONE) placed.first = nextAlike
    else this.#nextAlike[previousAlike] = nextAlike
    if (nextAlike !== NONE) this.#previousAlike[nextAlike] = previousAlike
    placed.pods--
    this.#rows.delete(this.#uids[row]!)
    this.#uids[row] = undefined
    this.#freeRows.push(row)
  }

  #grow(rows: number, slots: number): void {
    this.#slots = grown(this.#slots, rows)
    this.#footprintIds = grown(this.#footprintIds, rows)
    this.#next = grown(this.#next, rows, NONE)
    this.#previous = grown(this.#previous, rows, NONE)
    this.#nextAlike = grown(this.#nextAlike, rows, NONE)
    this.#previousAlike = grown(this.#previousAlike, rows, NONE)
    this.#firstOn = grown(this.#firstOn, slots, NONE)
    this.#lastOn = grown(this.#lastOn, slots, NONE)
  }
}
