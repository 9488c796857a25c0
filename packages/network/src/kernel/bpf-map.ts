import { callBpf, requireBpf, type Attribute } from './bpf-syscall.ts'
import { DataplaneError } from './dataplane-error.ts'

const ENOENT = 2
/** The kernel's own: this kind of map has no such call. */
const ENOTSUPP = 524
/** Entries that one batch call moves; bounds the buffers. */
const BATCH_ENTRIES = 4096
/** Of the place where a batch ends: a bucket's number for hash tables, else a key. Source: kernel/bpf/hashtab.c. */
const CURSOR_BYTES_MIN = 4

/** Facts of a map that its user must know to encode for it. */
interface BpfMapShape {
  readonly name: string
  readonly fd: number
  readonly keyBytes: number
  /** Of one value as a look-up gives it: for per-CPU maps, all CPUs' one behind the other, each rounded up to 8. */
  readonly valueBytes: number
}

/** Bytes of `struct bpf_map_info` that are read here. */
const INFO_BYTES = 64
const PER_CPU_TYPES = new Set([5, 6, 10])

interface MapInfo {
  readonly id: number
  readonly type: number
  readonly keyBytes: number
  /** Of one CPU. */
  readonly valueBytes: number
  readonly maxEntries: number
}

/** Source: include/uapi/linux/bpf.h, `struct bpf_map_info`. */
export function readMapInfo(fd: number): MapInfo {
  const info = Buffer.alloc(INFO_BYTES)
  requireBpf('ask about a map', 'info', [
    [0, 4, fd],
    [4, 4, INFO_BYTES],
    [8, 8, info],
  ])
  const [type, id, keyBytes, valueBytes, maxEntries] = [0, 4, 8, 12, 16].map((offset) => info.readUInt32LE(offset))
  return { type: type!, id: id!, keyBytes: keyBytes!, valueBytes: valueBytes!, maxEntries: maxEntries! }
}

/** A table of the kernel. Keys and values are bytes; see layouts. */
export class BpfMap implements BpfMapShape {
  readonly name: string
  readonly fd: number
  readonly keyBytes: number
  readonly valueBytes: number
  readonly maxEntries: number

  constructor(name: string, fd: number, possibleCpus: number) {
    const { type, keyBytes, valueBytes, maxEntries } = readMapInfo(fd)
    this.name = name
    this.fd = fd
    this.keyBytes = keyBytes
    this.valueBytes = PER_CPU_TYPES.has(type) ? Math.ceil(valueBytes / 8) * 8 * possibleCpus : valueBytes
    this.maxEntries = maxEntries
  }

  /** Undefined when there is none. */
  get(key: Uint8Array): Buffer | undefined {
    this.#check(key)
    const value = Buffer.alloc(this.valueBytes)
    const { result } = callBpf('mapLookup', [...this.#element(key), [16, 8, value]])
    if (result >= 0) return value
    if (result === -ENOENT) return undefined
    throw new DataplaneError(`Cannot read map ${this.name}`, { errno: -result })
  }

  /** Adds or replaces. */
  set(key: Uint8Array, value: Uint8Array): void {
    this.#check(key, value)
    requireBpf(`write map ${this.name} of ${this.maxEntries} entries`, 'mapUpdate', [
      ...this.#element(key),
      [16, 8, value],
    ])
  }

  /** False when there was none. */
  delete(key: Uint8Array): boolean {
    this.#check(key)
    const { result } = callBpf('mapDelete', this.#element(key))
    if (result < 0 && result !== -ENOENT)
      throw new DataplaneError(`Cannot delete from map ${this.name}`, { errno: -result })
    return result >= 0
  }

  /** Adds or replaces many with few calls. Not atomic as a whole: each entry is. */
  setMany(entries: readonly (readonly [key: Uint8Array, value: Uint8Array])[]): void {
    for (let start = 0; start < entries.length; start += BATCH_ENTRIES) {
      const part = entries.slice(start, start + BATCH_ENTRIES)
      for (const [key, value] of part) this.#check(key, value)
      const keys = Buffer.concat(part.map(([key]) => key))
      const values = Buffer.concat(part.map(([, value]) => value))
      requireBpf(`write ${part.length} entries to map ${this.name} of ${this.maxEntries} entries`, 'mapUpdateBatch', [
        [16, 8, keys],
        [24, 8, values],
        [32, 4, part.length],
        [36, 4, this.fd],
      ])
    }
  }

  /** Deletes many with few calls; those that are not there are skipped. */
  deleteMany(keys: readonly Uint8Array[]): void {
    for (let start = 0; start < keys.length;) {
      const part = keys.slice(start, start + BATCH_ENTRIES)
      for (const key of part) this.#check(key)
      const { result, attributes } = callBpf('mapDeleteBatch', [
        [16, 8, Buffer.concat(part)],
        [32, 4, part.length],
        [36, 4, this.fd],
      ])
      if (result >= 0) start += part.length
      // the kernel ends at a key that is not there, and says how many it deleted before
      else if (result === -ENOENT) start += attributes.getUint32(32, true) + 1
      else if (result === -ENOTSUPP) {
        for (const key of keys.slice(start)) this.delete(key)
        return
      } else throw new DataplaneError(`Cannot delete ${part.length} entries from map ${this.name}`, { errno: -result })
    }
  }

  /** Every key. Keys that come or go meanwhile may be there or not. */
  keys(): Buffer[] {
    const found: Buffer[] = []
    let previous: Buffer | undefined
    // A key that is deleted meanwhile makes the kernel begin again; the bound ends that.
    for (let i = 0; i < this.maxEntries * 2; i++) {
      const next = Buffer.alloc(this.keyBytes)
      const { result } = callBpf('mapNextKey', [
        [0, 4, this.fd],
        [8, 8, previous ?? 0n],
        [16, 8, next],
      ])
      if (result === -ENOENT) return found
      if (result < 0) throw new DataplaneError(`Cannot list map ${this.name}`, { errno: -result })
      found.push(next)
      previous = next
    }
    return found
  }

  /** Every entry. Those that come or go meanwhile may be there or not. */
  entries(): [key: Buffer, value: Buffer][] {
    return [...this.#batches()].flatMap(({ count, keys, values }) =>
      Array.from({ length: count }, (_, i): [Buffer, Buffer] => [
        keys.subarray(i * this.keyBytes, (i + 1) * this.keyBytes),
        values.subarray(i * this.valueBytes, (i + 1) * this.valueBytes),
      ]),
    )
  }

  /** Number of entries. Those that come or go meanwhile may be counted or not. */
  count(): number {
    let sum = 0
    for (const { count } of this.#batches()) sum += count
    return sum
  }

  *#batches(): Generator<{ readonly count: number; readonly keys: Buffer; readonly values: Buffer }> {
    const cursor = Buffer.alloc(Math.max(this.keyBytes, CURSOR_BYTES_MIN))
    const most = Math.min(BATCH_ENTRIES, this.maxEntries)
    let found = 0
    for (let first = true; found <= this.maxEntries; first = false) {
      const keys = Buffer.alloc(most * this.keyBytes)
      const values = Buffer.alloc(most * this.valueBytes)
      const { result, attributes } = callBpf('mapLookupBatch', [
        [0, 8, first ? 0n : cursor],
        [8, 8, cursor],
        [16, 8, keys],
        [24, 8, values],
        [32, 4, most],
        [36, 4, this.fd],
      ])
      if (result < 0 && result !== -ENOENT) throw new DataplaneError(`Cannot read map ${this.name}`, { errno: -result })
      const count = attributes.getUint32(32, true)
      found += count
      yield { count, keys, values }
      if (result === -ENOENT) return
    }
  }

  #element(key: Uint8Array): Attribute[] {
    return [
      [0, 4, this.fd],
      [8, 8, key],
    ]
  }

  #check(key: Uint8Array, value?: Uint8Array): void {
    if (key.length !== this.keyBytes)
      throw new DataplaneError(`Keys of map ${this.name} have ${this.keyBytes} bytes, not ${key.length}`)
    if (value !== undefined && value.length !== this.valueBytes)
      throw new DataplaneError(`Values of map ${this.name} have ${this.valueBytes} bytes, not ${value.length}`)
  }
}
