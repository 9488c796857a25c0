/**
 * The part of HTTP/2 that a load generator needs, as bytes. Source: RFC 9113 (frames) and RFC 7541 (header compression). Requests
 * are written without Huffman coding or a dynamic table, and the peer is told to keep none, so a header block needs no state.
 */

export const FRAME_TYPES = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const FLAGS = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const

export const SETTINGS = { headerTableSize: 1, enablePush: 2, maxConcurrentStreams: 3, initialWindowSize: 4 } as const

export const FRAME_HEADER_BYTES = 9
/** Largest payload that a peer must take. Source: RFC 9113 section 4.2. */
export const FRAME_PAYLOAD_BYTES_MAX = 16_384
/** Of connections and streams until told otherwise. Source: RFC 9113 section 6.9.2. */
export const DEFAULT_WINDOW_BYTES = 65_535
/** Source: RFC 9113 section 3.4. */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const NO_ERROR = 0
export const CANCEL = 8

export interface FrameHead {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly length: number
}

/** Writes a frame's head; returns the offset after it. */
export function writeFrameHead(target: Buffer, offset: number, { type, flags, stream, length }: FrameHead): number {
  target[offset] = length >>> 16
  target[offset + 1] = length >>> 8
  target[offset + 2] = length
  target[offset + 3] = type
  target[offset + 4] = flags
  return target.writeUInt32BE(stream, offset + 5)
}

/** A SETTINGS frame. */
export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + 6 * settings.length)
  let offset = writeFrameHead(frame, 0, {
    type: FRAME_TYPES.settings,
    flags: 0,
    stream: 0,
    length: 6 * settings.length,
  })
  for (const [id, value] of settings) offset = frame.writeUInt32BE(value, frame.writeUInt16BE(id, offset))
  return frame
}

/** A WINDOW_UPDATE frame; stream 0 is the connection. */
export function windowUpdateFrame(stream: number, bytes: number): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + 4)
  frame.writeUInt32BE(bytes, writeFrameHead(frame, 0, { type: FRAME_TYPES.windowUpdate, flags: 0, stream, length: 4 }))
  return frame
}

/** Indexes of names in the static table. Source: RFC 7541 appendix A. */
const STATIC_NAMES: Readonly<Record<string, number>> = {
  ':authority': 1,
  ':method': 2,
  ':path': 4,
  accept: 19,
  'content-length': 28,
  'content-type': 31,
  'user-agent': 58,
}
/** Whole fields of the static table. */
const STATIC_FIELDS: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map([
  [
    ':method',
    new Map([
      ['GET', 2],
      ['POST', 3],
    ]),
  ],
  [':scheme', new Map([['https', 7]])],
])

/** Longest value of one field. */
const VALUE_BYTES_MAX = 8 * 1024

/** Writes one field as a literal that nobody indexes; returns the offset after it. `name` must be lower case, `value` Latin-1. */
export function writeField(
  target: Buffer,
  offset: number,
  [name, value]: readonly [name: string, value: string],
): number {
  const whole = STATIC_FIELDS.get(name)?.get(value)
  if (whole !== undefined) {
    target[offset] = 0x80 | whole
    return offset + 1
  }
  const index = STATIC_NAMES[name]
  let at = offset
  if (index === undefined) {
    target[at++] = 0
    at = writeString(target, at, name)
  } else at = writeInteger(target, at, { value: index, bits: 4 })
  return writeString(target, at, value)
}

/** A header block of these fields. */
export function encodeHeaders(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  const block = Buffer.alloc(fields.reduce((sum, [name, value]) => sum + name.length + value.length + 16, 0))
  let at = 0
  for (const field of fields) at = writeField(block, at, field)
  return block.subarray(0, at)
}

function writeString(target: Buffer, offset: number, text: string): number {
  if (text.length > VALUE_BYTES_MAX) throw new RangeError(`Cannot send a header of ${text.length} bytes`)
  const at = writeInteger(target, offset, { value: text.length, bits: 7 })
  return at + target.write(text, at, 'latin1')
}

/** An integer with a prefix of `bits` bits whose other bits are 0. Source: RFC 7541 section 5.1. */
function writeInteger(
  target: Buffer,
  offset: number,
  { value, bits }: { readonly value: number; readonly bits: number },
): number {
  const max = 2 ** bits - 1
  let at = offset
  if (value < max) {
    target[at++] = value
    return at
  }
  target[at++] = max
  let rest = value - max
  for (; rest >= 128; rest >>>= 7) target[at++] = (rest & 127) | 128
  target[at++] = rest
  return at
}

/** Fields 8 to 14 of the static table. */
const STATIC_STATUS = [200, 204, 206, 304, 400, 404, 500]

/**
 * The `:status` of an answer's header block, which comes first in it (RFC 9113 section 8.3). Undefined when the block does not start
 * with it.
 */
export function readStatus(block: Buffer): number | undefined {
  let at = 0
  while ((block[at]! & 0xe0) === 0x20) {
    // size update of the dynamic table: one byte, or as many as continue
    const isLong = (block[at]! & 0x1f) === 0x1f
    at++
    if (isLong) while ((block[at++]! & 0x80) !== 0);
  }
  const first = block[at]!
  if ((first & 0x80) !== 0) return STATIC_STATUS[(first & 0x7f) - 8]
  const index = (first & 0x40) === 0 ? first & 0x0f : first & 0x3f
  if (index < 8 || index > 14) return undefined
  const length = block[at + 1]! & 0x7f
  const text = block.subarray(at + 2, at + 2 + length)
  const status = Number((block[at + 1]! & 0x80) === 0 ? text.toString('latin1') : decodeDigits(text))
  return Number.isInteger(status) ? status : undefined
}

/** Huffman codes of digits: 0 to 2 have five bits, the others six. Source: RFC 7541 appendix B. */
function decodeDigits(bytes: Buffer): string {
  let digits = ''
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('')
  for (let at = 0; bits.length - at >= 5 && digits.length < 3;) {
    const five = Number.parseInt(bits.slice(at, at + 5), 2)
    if (five <= 2) {
      digits += five
      at += 5
      continue
    }
    digits += Number.parseInt(bits.slice(at, at + 6), 2) - 0x19 + 3
    at += 6
  }
  return digits
}
