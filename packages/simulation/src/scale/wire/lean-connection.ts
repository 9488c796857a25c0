import { connect, type TLSSocket } from 'node:tls'
import {
  CANCEL,
  DEFAULT_WINDOW_BYTES,
  FLAGS,
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  FRAME_TYPES,
  NO_ERROR,
  PREFACE,
  readStatus,
  SETTINGS,
  settingsFrame,
  windowUpdateFrame,
  writeFrameHead,
} from './frames.ts'

/** What we let the server send before we have read it: of one stream, of all together. */
const STREAM_WINDOW_BYTES = 1024 * 1024
const CONNECTION_WINDOW_BYTES = 64 * 1024 * 1024
/** Written at once when this much waits; else at the end of the turn. */
const FLUSH_BYTES = 64 * 1024
/** Requests that wait for a stream or for the server's window. Beyond: refused at once. */
const WAITING_MAX = 100_000
const CONNECT_MS_MAX = 30_000

/** PEM: whom to believe, and who we are. */
export interface TlsIdentity {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface LeanTarget {
  /** `https://host:port`. */
  readonly url: string
  readonly tls: TlsIdentity
}

export interface LeanRequest {
  /** Encoded by `encodeHeaders`. */
  readonly headers: Buffer
  /** At most {@link FRAME_PAYLOAD_BYTES_MAX}. */
  readonly body?: Buffer | undefined
}

/** Hears of one stream. Chunks belong to the connection: copy what outlives the call. */
export interface StreamListener {
  onStatus(status: number): void
  onData(chunk: Buffer): void
  /** Called once, last. With an error when the answer is not whole. */
  onEnd(error: Error | undefined): void
}

/** One request on its way. */
export interface LeanStream {
  /** 0: it waits for its turn. */
  readonly id: number
}

interface Stream {
  id: number
  readonly listener: StreamListener
  /** Received and not given back to the server's window yet. */
  consumed: number
  hasStatus: boolean
}

/** What went over the wire, all its life. */
export interface LeanCounters {
  requests: number
  bytesSent: number
  bytesReceived: number
}

/**
 * One HTTP/2 connection over TLS that costs little: requests of a turn leave in one write, answers are not parsed beyond their status,
 * nothing is kept for a stream but its listener. For load generators: no push, no priorities, no trailers, bodies of one frame.
 */
export class LeanConnection {
  readonly counters: LeanCounters = { requests: 0, bytesSent: 0, bytesReceived: 0 }
  readonly #socket: TLSSocket
  readonly #streams = new Map<number, Stream>()
  readonly #waiting: { readonly request: LeanRequest; readonly stream: Stream }[] = []
  readonly #onClose: (error: Error) => void
  #waitingFrom = 0
  #nextStream = 1
  #streamsMax = 100
  #sendWindow = DEFAULT_WINDOW_BYTES
  #consumed = 0
  #out: Buffer[] = []
  #outBytes = 0
  #flushing = false
  #rest: Buffer | undefined
  #closed: Error | undefined

  private constructor(socket: TLSSocket, onClose: (error: Error) => void) {
    this.#socket = socket
    this.#onClose = onClose
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error) => this.#end(error))
    socket.on('close', () => this.#end(new Error('The server closed the connection')))
    this.#write(PREFACE)
    this.#write(
      settingsFrame([
        [SETTINGS.headerTableSize, 0],
        [SETTINGS.enablePush, 0],
        [SETTINGS.initialWindowSize, STREAM_WINDOW_BYTES],
      ]),
    )
    this.#write(windowUpdateFrame(0, CONNECTION_WINDOW_BYTES - DEFAULT_WINDOW_BYTES))
  }

  /** Opens a connection; `onClose` is called once when it is lost. Rejects when the server can't be reached. */
  static open({ url, tls }: LeanTarget, onClose: (error: Error) => void): Promise<LeanConnection> {
    const { hostname, port } = new URL(url)
    return new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port), ...tls, ALPNProtocols: ['h2'] })
      socket.setNoDelay(true)
      const timer = setTimeout(() => socket.destroy(new Error(`${url} does not answer`)), CONNECT_MS_MAX)
      socket.once('error', reject)
      socket.once('close', () => clearTimeout(timer))
      socket.once('secureConnect', () => {
        clearTimeout(timer)
        socket.off('error', reject)
        if (socket.alpnProtocol === 'h2') return resolve(new LeanConnection(socket, onClose))
        socket.destroy()
        reject(new Error(`${url} does not speak HTTP/2`))
      })
    })
  }

  /** Streams that are open or wait to be. */
  get load(): number {
    return this.#streams.size + this.#waiting.length - this.#waitingFrom
  }

  /** Sends a request; the listener hears of everything. Never throws. */
  request(request: LeanRequest, listener: StreamListener): LeanStream {
    const stream: Stream = { id: 0, listener, consumed: 0, hasStatus: false }
    if (this.#closed !== undefined) listener.onEnd(this.#closed)
    else if (this.#canSend(request)) this.#send(request, stream)
    else if (this.#waiting.length - this.#waitingFrom >= WAITING_MAX)
      listener.onEnd(new Error(`${WAITING_MAX} requests wait already`))
    else this.#waiting.push({ request, stream })
    return stream
  }

  /** Gives up a stream: its listener hears that it ended. */
  cancel({ id }: LeanStream): void {
    if (!this.#streams.has(id)) return
    this.#write(resetFrame(id))
    this.#finish(id, new Error('Cancelled'))
  }

  close(): void {
    this.#end(new Error('Closed'))
  }

  #canSend({ body }: LeanRequest): boolean {
    return this.#streams.size < this.#streamsMax && (body?.byteLength ?? 0) <= this.#sendWindow
  }

  #send({ headers, body }: LeanRequest, stream: Stream): void {
    const id = this.#nextStream
    this.#nextStream += 2
    stream.id = id
    this.#streams.set(id, stream)
    this.counters.requests++
    const bodyBytes = body?.byteLength ?? 0
    if (bodyBytes > FRAME_PAYLOAD_BYTES_MAX) throw new Error(`Cannot send a body of ${bodyBytes} bytes in one frame`)
    const frames = Buffer.allocUnsafe(
      FRAME_HEADER_BYTES + headers.byteLength + (body === undefined ? 0 : FRAME_HEADER_BYTES + bodyBytes),
    )
    const flags = FLAGS.endHeaders | (body === undefined ? FLAGS.endStream : 0)
    let at = writeFrameHead(frames, 0, { type: FRAME_TYPES.headers, flags, stream: id, length: headers.byteLength })
    at += headers.copy(frames, at)
    if (body !== undefined) {
      at = writeFrameHead(frames, at, { type: FRAME_TYPES.data, flags: FLAGS.endStream, stream: id, length: bodyBytes })
      body.copy(frames, at)
      this.#sendWindow -= bodyBytes
    }
    this.#write(frames)
  }

  /** Lets go what waited, in order. */
  #sendWaiting(): void {
    while (this.#waitingFrom < this.#waiting.length && this.#canSend(this.#waiting[this.#waitingFrom]!.request)) {
      const { request, stream } = this.#waiting[this.#waitingFrom++]!
      this.#send(request, stream)
    }
    if (this.#waitingFrom > 0 && this.#waitingFrom === this.#waiting.length) {
      this.#waiting.length = 0
      this.#waitingFrom = 0
    }
  }

  #write(bytes: Buffer): void {
    this.#out.push(bytes)
    this.#outBytes += bytes.byteLength
    if (this.#outBytes >= FLUSH_BYTES) return this.#flush()
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#outBytes === 0 || this.#closed !== undefined) return
    this.counters.bytesSent += this.#outBytes
    this.#socket.write(this.#out.length === 1 ? this.#out[0]! : Buffer.concat(this.#out, this.#outBytes))
    this.#out = []
    this.#outBytes = 0
  }

  #receive(chunk: Buffer): void {
    this.counters.bytesReceived += chunk.byteLength
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (bytes.byteLength - at >= FRAME_HEADER_BYTES) {
      const length = bytes.readUIntBE(at, 3)
      const end = at + FRAME_HEADER_BYTES + length
      if (end > bytes.byteLength) break
      const payload = bytes.subarray(at + FRAME_HEADER_BYTES, end)
      this.#onFrame({ type: bytes[at + 3]!, flags: bytes[at + 4]!, stream: bytes.readUInt32BE(at + 5), payload })
      at = end
    }
    this.#rest = at === bytes.byteLength ? undefined : Buffer.from(bytes.subarray(at))
    if (this.#consumed >= CONNECTION_WINDOW_BYTES / 2) {
      this.#write(windowUpdateFrame(0, this.#consumed))
      this.#consumed = 0
    }
    this.#sendWaiting()
  }

  #onFrame(frame: {
    readonly type: number
    readonly flags: number
    readonly stream: number
    readonly payload: Buffer
  }): void {
    const { type, flags, stream, payload } = frame
    switch (type) {
      case FRAME_TYPES.data:
        return this.#onData(stream, unpad(payload, flags), { flags, length: payload.byteLength })
      case FRAME_TYPES.headers:
        return this.#onHeaders(stream, payload, flags)
      case FRAME_TYPES.rstStream:
        return this.#finish(stream, endOf(payload.readUInt32BE(0)))
      case FRAME_TYPES.settings:
        return this.#onSettings(payload, flags)
      case FRAME_TYPES.ping:
        if ((flags & FLAGS.ack) === 0) this.#write(pong(payload))
        return undefined
      case FRAME_TYPES.goaway:
        return this.#end(new Error('The server ends the connection'))
      case FRAME_TYPES.windowUpdate:
        if (stream === 0) this.#sendWindow += payload.readUInt32BE(0) & 0x7fffffff
        return undefined
      default:
        return undefined // continuation: an answer's status was in the first part
    }
  }

  #onHeaders(id: number, payload: Buffer, flags: number): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    if (!stream.hasStatus) {
      stream.hasStatus = true
      const block = unpad(payload, flags)
      const status = readStatus((flags & FLAGS.priority) === 0 ? block : block.subarray(5))
      if (status === undefined) return this.#finish(id, new Error('The answer has no status'))
      stream.listener.onStatus(status)
    }
    if ((flags & FLAGS.endStream) !== 0) this.#finish(id, undefined)
  }

  #onData(id: number, data: Buffer, { flags, length }: { readonly flags: number; readonly length: number }): void {
    this.#consumed += length
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    if (data.byteLength > 0) stream.listener.onData(data)
    if ((flags & FLAGS.endStream) !== 0) return this.#finish(id, undefined)
    stream.consumed += length
    if (stream.consumed < STREAM_WINDOW_BYTES / 2) return
    this.#write(windowUpdateFrame(id, stream.consumed))
    stream.consumed = 0
  }

  #onSettings(payload: Buffer, flags: number): void {
    if ((flags & FLAGS.ack) !== 0) return
    for (let at = 0; at + 6 <= payload.byteLength; at += 6) {
      if (payload.readUInt16BE(at) === SETTINGS.maxConcurrentStreams) this.#streamsMax = payload.readUInt32BE(at + 2)
    }
    const ack = Buffer.alloc(FRAME_HEADER_BYTES)
    writeFrameHead(ack, 0, { type: FRAME_TYPES.settings, flags: FLAGS.ack, stream: 0, length: 0 })
    this.#write(ack)
  }

  #finish(id: number, error: Error | undefined): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    this.#streams.delete(id)
    stream.listener.onEnd(error)
  }

  #end(error: Error): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    this.#socket.destroy()
    const waiting = this.#waiting.splice(0).slice(this.#waitingFrom)
    const streams = [...this.#streams.values(), ...waiting.map(({ stream }) => stream)]
    this.#streams.clear()
    this.#waitingFrom = 0
    for (const { listener } of streams) listener.onEnd(error)
    this.#onClose(error)
  }
}

function unpad(payload: Buffer, flags: number): Buffer {
  return (flags & FLAGS.padded) === 0 ? payload : payload.subarray(1, payload.byteLength - payload[0]!)
}

/** A server that has answered may reset the rest of a request with "no error". Source: RFC 9113 section 8.1. */
function endOf(code: number): Error | undefined {
  return code === NO_ERROR
    ? undefined
    : new Error(code === CANCEL ? 'The server cancelled the stream' : `HTTP/2 error ${code}`)
}

function resetFrame(stream: number): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + 4)
  frame.writeUInt32BE(CANCEL, writeFrameHead(frame, 0, { type: FRAME_TYPES.rstStream, flags: 0, stream, length: 4 }))
  return frame
}

function pong(payload: Buffer): Buffer {
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + 8)
  payload.copy(frame, writeFrameHead(frame, 0, { type: FRAME_TYPES.ping, flags: FLAGS.ack, stream: 0, length: 8 }))
  return frame
}
