/**
 * Records of two versions of the tables, and how one becomes the other: by the names of their fields. Who gives a field, or a record, another meaning must give it
 * another name; then it is not carried over.
 */

export type RecordLayout =
  | { readonly kind: 'integer'; readonly size: number }
  /** What has a meaning as a whole only, such as an address. */
  | { readonly kind: 'bytes'; readonly size: number }
  | { readonly kind: 'array'; readonly of: RecordLayout; readonly length: number }
  | { readonly kind: 'record'; readonly name: string; readonly size: number; readonly fields: readonly RecordField[] }

export interface RecordField {
  readonly name: string
  readonly offset: number
  readonly layout: RecordLayout
}

type ArrayLayout = Extract<RecordLayout, { kind: 'array' }>
type StructLayout = Extract<RecordLayout, { kind: 'record' }>

/** A record as the other version has it; undefined: that has no room for what this one says. */
export type Conversion = (record: Uint8Array) => Buffer | undefined

/** Keeps what follows aligned; says nothing. */
const PADDING = 'pad'

/** What stands before the four bytes of IPv4 in `struct address` (RFC 4291, 2.5.5.2). */
const IPV4_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/** Bytes to copy. Numbers are little endian: a wider one has the same first bytes, a narrower one has room if the `rest` is zero. */
interface Move {
  readonly from: number
  readonly to: number
  readonly size: number
  readonly rest: number
  /** An address of IPv4 goes between a field for any address, in which {@link IPV4_PREFIX} comes first, and one that has room for no other. */
  readonly prefix?: 'needed' | 'given'
}

export function sizeOf(layout: RecordLayout): number {
  return layout.kind === 'array' ? sizeOf(layout.of) * layout.length : layout.size
}

export function isSameLayout(a: RecordLayout, b: RecordLayout): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** How values become those of the other version: fields that are new are zero, those that are no more are left out. Undefined: they can't. */
export function planValues(from: RecordLayout, to: RecordLayout): Conversion | undefined {
  const moves = planMoves(from, to)
  return moves === undefined ? undefined : createConversion(joinMoves(moves), sizeOf(to))
}

/** As {@link planValues}; but a key must keep all of its fields, or two would become one. */
export function planKeys(from: RecordLayout, to: RecordLayout): Conversion | undefined {
  return keepsFields(from, to) ? planValues(from, to) : undefined
}

function createConversion(moves: readonly Move[], size: number): Conversion {
  return (record) => {
    const converted = Buffer.alloc(size)
    for (const move of moves) {
      if (
        move.prefix === 'needed' &&
        !IPV4_PREFIX.every((byte, i) => record[move.from - IPV4_PREFIX.length + i] === byte)
      )
        return undefined
      if (move.prefix === 'given') converted.set(IPV4_PREFIX, move.to - IPV4_PREFIX.length)
      for (let i = 0; i < move.size; i++) converted[move.to + i] = record[move.from + i]!
      for (let i = 0; i < move.rest; i++) if (record[move.from + move.size + i] !== 0) return undefined
    }
    return converted
  }
}

function planMoves(from: RecordLayout, to: RecordLayout): Move[] | undefined {
  if (from.kind === 'integer' && to.kind === 'integer')
    return [{ from: 0, to: 0, size: Math.min(from.size, to.size), rest: Math.max(0, from.size - to.size) }]
  if (from.kind === 'bytes' && to.kind === 'bytes')
    return from.size === to.size ? [{ from: 0, to: 0, size: from.size, rest: 0 }] : undefined
  if (from.kind === 'array' && to.kind === 'array') return planArray(from, to)
  if (from.kind === 'record' && to.kind === 'record') return planStruct(from, to)
  const [prefix, size] = [IPV4_PREFIX.length, 4]
  if (isAddress(from) && isIPv4(to)) return [{ from: prefix, to: 0, size, rest: 0, prefix: 'needed' }]
  if (isIPv4(from) && isAddress(to)) return [{ from: 0, to: prefix, size, rest: 0, prefix: 'given' }]
  return undefined
}

function isAddress(layout: RecordLayout): boolean {
  return layout.kind === 'record' && layout.name === 'address'
}

function isIPv4(layout: RecordLayout): boolean {
  return layout.kind === 'bytes' && layout.size === 4
}

/** What a shorter array has no room for must be zero. */
function planArray(from: ArrayLayout, to: ArrayLayout): Move[] | undefined {
  const moves = planMoves(from.of, to.of)
  if (moves === undefined) return undefined
  const [fromStep, toStep] = [sizeOf(from.of), sizeOf(to.of)]
  const common = Math.min(from.length, to.length)
  const copied = Array.from({ length: common }, (_, i) => shift(moves, { from: i * fromStep, to: i * toStep })).flat()
  return [...copied, { from: common * fromStep, to: 0, size: 0, rest: (from.length - common) * fromStep }]
}

function planStruct(from: StructLayout, to: StructLayout): Move[] | undefined {
  if (from.name !== to.name) return undefined
  const moves: Move[] = []
  let isCarried = false
  for (const after of meaningful(to)) {
    const before = from.fields.find(({ name }) => name === after.name)
    if (before === undefined) continue
    const ofField = planMoves(before.layout, after.layout)
    if (ofField === undefined) return undefined
    moves.push(...shift(ofField, { from: before.offset, to: after.offset }))
    isCarried = true
  }
  return isCarried ? moves : undefined
}

function shift(moves: readonly Move[], by: { readonly from: number; readonly to: number }): Move[] {
  return moves.map((move) => ({ ...move, from: move.from + by.from, to: move.to + by.to }))
}

/** Neighbours that stay neighbours are copied at once. */
function joinMoves(moves: readonly Move[]): Move[] {
  const joined: Move[] = []
  for (const move of moves) {
    const last = joined.at(-1)
    const follows = last?.rest === 0 && move.from === last.from + last.size && move.to === last.to + last.size
    if (last !== undefined && follows && move.prefix === undefined)
      joined[joined.length - 1] = { ...last, size: last.size + move.size, rest: move.rest }
    else if (move.size > 0 || move.rest > 0) joined.push(move)
  }
  return joined
}

function keepsFields(from: RecordLayout, to: RecordLayout): boolean {
  if (from.kind === 'array' && to.kind === 'array') return keepsFields(from.of, to.of)
  if (from.kind !== 'record' || to.kind !== 'record') return true // whether they fit is planMoves' to say
  return meaningful(from).every((field) => {
    const after = to.fields.find(({ name }) => name === field.name)
    return after !== undefined && keepsFields(field.layout, after.layout)
  })
}

function meaningful({ fields }: StructLayout): readonly RecordField[] {
  return fields.filter(({ name }) => name !== PADDING)
}
