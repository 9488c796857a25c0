import { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import { toBuffer } from './websocket-duplex.ts'

/** Message of v5: the sender will write no more on the channel that follows. */
const CLOSE_SIGNAL = 255
/** Bytes that one channel holds for a reader that does not read; then the whole socket is read no further. */
const CHANNEL_BUFFER_BYTES = 256 * 1024

export interface ChannelsOptions {
  /** Messages are text: the channel's digit, then base64. */
  readonly isBase64: boolean
  /** The peer understands {@link CLOSE_SIGNAL}. */
  readonly hasCloseSignal: boolean
}

/**
 * Several byte streams in one WebSocket: each message is a channel number, then data.
 * Source: k8s.io/streaming pkg/httpstream/wsstream/conn.go (v0.37).
 */
export class WebSocketChannels {
  readonly #socket: WebSocket
  readonly #options: ChannelsOptions
  readonly #channels = new Map<number, Duplex>()
  readonly #full = new Set<number>()

  constructor(socket: WebSocket, options: ChannelsOptions) {
    this.#socket = socket
    this.#options = options
    socket.on('message', (data: RawData) => this.#receive(toBuffer(data)))
    socket.on('close', () => this.#endAll())
    socket.on('error', () => socket.terminate())
  }

  /** The stream of a channel; messages on channels that nobody opened are dropped. Ending it sends v5's close signal. */
  open(channel: number): Duplex {
    const duplex = new Duplex({
      readableHighWaterMark: CHANNEL_BUFFER_BYTES,
      read: () => this.#markRead(channel),
      write: (chunk: Buffer, _encoding, done) =>
        this.#socket.send(this.#encode(channel, chunk), (error) => done(error ?? null)),
      final: (done) => done(),
    })
    duplex.on('error', () => {}) // the socket broke: its close ends every channel
    this.#channels.set(channel, duplex)
    return duplex
  }

  /** Sends a message without data, which tells a client that the channels are ready. */
  announce(channel: number): void {
    this.#socket.send(this.#encode(channel, Buffer.alloc(0)))
  }

  /** Tells the peer that nothing more comes on this channel, where the protocol can say so. */
  sendClose(channel: number): void {
    if (this.#options.hasCloseSignal) this.#socket.send(Buffer.from([CLOSE_SIGNAL, channel]))
  }

  #encode(channel: number, data: Buffer): Buffer | string {
    if (this.#options.isBase64) return `${channel}${data.toString('base64')}`
    return Buffer.concat([Buffer.from([channel]), data])
  }

  #receive(message: Buffer): void {
    const first = message[0]
    if (first === undefined) return
    if (first === CLOSE_SIGNAL && this.#options.hasCloseSignal)
      return void this.#channels.get(message[1] ?? -1)?.push(null)
    const channel = this.#options.isBase64 ? first - 0x30 : first
    const rest = message.subarray(1)
    const data = this.#options.isBase64 ? Buffer.from(rest.toString('latin1'), 'base64') : rest
    const duplex = this.#channels.get(channel)
    if (duplex === undefined || data.length === 0 || duplex.readableEnded || duplex.destroyed) return
    if (duplex.push(data)) return
    this.#full.add(channel)
    this.#socket.pause()
  }

  #markRead(channel: number): void {
    if (this.#full.delete(channel) && this.#full.size === 0) this.#socket.resume()
  }

  #endAll(): void {
    for (const duplex of this.#channels.values()) {
      if (!duplex.readableEnded && !duplex.destroyed) duplex.push(null)
      if (!duplex.writableEnded) duplex.end()
    }
  }
}
