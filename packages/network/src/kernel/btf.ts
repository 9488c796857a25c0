/** What the kernel keeps of a map's types: BTF, which clang wrote. Source: Documentation/bpf/btf.rst. */
import type { RecordField, RecordLayout } from '../layouts/record-layout.ts'

const MAGIC = 0xeb9f
const INT = 1
const ARRAY = 3
const STRUCT = 4
const TYPEDEF = 8
const VOLATILE = 9
const CONST = 10
const VAR = 14
const DATASEC = 15

/** Bytes that follow the twelve of a type, by kind: once, and for each of its `vlen` parts. */
const MORE: Readonly<Partial<Record<number, { readonly once?: number; readonly each?: number }>>> = {
  [INT]: { once: 4 },
  [ARRAY]: { once: 12 },
  [STRUCT]: { each: 12 },
  5: { each: 12 }, // union
  6: { each: 8 }, // enum
  13: { each: 8 }, // function's prototype
  [VAR]: { once: 4 },
  [DATASEC]: { each: 12 },
  17: { once: 4 }, // declaration's tag
  19: { each: 12 }, // enum of 64 bits
}

interface BtfType {
  readonly kind: number
  readonly name: string
  /** Size in bytes, or the number of another type. */
  readonly value: number
  readonly vlen: number
  /** Of a struct: its fields say how many bits they have, if they are bit-fields. */
  readonly hasBitFields: boolean
  /** Where what follows begins. */
  readonly more: number
}

/** Layouts of types by number, of one blob. Undefined: it holds what no record of ours has, such as a pointer. */
export function parseBtf(blob: Uint8Array): (type: number) => RecordLayout | undefined {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength)
  const types = readTypes(blob)
  const fieldsOf = ({ vlen, more, kind, hasBitFields }: BtfType): RecordField[] | undefined => {
    const fields: RecordField[] = []
    for (let i = 0; i < vlen; i++) {
      const [first, second, third] = [0, 4, 8].map((at) => view.getUint32(more + i * 12 + at, true))
      const isSection = kind === DATASEC
      const type = isSection ? first! : second!
      const bits = hasBitFields ? third! >>> 24 : 0
      const layout: RecordLayout | undefined = bits === 0 ? layoutOf(type) : { kind: 'integer', size: bits / 8 }
      if (layout === undefined) return undefined
      const name = isSection ? (types[type]?.name ?? '') : readName(blob, first!)
      const offset = isSection ? second! : (hasBitFields ? third! & 0xffffff : third!) / 8
      fields.push({ name, offset, layout })
    }
    return fields
  }
  const layoutOf = (id: number): RecordLayout | undefined => {
    const type = types[id]
    switch (type?.kind) {
      case INT:
        return { kind: 'integer', size: type.value }
      case TYPEDEF: {
        const layout = layoutOf(type.value)
        // big endian: not a number that could be made wider
        return layout?.kind === 'integer' && type.name.startsWith('__be')
          ? { kind: 'bytes', size: layout.size }
          : layout
      }
      case VOLATILE:
      case CONST:
      case VAR:
        return layoutOf(type.value)
      case ARRAY: {
        const of = layoutOf(view.getUint32(type.more, true))
        const length = view.getUint32(type.more + 8, true)
        if (of?.kind === 'integer' && of.size === 1) return { kind: 'bytes', size: length }
        return of && { kind: 'array', of, length }
      }
      case STRUCT:
      case DATASEC: {
        const fields = fieldsOf(type)
        return fields && { kind: 'record', name: type.name, size: type.value, fields }
      }
      default:
        return undefined
    }
  }
  return layoutOf
}

function readTypes(blob: Uint8Array): (BtfType | undefined)[] {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength)
  if (blob.length < 24 || view.getUint16(0, true) !== MAGIC) return []
  const [headerBytes, typeOffset, typeBytes] = [4, 8, 12].map((at) => view.getUint32(at, true))
  const types: (BtfType | undefined)[] = [undefined] // number 0 is void
  let offset = headerBytes! + typeOffset!
  const end = offset + typeBytes!
  while (offset < end) {
    const info = view.getUint32(offset + 4, true)
    const kind = (info >>> 24) & 31
    const vlen = info & 0xffff
    const name = readName(blob, view.getUint32(offset, true))
    const hasBitFields = kind === STRUCT && info >>> 31 === 1
    types.push({ kind, vlen, name, hasBitFields, value: view.getUint32(offset + 8, true), more: offset + 12 })
    offset += 12 + (MORE[kind]?.once ?? 0) + (MORE[kind]?.each ?? 0) * vlen
  }
  return types
}

function readName(blob: Uint8Array, at: number): string {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength)
  const start = view.getUint32(4, true) + view.getUint32(16, true) + at
  return Buffer.from(blob.subarray(start, blob.indexOf(0, start))).toString('latin1')
}
