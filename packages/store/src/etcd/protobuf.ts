/**
 * The part of protobuf's wire format that etcd's messages need. Source: protobuf.dev/programming-guides/encoding.
 * Numbers are doubles: etcd's revisions and counts stay below 2^53; 64-bit ids are read as good as a double can, and not used.
 */

/** Bytes before a message in gRPC's framing: compressed or not, and the length. Source: gRPC over HTTP/2, "Length-Prefixed-Message". */
export const GRPC_PREFIX_BYTES = 5

const WIRE_VARINT = 0
const WIRE_FIXED64 = 1
const WIRE_BYTES = 2
const WIRE_FIXED32 = 5
const VARINT_BYTES_MAX = 10
const CAPACITY_BYTES_MIN = 512

/**
 * Writes one message from its end to its start, so that a nested message's length is known when it is written. Write the fields of
 * a message in any order, but those of a repeated field last to first.
 */
export class ProtoWriter {
  #buffer: Buffer
  #start: number

  /** `capacity`: a guess at the message's bytes; the buffer grows when it is wrong. */
  constructor(capacity = 0) {
    this.#buffer = Buffer.allocUnsafe(Math.max(capacity, CAPACITY_BYTES_MIN))
    this.#start = this.#buffer.length
  }

  /** Bytes written so far: what {@link message} needs as `mark`. */
  get written(): number {
    return this.#buffer.length - this.#start
  }

  /** 0 is protobuf's default, and left out. */
  uint(field: number, value: number): void {
    if (value === 0) return
    this.#varint(value)
    this.#varint(field * 8 + WIRE_VARINT)
  }

  /** Like {@link uint}, for a member of a `oneof`, whose presence means something. */
  presentUint(field: number, value: number): void {
    this.#varint(value)
    this.#varint(field * 8 + WIRE_VARINT)
  }

  bytes(field: number, value: Uint8Array): void {
    this.#reserve(value.byteLength)
    this.#start -= value.byteLength
    this.#buffer.set(value, this.#start)
    this.#varint(value.byteLength)
    this.#varint(field * 8 + WIRE_BYTES)
  }

  text(field: number, value: string): void {
    const byteLength = Buffer.byteLength(value)
    this.#reserve(byteLength)
    this.#start -= byteLength
    this.#buffer.write(value, this.#start, 'utf8')
    this.#varint(byteLength)
    this.#varint(field * 8 + WIRE_BYTES)
  }

  /** Makes what was written since `mark` the nested message `field`. */
  message(field: number, mark: number): void {
    this.#varint(this.written - mark)
    this.#varint(field * 8 + WIRE_BYTES)
  }

  /** The message with gRPC's prefix, ready to be sent. Do not write any more. */
  frame(): Buffer {
    const length = this.written
    this.#reserve(GRPC_PREFIX_BYTES)
    this.#start -= GRPC_PREFIX_BYTES
    this.#buffer[this.#start] = 0
    this.#buffer.writeUInt32BE(length, this.#start + 1)
    return this.#buffer.subarray(this.#start)
  }

  #varint(value: number): void {
    this.#reserve(VARINT_BYTES_MAX)
    let bytes = 1
    for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++
    this.#start -= bytes
    let at = this.#start
    let rest = value
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.#buffer[at++] = (rest % 128) + 128
    this.#buffer[at] = rest
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#start) return
    const used = this.written
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, used + bytes + CAPACITY_BYTES_MIN))
    this.#buffer.copy(larger, larger.length - used, this.#start)
    this.#buffer = larger
    this.#start = larger.length - used
  }
}

/** Reads the fields of a message in turn. Throws `SyntaxError` when the bytes are no message. */
export class ProtoReader {
  readonly #buffer: Buffer
  #position: number
  #end: number
  #wire = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
    this.#position = 0
    this.#end = buffer.length
  }

  /** Number of the next field; 0 at the end of the message. Read it or {@link skip} it. */
  next(): number {
    if (this.#position >= this.#end) return 0
    const tag = this.uint()
    this.#wire = tag % 8
    return Math.floor(tag / 8)
  }

  /** A varint; of a negative one only the sign is right. */
  uint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      if (this.#position >= this.#end) break
      const byte = this.#buffer[this.#position++]!
      value += (byte & 127) * scale
      if (byte < 128) return i === VARINT_BYTES_MAX - 1 ? -1 : value
      scale *= 128
    }
    throw new SyntaxError('Cannot read a protobuf message: a number is cut off')
  }

  /** A view of the bytes, not a copy. */
  bytes(): Buffer {
    const end = this.#lengthEnd()
    const view = this.#buffer.subarray(this.#position, end)
    this.#position = end
    return view
  }

  /** Text from byte `skip` on. */
  text(skip = 0): string {
    const end = this.#lengthEnd()
    const value = this.#buffer.toString('utf8', Math.min(this.#position + skip, end), end)
    this.#position = end
    return value
  }

  /** Goes into the nested message that is next; give what this returns to {@link leave} when {@link next} says 0. */
  enter(): number {
    const outerEnd = this.#end
    this.#end = this.#lengthEnd()
    return outerEnd
  }

  leave(outerEnd: number): void {
    this.#position = this.#end
    this.#end = outerEnd
  }

  skip(): void {
    switch (this.#wire) {
      case WIRE_VARINT:
        this.uint()
        return
      case WIRE_FIXED64:
        this.#position += 8
        return
      case WIRE_BYTES:
        this.#position = this.#lengthEnd()
        return
      case WIRE_FIXED32:
        this.#position += 4
        return
      default:
        throw new SyntaxError(`Cannot read a protobuf message: wire type ${this.#wire} is unknown`)
    }
  }

  #lengthEnd(): number {
    const length = this.uint()
    const end = this.#position + length
    if (length < 0 || end > this.#end) throw new SyntaxError('Cannot read a protobuf message: a field is cut off')
    return end
  }
}
