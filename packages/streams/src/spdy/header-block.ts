import { constants, inflateRawSync } from 'node:zlib'
import { SPDY_DICTIONARY } from './dictionary.ts'

/** Headers of a stream; names are lower case. A header that is sent several times is joined by `, `. */
export type SpdyHeaders = Readonly<Record<string, string>>

/** A header block may not grow beyond this when it is unpacked. Ours hold three short headers. */
const HEADER_BLOCK_BYTES_MAX = 64 * 1024
/** How far back deflate can refer. */
const WINDOW_BYTES = 32 * 1024
/** zlib's two-byte header with FDICT set, then the Adler-32 of the dictionary. Source: RFC 1950 section 2.2. */
const ZLIB_HEADER = Buffer.from([0x78, 0xbb, 0xe3, 0xc6, 0xa7, 0xc2])
const STORED_BLOCK_BYTES_MAX = 0xffff
/** An empty stored block. Go's inflate hands out what it has only when it meets one, as after a flush. */
const FLUSH_MARKER = Buffer.from([0x00, 0x00, 0x00, 0xff, 0xff])

/**
 * Unpacks the header blocks of one direction of a connection, in order. They are one zlib stream that is flushed to a byte boundary
 * after each block, so each can be unpacked at once with the last 32 KB as its dictionary.
 */
export class HeaderDecoder {
  #window: Buffer = SPDY_DICTIONARY
  #isFirst = true

  /** Throws when the block is broken or too large. */
  decode(block: Buffer): SpdyHeaders {
    const packed = this.#isFirst ? skipZlibHeader(block) : block
    this.#isFirst = false
    const unpacked = inflateRawSync(packed, {
      dictionary: this.#window,
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: HEADER_BLOCK_BYTES_MAX,
    })
    this.#window = Buffer.concat([this.#window, unpacked]).subarray(-WINDOW_BYTES)
    return parsePairs(unpacked)
  }
}

/** Packs header blocks. They are short and few, so they are stored: deflate allows it, and every peer reads it. */
export class HeaderEncoder {
  #isFirst = true

  encode(headers: SpdyHeaders): Buffer {
    const plain = formatPairs(headers)
    if (plain.length > STORED_BLOCK_BYTES_MAX) throw new RangeError(`Cannot send SPDY headers of ${plain.length} bytes`)
    const head = Buffer.alloc(5)
    head.writeUInt8(0, 0) // not the last block, stored. Source: RFC 1951 section 3.2.4
    head.writeUInt16LE(plain.length, 1)
    head.writeUInt16LE(plain.length ^ 0xffff, 3)
    const parts = this.#isFirst ? [ZLIB_HEADER, head, plain, FLUSH_MARKER] : [head, plain, FLUSH_MARKER]
    this.#isFirst = false
    return Buffer.concat(parts)
  }
}

function skipZlibHeader(block: Buffer): Buffer {
  if (block.length < 6 || (block.readUInt8(0) & 0x0f) !== 8) throw new SyntaxError('SPDY headers are not a zlib stream')
  const hasDictionary = (block.readUInt8(1) & 0x20) !== 0
  return block.subarray(hasDictionary ? 6 : 2)
}

/** Source: SPDY/3 section 2.6.10, Name/Value Header Block. */
function parsePairs(block: Buffer): SpdyHeaders {
  const headers: Record<string, string> = {}
  const count = block.readUInt32BE(0)
  let offset = 4
  const next = (): string => {
    const length = block.readUInt32BE(offset)
    const end = offset + 4 + length
    if (end > block.length) throw new SyntaxError('SPDY header is longer than its block')
    const text = block.toString('utf8', offset + 4, end)
    offset = end
    return text
  }
  for (let i = 0; i < count; i++) {
    const name = next().toLowerCase()
    headers[name] = next().replaceAll('\0', ', ')
  }
  return headers
}

function formatPairs(headers: SpdyHeaders): Buffer {
  const pairs = Object.entries(headers)
  const lengthOf = (text: string): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(Buffer.byteLength(text))
    return bytes
  }
  const count = Buffer.alloc(4)
  count.writeUInt32BE(pairs.length)
  const parts = pairs
    .flatMap(([name, value]) => [name.toLowerCase(), value])
    .flatMap((text) => [lengthOf(text), Buffer.from(text)])
  return Buffer.concat([count, ...parts])
}
