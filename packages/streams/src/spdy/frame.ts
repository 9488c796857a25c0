/** Types of control frame. Source: SPDY/3.1 section 2.6. */
export const FRAME = {
  SYN_STREAM: 1,
  SYN_REPLY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  HEADERS: 8,
  WINDOW_UPDATE: 9,
} as const

export const FLAG_FIN = 0x01
/** Reasons in RST_STREAM. */
export const RESET = { PROTOCOL_ERROR: 1, INVALID_STREAM: 2, REFUSED_STREAM: 3, CANCEL: 5 } as const

const HEADER_BYTES = 8
const VERSION = 3
/** A longer frame is refused. Kubernetes' clients write at most 32 KB at once; the format would allow 16 MB. */
export const FRAME_BYTES_MAX = 1024 * 1024

export type Frame =
  | { readonly type: 'data'; readonly streamId: number; readonly flags: number; readonly payload: Buffer }
  | { readonly type: 'control'; readonly kind: number; readonly flags: number; readonly payload: Buffer }

/** The frames of a byte stream, as they become whole. */
export class FrameReader {
  #chunks: Buffer[] = []
  #bytes = 0

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  /** The next whole frame, or undefined. Throws when it is not SPDY/3 or too long. */
  next(): Frame | undefined {
    if (this.#bytes < HEADER_BYTES) return undefined
    const header = this.#peek(HEADER_BYTES)
    const length = header.readUIntBE(5, 3)
    if (length > FRAME_BYTES_MAX)
      throw new RangeError(`SPDY frame of ${length} bytes is longer than ${FRAME_BYTES_MAX}`)
    if (this.#bytes < HEADER_BYTES + length) return undefined
    const whole = this.#take(HEADER_BYTES + length)
    const first = whole.readUInt32BE(0)
    const flags = whole.readUInt8(4)
    const payload = whole.subarray(HEADER_BYTES)
    if (first < 0x80000000) return { type: 'data', streamId: first, flags, payload }
    if (((first >>> 16) & 0x7fff) !== VERSION) throw new SyntaxError(`SPDY version must be ${VERSION}`)
    return { type: 'control', kind: first & 0xffff, flags, payload }
  }

  #peek(length: number): Buffer {
    if (this.#chunks[0]!.length < length) this.#chunks = [Buffer.concat(this.#chunks)]
    return this.#chunks[0]!.subarray(0, length)
  }

  #take(length: number): Buffer {
    const whole = this.#peekWhole(length)
    const first = this.#chunks[0]!
    if (first.length === length) this.#chunks.shift()
    else this.#chunks[0] = first.subarray(length)
    this.#bytes -= length
    return whole
  }

  /** Joins only what the frame needs. */
  #peekWhole(length: number): Buffer {
    let count = 0
    let bytes = 0
    while (bytes < length) bytes += this.#chunks[count++]!.length
    if (count > 1) this.#chunks.splice(0, count, Buffer.concat(this.#chunks.slice(0, count)))
    return this.#chunks[0]!.subarray(0, length)
  }
}

export function encodeControl(kind: number, flags: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
  frame.writeUInt32BE((0x80000000 | (VERSION << 16) | kind) >>> 0, 0)
  frame.writeUInt8(flags, 4)
  frame.writeUIntBE(payload.length, 5, 3)
  payload.copy(frame, HEADER_BYTES)
  return frame
}

/** The head of a data frame; the data follows as it is, uncopied. */
export function encodeDataHeader(streamId: number, flags: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header.writeUInt32BE(streamId, 0)
  header.writeUInt8(flags, 4)
  header.writeUIntBE(length, 5, 3)
  return header
}

/** Big-endian 32-bit words. */
export function encodeWords(...words: readonly number[]): Buffer {
  const payload = Buffer.alloc(words.length * 4)
  words.forEach((word, i) => payload.writeUInt32BE(word >>> 0, i * 4))
  return payload
}
