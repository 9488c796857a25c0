import { ProtobufError } from './error.ts'

/** Strings up to this length are read by a loop, which is faster than a call for each. */
const LOOP_BYTES = 16

const buffers = globalThis.Buffer as typeof Buffer | undefined
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export type JsonObject = Record<string, unknown>

/** What one message may still use up; objects within it share it. */
export interface DecodeBudget {
  structs: number
  depth: number
  /** Reads an object in an envelope, which a RawExtension may hold instead of JSON. */
  readonly decodeEnvelope: (bytes: Uint8Array, budget: DecodeBudget) => JsonObject
}

/** Reads protobuf from the start. Every length is checked against what there is before anything is made of it. */
export class Reader {
  position = 0
  readonly bytes: Uint8Array
  readonly budget: DecodeBudget
  readonly #text: Buffer | undefined

  constructor(bytes: Uint8Array, budget: DecodeBudget) {
    this.bytes = bytes
    this.budget = budget
    this.#text = buffers?.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** An unsigned 32-bit number: a tag or a length. Longer ones are an error, as they are to upstream (a field number of 0 too). */
  readVarint32(end: number): number {
    const { bytes } = this
    let at = this.position
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= end) throw new ProtobufError('Cannot read protobuf: unexpected end')
      const byte = bytes[at++]!
      value += shift < 28 ? (byte & 0x7f) << shift : (byte & 0x7f) * 0x1000_0000
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break
        this.position = at
        return value
      }
    }
    throw new ProtobufError('Cannot read protobuf: number is too large')
  }

  /** A signed 64-bit number. Beyond 2^53 it is rounded, as JSON numbers are. */
  readInt(end: number): number {
    const { bytes } = this
    const first = bytes[this.position]!
    if (this.position < end && first < 0x80) {
      this.position++
      return first
    }
    let low = 0
    let high = 0
    for (let i = 0; i < 10; i++) {
      if (this.position >= end) throw new ProtobufError('Cannot read protobuf: unexpected end')
      const byte = bytes[this.position++]!
      const bits = byte & 0x7f
      if (i < 4) low += bits * 2 ** (7 * i)
      else if (i === 4) {
        low += (bits & 0xf) * 2 ** 28
        high = bits >>> 4
      } else if (i < 9) high += bits * 2 ** (7 * i - 32)
      else high += (bits & 1) * 2 ** 31
      if (byte < 0x80) return toSigned(low, high)
    }
    throw new ProtobufError('Cannot read protobuf: number is too large')
  }

  readDouble(end: number): number {
    const start = this.#take(8, end)
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + start, 8).getFloat64(0, true)
  }

  /** Where a value that begins with its length ends; `position` is where it begins. */
  readLength(end: number): number {
    const length = this.readVarint32(end)
    if (length > end - this.position) throw new ProtobufError('Cannot read protobuf: unexpected end')
    return this.position + length
  }

  /** UTF-8 text from `position` to `end`; what is not UTF-8 becomes U+FFFD. */
  readText(end: number): string {
    const start = this.position
    this.position = end
    if (end - start <= LOOP_BYTES) {
      const text = readAscii(this.bytes, start, end)
      if (text !== undefined) return text
    }
    return this.#text === undefined
      ? decoder.decode(this.bytes.subarray(start, end))
      : this.#text.toString('utf8', start, end)
  }

  /** Passes over a value whose field is not known. */
  skip(wireType: number, end: number): void {
    if (wireType === 0) this.readInt(end)
    else if (wireType === 1) this.#take(8, end)
    else if (wireType === 2) this.position = this.readLength(end)
    else if (wireType === 5) this.#take(4, end)
    else throw new ProtobufError(`Cannot read protobuf: wire type ${wireType} is not supported`)
  }

  #take(bytes: number, end: number): number {
    const start = this.position
    if (end - start < bytes) throw new ProtobufError('Cannot read protobuf: unexpected end')
    this.position = start + bytes
    return start
  }
}

function toSigned(low: number, high: number): number {
  if (high < 0x8000_0000) return high * 0x1_0000_0000 + low
  // Two's complement: -(~value + 1).
  const inverseLow = 0xffff_ffff - low
  const inverseHigh = 0xffff_ffff - high
  return -(inverseHigh * 0x1_0000_0000 + inverseLow + 1)
}

function readAscii(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = ''
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte > 0x7f) return undefined
    text += String.fromCharCode(byte)
  }
  return text
}
