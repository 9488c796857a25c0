import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import type { Duplex, Readable, Writable } from 'node:stream'

/** What is known of a client's connection; shared by its requests. */
export interface Peer {
  readonly address: string
  /** DER, when TLS has verified it against the cluster's authority. */
  readonly certificate: Uint8Array | undefined
}

export type AnswerHeaders = Readonly<Record<string, string | number | string[] | undefined>>

/** The raw connection of a request that asks for an upgrade; nothing was answered yet. */
export interface UpgradeOffer {
  /** Bytes that came after the headers. */
  readonly head: Buffer
  /** Hands the socket over: from then on whoever took it answers on it. */
  take(): Duplex
}

/** A client's request and the way back to it, over HTTP/1.1 or HTTP/2. Exactly one of `begin` and `answer` is called, once. */
export interface FrontRequest {
  readonly method: string
  /** Path and query as sent. */
  readonly target: string
  /** Lower-case names; with HTTP/2's pseudo headers. */
  readonly headers: IncomingHttpHeaders
  readonly peer: Peer
  /** Undefined when the request has none. Flows only when it is read. */
  readonly body: Readable | undefined
  /** Where the answer's body goes after `begin`. */
  readonly out: Writable
  readonly upgrade: UpgradeOffer | undefined
  /** True when an answer has begun, or the client is gone. */
  readonly settled: boolean
  begin(code: number, headers: AnswerHeaders): void
  answer(code: number, headers: AnswerHeaders, body: Uint8Array | string): void
  /** Breaks the answer off, so that the client does not take what it has for the whole. */
  abort(): void
  /** Calls `listener` once when the exchange is over, however it ends. */
  onClose(listener: () => void): void
}

/** A request on a stream of HTTP/2. */
export class Http2FrontRequest implements FrontRequest {
  readonly method: string
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly peer: Peer
  readonly body: Readable | undefined
  readonly upgrade = undefined
  readonly #stream: ServerHttp2Stream
  readonly #closing = new CloseListeners()

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, peer: Peer) {
    this.#stream = stream
    this.headers = headers
    this.peer = peer
    this.method = (headers[':method'] as string | undefined) ?? 'GET'
    this.target = (headers[':path'] as string | undefined) ?? '/'
    this.body = stream.endAfterHeaders ? undefined : stream
    stream.on('error', ignore) // the client went away: `close` follows
  }

  get out(): Writable {
    return this.#stream
  }

  get settled(): boolean {
    return this.#stream.destroyed || this.#stream.headersSent
  }

  begin(code: number, headers: AnswerHeaders): void {
    if (!this.settled) this.#stream.respond({ ...headers, ':status': code })
  }

  answer(code: number, headers: AnswerHeaders, body: Uint8Array | string): void {
    if (this.settled) return
    this.#stream.respond({ ...headers, ':status': code })
    if (this.method === 'HEAD') this.#stream.end()
    else this.#stream.end(body)
    this.#stream.resume() // what is left of the request's body
  }

  abort(): void {
    // `close` would end the body in order first, whatever its code: the client would take it for the whole
    this.#stream.destroy(new Error('The answer broke off'))
  }

  onClose(listener: () => void): void {
    if (this.#stream.destroyed) queueMicrotask(listener)
    else if (this.#closing.add(listener)) this.#stream.once('close', () => this.#closing.run())
  }
}

/** A request on a connection of HTTP/1.1. */
export class Http1FrontRequest implements FrontRequest {
  readonly method: string
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly peer: Peer
  readonly body: Readable | undefined
  readonly upgrade: UpgradeOffer | undefined
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  readonly #closing = new CloseListeners()

  constructor(
    { request, response }: { request: IncomingMessage; response: ServerResponse },
    peer: Peer,
    upgrade?: UpgradeOffer,
  ) {
    this.#request = request
    this.#response = response
    this.headers = request.headers
    this.peer = peer
    this.method = request.method ?? 'GET'
    this.target = request.url ?? '/'
    this.upgrade = upgrade
    this.body = hasBody(request.headers) && upgrade === undefined ? request : undefined
    response.on('error', ignore)
    request.on('error', ignore)
  }

  get out(): Writable {
    return this.#response
  }

  get settled(): boolean {
    return this.#response.destroyed || this.#response.headersSent
  }

  begin(code: number, headers: AnswerHeaders): void {
    if (this.settled) return
    this.#writeHead(code, headers)
    this.#response.flushHeaders()
  }

  answer(code: number, headers: AnswerHeaders, body: Uint8Array | string): void {
    if (this.settled) return
    this.#writeHead(code, { ...headers, 'content-length': Buffer.byteLength(body) })
    this.#response.end(this.method === 'HEAD' ? undefined : body)
  }

  abort(): void {
    this.#response.destroy()
    this.#request.destroy()
  }

  onClose(listener: () => void): void {
    if (this.#response.closed) queueMicrotask(listener)
    else if (this.#closing.add(listener)) this.#response.once('close', () => this.#closing.run())
  }

  #writeHead(code: number, headers: AnswerHeaders): void {
    // a body that was not read would be taken for the next request
    const mustClose = this.body !== undefined && !this.#request.complete && code >= 400
    this.#response.writeHead(code, mustClose ? { ...headers, connection: 'close' } : headers)
  }
}

/** A merged request has a listener for each partition, and Node warns of more than ten. */
class CloseListeners {
  #first: (() => void) | undefined
  #more: (() => void)[] | undefined

  /** True for the first one. */
  add(listener: () => void): boolean {
    if (this.#first === undefined) {
      this.#first = listener
      return true
    }
    this.#more ??= []
    this.#more.push(listener)
    return false
  }

  run(): void {
    this.#first?.()
    for (const listener of this.#more ?? []) listener()
  }
}

function hasBody(headers: IncomingHttpHeaders): boolean {
  const length = headers['content-length']
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0')
}

function ignore(): void {}
