import { ITEM_BYTES_MAX } from '../limits.ts'

/** What a list says besides its items; their array is empty here. */
export interface ListEnvelope {
  readonly kind?: string | undefined
  readonly apiVersion?: string | undefined
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string } | undefined
  readonly items?: unknown
  readonly rows?: unknown
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COLON = 0x3a
/** Keys that are longer are not looked at. */
const KEY_LENGTH_MAX = 8
/** All of a list but its items. */
const ENVELOPE_BYTES_MAX = 1024 * 1024

/**
 * Takes a list in JSON apart as it arrives, without parsing its items: the objects in the array `items`, or `rows` of a Table, come out
 * as the bytes that they are; the rest can be had at the end. Throws SyntaxError for what is no list, RangeError beyond the limits.
 */
export class ListSplitter {
  readonly #onItem: (item: Uint8Array) => void
  #depth = 0
  #inString = false
  #escaped = false
  /** The last string at depth 1 while it is short: a key, perhaps. */
  #text = ''
  #key = ''
  #inItems = false
  #isTable = false
  #itemParts: Uint8Array[] = []
  #itemBytes = 0
  readonly #rest: Uint8Array[] = []
  #restBytes = 0

  constructor(onItem: (item: Uint8Array) => void) {
    this.#onItem = onItem
  }

  /** Whether the items are rows; known with the first one. */
  get isTable(): boolean {
    return this.#isTable
  }

  /** The chunk must not change afterwards. */
  feed(chunk: Uint8Array): void {
    /** Start of what is not given to anybody yet: of the rest, or of an item. */
    let start = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!
      if (this.#inString) {
        this.#stepString(byte)
        continue
      }
      switch (byte) {
        case QUOTE:
          this.#inString = true
          this.#text = ''
          break
        case COLON:
          if (this.#depth === 1) this.#key = this.#text
          break
        case OPEN_BRACE:
        case OPEN_BRACKET:
          this.#depth++
          if (this.#inItems && this.#depth === 3) {
            start = i
            break
          }
          if (byte === OPEN_BRACKET && this.#depth === 2 && (this.#key === 'items' || this.#key === 'rows')) {
            this.#keep(chunk.subarray(start, i + 1))
            this.#inItems = true
            this.#isTable = this.#key === 'rows'
            start = i + 1
          }
          break
        case CLOSE_BRACE:
        case CLOSE_BRACKET:
          this.#depth--
          if (!this.#inItems) break
          if (this.#depth === 2) {
            this.#finishItem(chunk.subarray(start, i + 1))
            start = i + 1
          } else if (this.#depth === 1) {
            this.#inItems = false
            start = i
          }
          break
        default: // within a number, a word or white space
      }
    }
    this.#leave(chunk.subarray(start))
  }

  /** Everything but the items. Throws SyntaxError when the list is not whole. */
  end(): ListEnvelope {
    return JSON.parse(Buffer.concat(this.#rest).toString('utf8')) as ListEnvelope
  }

  #stepString(byte: number): void {
    if (this.#escaped) this.#escaped = false
    else if (byte === BACKSLASH) this.#escaped = true
    else if (byte === QUOTE) this.#inString = false
    else if (this.#depth === 1 && this.#text.length <= KEY_LENGTH_MAX) this.#text += String.fromCharCode(byte)
  }

  /** The end of a chunk: part of an item, separators between items, or part of the rest. */
  #leave(tail: Uint8Array): void {
    if (!this.#inItems) return this.#keep(tail)
    if (this.#depth < 3) return
    this.#itemParts.push(tail)
    this.#itemBytes += tail.length
    if (this.#itemBytes > ITEM_BYTES_MAX) throw new RangeError(`An item is longer than ${ITEM_BYTES_MAX} bytes`)
  }

  #finishItem(tail: Uint8Array): void {
    if (this.#itemBytes === 0) return this.#onItem(tail)
    this.#itemParts.push(tail)
    const item = Buffer.concat(this.#itemParts)
    this.#itemParts = []
    this.#itemBytes = 0
    this.#onItem(item)
  }

  #keep(bytes: Uint8Array): void {
    this.#restBytes += bytes.length
    if (this.#restBytes > ENVELOPE_BYTES_MAX) throw new RangeError('A list says too much besides its items')
    this.#rest.push(bytes)
  }
}
