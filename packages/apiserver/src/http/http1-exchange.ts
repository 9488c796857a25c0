import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { requestEntityTooLarge } from '@centaurus/api'
import { waitDrained } from './drain.ts'
import type { Exchange, ResponseHeaders, UpgradedConnection } from './exchange.ts'
import type { ConnectionFacts } from './http2-exchange.ts'

/** The raw connection of a request that asked for an upgrade. */
export interface UpgradeOffer {
  readonly socket: Duplex
  readonly head: Buffer
}

/** An exchange over HTTP/1.1. */
export class Http1Exchange implements Exchange {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | undefined>>
  onAnswer: ((code: number) => void) | undefined
  readonly upgrade: (() => UpgradedConnection) | undefined
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #facts: ConnectionFacts
  #body: Promise<Uint8Array> | undefined
  #abort: AbortController | undefined
  #extra: Record<string, string[]> | undefined

  constructor(request: IncomingMessage, response: ServerResponse, facts: ConnectionFacts, offer?: UpgradeOffer) {
    this.#request = request
    this.#response = response
    this.#facts = facts
    // Node joins repeated request headers; lists appear only for set-cookie, which no request has.
    this.headers = request.headers as Readonly<Record<string, string | undefined>>
    this.method = request.method ?? 'GET'
    const target = request.url ?? '/'
    const mark = target.indexOf('?')
    this.path = mark < 0 ? target : target.slice(0, mark)
    this.query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1))
    this.upgrade = offer === undefined ? undefined : () => this.#takeOver(offer)
  }

  get remoteAddress(): string {
    return this.#facts.remoteAddress
  }

  get clientCertificate(): Uint8Array | undefined {
    return this.#facts.clientCertificate
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const controller = new AbortController()
      this.#abort = controller
      this.onClose(() => controller.abort())
    }
    return this.#abort.signal
  }

  get closed(): boolean {
    return this.#response.destroyed || this.#response.writableEnded
  }

  get queuedBytes(): number {
    return this.#response.writableLength
  }

  onClose(listener: () => void): void {
    if (this.#response.closed) queueMicrotask(listener)
    else this.#response.once('close', listener)
  }

  readBody(limitBytes: number): Promise<Uint8Array> {
    return (this.#body ??= this.#readBody(limitBytes))
  }

  async #readBody(limitBytes: number): Promise<Uint8Array> {
    const declared = Number(this.headers['content-length'] ?? 0)
    if (declared > limitBytes) throw requestEntityTooLarge(`limit is ${limitBytes}`)
    const parts: Buffer[] = []
    let bytes = 0
    for await (const chunk of this.#request as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength
      if (bytes > limitBytes) throw requestEntityTooLarge(`limit is ${limitBytes}`)
      parts.push(chunk)
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  respond(code: number, headers: ResponseHeaders, body: Uint8Array | string): void {
    if (this.#response.headersSent || this.#response.destroyed) return
    this.onAnswer?.(code)
    this.#sendHeaders(code, { 'content-length': Buffer.byteLength(body), ...headers })
    this.#response.end(this.method === 'HEAD' ? undefined : body)
  }

  startStream(code: number, headers: ResponseHeaders): void {
    if (this.#response.headersSent || this.#response.destroyed) return
    this.onAnswer?.(code)
    this.#sendHeaders(code, headers)
    this.#response.flushHeaders()
  }

  write(chunk: Uint8Array): void {
    if (!this.closed) this.#response.write(chunk)
  }

  drained(): Promise<void> {
    return waitDrained(this.#response)
  }

  end(): void {
    if (!this.closed) this.#response.end()
  }

  destroy(): void {
    this.#response.destroy()
  }

  addHeader(name: string, value: string): void {
    this.#extra ??= {}
    const values = (this.#extra[name.toLowerCase()] ??= [])
    values.push(value)
  }

  #sendHeaders(code: number, headers: ResponseHeaders): void {
    // A body that was not read would be taken for the next request.
    const mustClose = !this.#request.complete && code >= 400
    this.#response.writeHead(code, { ...headers, ...this.#extra, ...(mustClose ? { connection: 'close' } : {}) })
  }

  #takeOver({ socket, head }: UpgradeOffer): UpgradedConnection {
    this.#response.detachSocket(socket as Socket)
    return { socket, head, request: this.#request }
  }
}
