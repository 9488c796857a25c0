import type { RecordLayout } from '../layouts/record-layout.ts'
import { closeFd, requireBpf } from './bpf-syscall.ts'
import { parseBtf } from './btf.ts'
import { addressOf } from './native.ts'

/** Layouts of a map's keys and values. */
export interface MapLayout {
  readonly key: RecordLayout
  readonly value: RecordLayout
}

/** Bytes of `struct bpf_map_info` that are read here, and of `struct bpf_btf_info`. */
const MAP_INFO_BYTES = 80
const BTF_INFO_BYTES = 32
/** Keys of arrays, for maps that say nothing of their keys: sections of variables. */
const INDEX: RecordLayout = { kind: 'integer', size: 4 }

/** Of a map in the kernel, as the program that made it was compiled. Undefined: it was made without types. */
export function readMapLayout(fd: number): MapLayout | undefined {
  const info = Buffer.alloc(MAP_INFO_BYTES)
  askAbout(fd, info)
  const [btf, key, value] = [64, 68, 72].map((offset) => info.readUInt32LE(offset))
  if (btf === 0 || value === 0) return undefined
  return layoutOf(readBtf(btf!), { key: key!, value: value! })
}

/** Numbers of types in a blob. */
export function layoutOf(
  blob: Uint8Array,
  types: { readonly key: number; readonly value: number },
): MapLayout | undefined {
  const parse = parseBtf(blob)
  const key = types.key === 0 ? INDEX : parse(types.key)
  const value = parse(types.value)
  return key === undefined || value === undefined ? undefined : { key, value }
}

/** Read blobs, which never change. Numbers of them are not given twice while the system runs. */
const blobs = new Map<number, Uint8Array>()

function readBtf(id: number): Uint8Array {
  const known = blobs.get(id)
  if (known !== undefined) return known
  const fd = requireBpf('open the types of a map', 'btfFdById', [[0, 4, id]]).result
  try {
    const size = Buffer.alloc(BTF_INFO_BYTES)
    askAbout(fd, size)
    const blob = Buffer.alloc(size.readUInt32LE(8))
    const info = Buffer.alloc(BTF_INFO_BYTES)
    info.writeBigUInt64LE(addressOf(blob), 0)
    info.writeUInt32LE(blob.length, 8)
    askAbout(fd, info)
    blobs.set(id, blob)
    return blob
  } finally {
    closeFd(fd)
  }
}

function askAbout(fd: number, info: Buffer): void {
  requireBpf('ask about a map or its types', 'info', [
    [0, 4, fd],
    [4, 4, info.length],
    [8, 8, info],
  ])
}
