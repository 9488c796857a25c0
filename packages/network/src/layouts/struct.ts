/**
 * Records as C and the kernel see them. One description makes the C declaration and the encoder. A description that C would have to pad is refused: bytes that
 * nobody names would hold garbage, and in a key garbage is another key.
 */

/** How one field is stored. `c` declares it. */
export interface Kind<T> {
  readonly size: number
  readonly align: number
  c(name: string): string
  write(view: DataView, offset: number, value: T): void
  read(view: DataView, offset: number): T
  /** Padding is in C, not in TypeScript. */
  readonly isPadding?: true
  /** A bit-field, of which C gives no offset. */
  readonly isBitField?: true
}

type Fields = Readonly<Record<string, Kind<unknown>>>
/** TypeScript's side of a description. */
type RecordOf<F> = {
  readonly [K in keyof F as F[K] extends { isPadding: true } ? never : K]: F[K] extends Kind<infer T> ? T : never
}
/** What an encoder gives back. */
export type ValueOf<S> = S extends Struct<infer T> ? T : never

export interface FieldLayout {
  readonly name: string
  readonly offset: number
  readonly kind: Kind<unknown>
}

export interface Struct<T> extends Kind<T> {
  /** In C. */
  readonly name: string
  readonly fields: readonly FieldLayout[]
  encode(value: T): Buffer
  decode(encoded: Uint8Array): T
}

/** Little endian, as every machine that we run on. */
const LITTLE = true

function integer(size: 1 | 2 | 4): Kind<number> {
  const count = (size * 8) as 8 | 16 | 32
  return {
    size,
    align: size,
    c: (name) => `__u${count} ${name}`,
    write(view, offset, value) {
      requireInteger(value, count)
      view[`setUint${count}`](offset, value, LITTLE)
    },
    read: (view, offset) => view[`getUint${count}`](offset, LITTLE),
  }
}

function requireInteger(value: number, bitCount: number): void {
  const limit = 2 ** bitCount
  if (!Number.isInteger(value) || value < 0 || value >= limit)
    throw new RangeError(`A field of ${bitCount} bits must be an integer from 0 to ${limit - 1}: ${value}`)
}

export const u8 = integer(1)
export const u16 = integer(2)
export const u32 = integer(4)

export const u64: Kind<bigint> = {
  size: 8,
  align: 8,
  c: (name) => `__u64 ${name}`,
  write: (view, offset, value) => view.setBigUint64(offset, value, LITTLE),
  read: (view, offset) => view.getBigUint64(offset, LITTLE),
}

/** Some bytes of a 32-bit word that its other fields fill, so that programs write all of them at once. */
export function bits(count: 8 | 24): Kind<number> & { readonly isBitField: true } {
  return {
    size: count / 8,
    align: 1,
    c: (name) => `__u32 ${name} : ${count}`,
    write(view, offset, value) {
      requireInteger(value, count)
      for (let i = 0; i < count / 8; i++) view.setUint8(offset + i, (value >>> (8 * i)) & 0xff)
    },
    read(view, offset) {
      let value = 0
      for (let i = count / 8 - 1; i >= 0; i--) value = value * 256 + view.getUint8(offset + i)
      return value
    },
    isBitField: true,
  }
}

/** Zero bytes that keep what follows aligned. */
export function padding(size: number): Kind<never> & { readonly isPadding: true } {
  return {
    size,
    align: 1,
    c: (name) => `__u8 ${name}[${size}]`,
    write: () => {},
    read: () => undefined as never,
    isPadding: true,
  }
}

/** As many bytes as said, no more and no fewer. */
export function bytes(size: number): Kind<Uint8Array> {
  return {
    size,
    align: 1,
    c: (name) => `__u8 ${name}[${size}]`,
    write(view, offset, value) {
      if (value.length !== size) throw new RangeError(`A field of ${size} bytes must not get ${value.length}`)
      new Uint8Array(view.buffer, view.byteOffset + offset, size).set(value)
    },
    read: (view, offset) => new Uint8Array(view.buffer, view.byteOffset + offset, size).slice(),
  }
}

/** IPv4 as `10.244.3.7`; 16 bytes in the kernel (`::ffff:10.244.3.7`), so that IPv6 will change no layout. */
export const address: Kind<string> = {
  size: 16,
  align: 4,
  c: (name) => `struct address ${name}`,
  write(view, offset, value) {
    const octets = parseIPv4(value)
    view.setUint16(offset + 10, 0xffff)
    view.setUint32(offset + 12, octets)
  },
  read(view, offset) {
    return formatIPv4(view.getUint32(offset + 12))
  },
}

/** IPv4 in four bytes, for tables of one family, in which the size of a key counts. */
export const ipv4: Kind<string> = {
  size: 4,
  align: 4,
  c: (name) => `__be32 ${name}`,
  write: (view, offset, value) => view.setUint32(offset, parseIPv4(value)),
  read: (view, offset) => formatIPv4(view.getUint32(offset)),
}

/** Six bytes as `0a:ce:0a:f4:03:07`. */
export const mac: Kind<string> = {
  size: 6,
  align: 1,
  c: (name) => `__u8 ${name}[6]`,
  write(view, offset, value) {
    const parts = value.split(':')
    if (parts.length !== 6 || !parts.every((part) => /^[\da-f]{2}$/i.test(part)))
      throw new SyntaxError(`A MAC address must look like 0a:ce:0a:f4:03:07: ${value}`)
    for (const [i, part] of parts.entries()) view.setUint8(offset + i, Number.parseInt(part, 16))
  },
  read: (view, offset) =>
    Array.from({ length: 6 }, (_, i) =>
      view
        .getUint8(offset + i)
        .toString(16)
        .padStart(2, '0'),
    ).join(':'),
}

/** At most `length` items; the rest is zero. Read back whole: another field says how many count. */
export function array<T>(kind: Kind<T>, length: number): Kind<readonly T[]> {
  return {
    size: kind.size * length,
    align: kind.align,
    c: (name) => `${kind.c(name)}[${length}]`,
    write(view, offset, values) {
      if (values.length > length) throw new RangeError(`An array of ${length} must not get ${values.length} items`)
      for (const [i, value] of values.entries()) kind.write(view, offset + i * kind.size, value)
    },
    read: (view, offset) => Array.from({ length }, (_, i) => kind.read(view, offset + i * kind.size)),
  }
}

/** Describes a record. Names are camelCase here and snake_case in C. */
export function struct<F extends Fields>(name: string, description: F): Struct<RecordOf<F>> {
  type T = RecordOf<F>
  const { fields, size, align } = layOut(name, description)
  const kept = fields.filter((field) => field.kind.isPadding === undefined)
  const write = (view: DataView, offset: number, value: T): void => {
    for (const field of kept) field.kind.write(view, offset + field.offset, value[field.name as keyof T])
  }
  const read = (view: DataView, offset: number): T =>
    Object.fromEntries(kept.map((field) => [field.name, field.kind.read(view, offset + field.offset)])) as T
  return {
    name,
    fields,
    size,
    align,
    c: (field) => `struct ${name} ${field}`,
    write,
    read,
    encode(value) {
      const buffer = Buffer.alloc(size)
      write(viewOf(buffer), 0, value)
      return buffer
    },
    decode(encoded) {
      if (encoded.length !== size) throw new RangeError(`struct ${name} has ${size} bytes, not ${encoded.length}`)
      return read(viewOf(encoded), 0)
    },
  }
}

function layOut(name: string, description: Fields): { fields: FieldLayout[]; size: number; align: number } {
  const fields: FieldLayout[] = []
  let size = 0
  let align = 1
  for (const [field, kind] of Object.entries(description)) {
    if (size % kind.align !== 0) throw new Error(`struct ${name}: padding must be named before ${field}`)
    fields.push({ name: field, offset: size, kind })
    size += kind.size
    align = Math.max(align, kind.align)
  }
  if (size % align !== 0) throw new Error(`struct ${name}: padding must be named at the end`)
  return { fields, size, align }
}

function viewOf(buffer: Uint8Array): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}

/** The number of an IPv4 address. Throws `SyntaxError`. */
export function parseIPv4(text: string): number {
  const parts = text.split('.')
  const isAddress = parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)
  if (!isAddress) throw new SyntaxError(`An address must look like 10.244.3.7: ${text}`)
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0)
}

export function formatIPv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
}
