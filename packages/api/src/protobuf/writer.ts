/**
 * Writes protobuf from the end to the start, as upstream does: a message is complete when its length is needed, so nothing is
 * measured twice and nothing is moved. The bytes between `position` and the end of the buffer are what is written.
 */

/** First size of the buffer that all writes share; grows by doubling. */
const BUFFER_BYTES = 64 * 1024

/** A buffer above this size is given back after the message that needed it. */
const BUFFER_KEPT_BYTES = 4 * 1024 * 1024

/** Strings up to this length are written by a loop, which is faster than a call for each. */
const LOOP_CHARS = 48

const encoder = new TextEncoder()

export class ReverseWriter {
  #bytes = new Uint8Array(BUFFER_BYTES)
  #position = BUFFER_BYTES

  /** Bytes written so far; a difference of two is the length of what lies between. */
  get length(): number {
    return this.#bytes.length - this.#position
  }

  reset(): void {
    if (this.#bytes.length > BUFFER_KEPT_BYTES) this.#bytes = new Uint8Array(BUFFER_BYTES)
    this.#position = this.#bytes.length
  }

  /** A copy of what is written. */
  finish(): Uint8Array {
    return this.#bytes.slice(this.#position)
  }

  /** An unsigned 32-bit number: a tag or a length. */
  writeVarint32(value: number): void {
    if (value < 0x80) {
      if (this.#position === 0) this.#grow(1)
      this.#bytes[--this.#position] = value
      return
    }
    this.#reserve(5)
    let rest = value
    let size = 1
    while ((rest >>>= 7) !== 0) size++
    let at = (this.#position -= size)
    for (rest = value; rest > 0x7f; rest >>>= 7) this.#bytes[at++] = (rest & 0x7f) | 0x80
    this.#bytes[at] = rest
  }

  /** A signed 64-bit number as protobuf's int32 and int64 have it: negative ones take ten bytes. */
  writeInt(value: number): void {
    if (value >= 0 && value <= 0x7fff_ffff) return this.writeVarint32(value)
    this.#reserve(10)
    let rest = BigInt.asUintN(64, BigInt(value))
    const group: number[] = []
    for (; rest > 0x7fn; rest >>= 7n) group.push(Number(rest & 0x7fn) | 0x80)
    group.push(Number(rest))
    this.#position -= group.length
    this.#bytes.set(group, this.#position)
  }

  writeDouble(value: number): void {
    this.#reserve(8)
    this.#position -= 8
    new DataView(this.#bytes.buffer, this.#position, 8).setFloat64(0, value, true)
  }

  writeBytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#position -= bytes.length
    this.#bytes.set(bytes, this.#position)
  }

  /** Text as UTF-8, preceded by its length. */
  writeText(text: string): void {
    const before = this.length
    if (text.length > LOOP_CHARS || !this.#writeAscii(text)) this.#writeUtf8(text)
    this.writeVarint32(this.length - before)
  }

  #writeAscii(text: string): boolean {
    this.#reserve(text.length)
    let at = this.#position
    for (let i = text.length - 1; i >= 0; i--) {
      const code = text.charCodeAt(i)
      if (code > 0x7f) return false
      this.#bytes[--at] = code
    }
    this.#position = at
    return true
  }

  #writeUtf8(text: string): void {
    // UTF-8 needs at most three bytes for a UTF-16 unit. The text is written at the start of that room, then moved to its end.
    const room = text.length * 3
    this.#reserve(room)
    const start = this.#position - room
    const { written } = encoder.encodeInto(text, this.#bytes.subarray(start, this.#position))
    this.#position -= written
    if (written !== room) this.#bytes.copyWithin(this.#position, start, start + written)
  }

  #reserve(bytes: number): void {
    if (this.#position < bytes) this.#grow(bytes)
  }

  #grow(bytes: number): void {
    const old = this.#bytes
    let size = old.length * 2
    while (size - old.length + this.#position < bytes) size *= 2
    this.#bytes = new Uint8Array(size)
    this.#bytes.set(old.subarray(this.#position), size - old.length + this.#position)
    this.#position += size - old.length
  }
}
