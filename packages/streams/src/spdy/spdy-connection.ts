import { Duplex } from 'node:stream'
import {
  encodeControl,
  encodeDataHeader,
  encodeWords,
  FLAG_FIN,
  FRAME,
  FrameReader,
  RESET,
  type Frame,
} from './frame.ts'
import { HeaderDecoder, HeaderEncoder, type SpdyHeaders } from './header-block.ts'

/** Bytes that one stream holds for a reader that does not read; then the whole connection is read no further. */
const STREAM_BUFFER_BYTES = 256 * 1024
/** More streams at a time are refused. A port-forward uses two for each connection. */
const STREAMS_MAX = 4096
const DATA_BYTES_MAX = 32 * 1024
const STREAM_ID_MAX = 0x7fffffff

/** One stream of a connection. */
export interface SpdyStream {
  readonly id: number
  /** What its creator said of it. */
  readonly headers: SpdyHeaders
  /** Its bytes. Ending it closes our half; destroying it resets the stream. */
  readonly duplex: Duplex
}

export interface SpdyConnectionOptions {
  readonly side: 'server' | 'client'
  /** Bytes that were read before. */
  readonly head?: Buffer | undefined
  /** The other side opened a stream. Throw to refuse it. Absent: all are refused. */
  readonly onStream?: ((stream: SpdyStream) => void) | undefined
}

interface OpenStream extends SpdyStream {
  receivedFin: boolean
  sentFin: boolean
}

/**
 * SPDY/3.1 over any byte stream, either side. Flow control is that of the byte stream below: Kubernetes' own library (moby/spdystream)
 * never sends WINDOW_UPDATE and ignores windows, so a sender that waited for one would hang after 64 KB. A slow reader of one stream
 * therefore holds up the others of its connection, as there.
 */
export class SpdyConnection {
  readonly #socket: Duplex
  readonly #options: SpdyConnectionOptions
  readonly #reader = new FrameReader()
  readonly #decoder = new HeaderDecoder()
  readonly #encoder = new HeaderEncoder()
  readonly #streams = new Map<number, OpenStream>()
  readonly #full = new Set<number>()
  readonly #closed = Promise.withResolvers<void>()
  #nextId: number
  #isClosed = false
  #lastPeerId = 0

  constructor(socket: Duplex, options: SpdyConnectionOptions) {
    this.#socket = socket
    this.#options = options
    this.#nextId = options.side === 'client' ? 1 : 2
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('end', () => {
      this.#finish()
      socket.end() // sockets of HTTP servers stay half open by themselves
    })
    socket.on('close', () => this.#finish())
    socket.on('error', () => this.#finish())
    if (options.head !== undefined && options.head.length > 0) this.#receive(options.head)
  }

  /** Resolves when the connection has ended, whoever ended it. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** Opens a stream. The other side may still refuse it: its duplex is destroyed then. */
  createStream(headers: SpdyHeaders): SpdyStream {
    if (this.#isClosed || this.#nextId > STREAM_ID_MAX)
      throw new Error('Cannot open SPDY stream: the connection is closed')
    const id = this.#nextId
    this.#nextId += 2
    const stream = this.#addStream(id, headers)
    this.#send(
      encodeControl(
        FRAME.SYN_STREAM,
        0,
        Buffer.concat([encodeWords(id, 0), Buffer.alloc(2), this.#encoder.encode(headers)]),
      ),
    )
    return stream
  }

  /** Says goodbye, lets what was written go out, and ends the connection. */
  close(): void {
    if (this.#isClosed) return
    this.#send(encodeControl(FRAME.GOAWAY, 0, encodeWords(this.#lastPeerId, 0)))
    this.#socket.end()
    this.#finish()
  }

  #receive(chunk: Buffer): void {
    if (this.#isClosed) return
    this.#reader.push(chunk)
    try {
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) this.#handle(frame)
    } catch {
      // what follows can't be understood any more
      this.#socket.destroy()
      this.#finish()
    }
  }

  #handle(frame: Frame): void {
    if (frame.type === 'data') return this.#handleData(frame.streamId, frame.flags, frame.payload)
    const { kind, flags, payload } = frame
    switch (kind) {
      case FRAME.SYN_STREAM:
        return this.#handleNewStream(payload, flags)
      case FRAME.SYN_REPLY:
      case FRAME.HEADERS:
        this.#decoder.decode(payload.subarray(4)) // every block is part of the one zlib stream
        if ((flags & FLAG_FIN) !== 0) this.#handleData(streamIdOf(payload), FLAG_FIN, Buffer.alloc(0))
        return
      case FRAME.RST_STREAM:
        return this.#handleReset(streamIdOf(payload), payload.length < 8 ? 0 : payload.readUInt32BE(4))
      case FRAME.PING: {
        const isOwn = payload.readUInt32BE(0) % 2 === (this.#options.side === 'client' ? 1 : 0)
        if (!isOwn) this.#send(encodeControl(FRAME.PING, 0, payload))
        return
      }
      default: // SETTINGS, WINDOW_UPDATE and GOAWAY change nothing here; unknown ones are skipped
    }
  }

  #handleNewStream(payload: Buffer, flags: number): void {
    const id = streamIdOf(payload)
    const headers = this.#decoder.decode(payload.subarray(10))
    const isOthers = id % 2 === (this.#options.side === 'client' ? 0 : 1)
    if (
      !isOthers ||
      id <= this.#lastPeerId ||
      this.#streams.size >= STREAMS_MAX ||
      this.#options.onStream === undefined
    ) {
      return this.#sendReset(id, isOthers ? RESET.REFUSED_STREAM : RESET.PROTOCOL_ERROR)
    }
    this.#lastPeerId = id
    const stream = this.#addStream(id, headers)
    // before anything else on the stream: Go's library drops data that comes ahead of the reply
    this.#send(encodeControl(FRAME.SYN_REPLY, 0, Buffer.concat([encodeWords(id), this.#encoder.encode({})])))
    try {
      this.#options.onStream(stream)
    } catch {
      return void stream.duplex.destroy()
    }
    if ((flags & FLAG_FIN) !== 0) this.#handleData(id, FLAG_FIN, Buffer.alloc(0))
  }

  #handleData(id: number, flags: number, payload: Buffer): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    if (payload.length > 0 && !stream.receivedFin && !stream.duplex.push(payload)) this.#markFull(id)
    if ((flags & FLAG_FIN) === 0 || stream.receivedFin) return
    stream.receivedFin = true
    stream.duplex.push(null)
    this.#forget(stream)
  }

  #handleReset(id: number, status: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    this.#streams.delete(id)
    stream.sentFin = true
    // Go's servers reset every stream when they are done: what came before, an exit code say, is still to be read.
    // Source: apimachinery pkg/util/httpstream/spdy connection.Close, v0.37.
    if (!stream.receivedFin) stream.duplex.push(null)
    stream.receivedFin = true
    if (status === RESET.REFUSED_STREAM) stream.duplex.destroy()
    else stream.duplex.end()
  }

  #addStream(id: number, headers: SpdyHeaders): OpenStream {
    const duplex = new Duplex({
      allowHalfOpen: true,
      readableHighWaterMark: STREAM_BUFFER_BYTES,
      read: () => this.#markRead(id),
      write: (chunk: Buffer, _encoding, done) => this.#writeData(id, chunk, done),
      final: (done) => this.#sendFin(id, done),
      destroy: (error, done) => {
        this.#abandon(id)
        done(error)
      },
    })
    duplex.on('error', () => {}) // a stream that breaks is the business of whoever reads it
    const stream: OpenStream = { id, headers, duplex, receivedFin: false, sentFin: false }
    this.#streams.set(id, stream)
    return stream
  }

  #writeData(id: number, chunk: Buffer, done: (error?: Error | null) => void): void {
    if (this.#isClosed || !this.#streams.has(id)) return done(new Error('SPDY stream is closed'))
    this.#socket.cork()
    for (let offset = 0; offset < chunk.length; offset += DATA_BYTES_MAX) {
      const part = chunk.subarray(offset, offset + DATA_BYTES_MAX)
      this.#socket.write(encodeDataHeader(id, 0, part.length))
      this.#socket.write(part)
    }
    this.#socket.uncork()
    if (!this.#socket.writableNeedDrain) return done()
    const settle = (): void => {
      this.#socket.off('drain', settle)
      this.#socket.off('close', settle)
      done()
    }
    this.#socket.once('drain', settle)
    this.#socket.once('close', settle)
  }

  #sendFin(id: number, done: () => void): void {
    const stream = this.#streams.get(id)
    if (stream !== undefined && !stream.sentFin) {
      stream.sentFin = true
      this.#send(encodeDataHeader(id, FLAG_FIN, 0))
      this.#forget(stream)
    }
    done()
  }

  #abandon(id: number): void {
    this.#markRead(id)
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    this.#streams.delete(id)
    if (!stream.receivedFin || !stream.sentFin) this.#sendReset(id, RESET.CANCEL)
  }

  #forget(stream: OpenStream): void {
    if (stream.receivedFin && stream.sentFin) this.#streams.delete(stream.id)
  }

  #markFull(id: number): void {
    this.#full.add(id)
    this.#socket.pause()
  }

  #markRead(id: number): void {
    if (this.#full.delete(id) && this.#full.size === 0) this.#socket.resume()
  }

  #sendReset(id: number, status: number): void {
    this.#send(encodeControl(FRAME.RST_STREAM, 0, encodeWords(id, status)))
  }

  #send(frame: Buffer): void {
    if (!this.#isClosed && this.#socket.writable) this.#socket.write(frame)
  }

  #finish(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const stream of this.#streams.values()) {
      if (!stream.receivedFin) stream.duplex.push(null)
      // not destroyed: what came before the end is still to be read
      if (!stream.sentFin) stream.duplex.end()
    }
    this.#streams.clear()
    this.#closed.resolve()
  }
}

function streamIdOf(payload: Buffer): number {
  return payload.readUInt32BE(0) & 0x7fffffff
}
