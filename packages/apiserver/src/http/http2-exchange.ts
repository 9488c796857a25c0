import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import { requestEntityTooLarge } from '@centaurus/api'
import { waitDrained } from './drain.ts'
import type { Exchange, ResponseHeaders, UpgradedConnection } from './exchange.ts'

/** What is known of a connection once its TLS handshake is done; shared by its requests. */
export interface ConnectionFacts {
  readonly remoteAddress: string
  readonly clientCertificate: Uint8Array | undefined
}

const CLOSED_EARLY = 'Client closed the request before its body ended'
const NO_QUERY = new URLSearchParams()

/** An exchange over one HTTP/2 stream. Holds little, since a watch keeps it for hours. */
export class Http2Exchange implements Exchange {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string | undefined>>
  onAnswer: ((code: number) => void) | undefined
  readonly upgrade: (() => UpgradedConnection) | undefined = undefined
  readonly #stream: ServerHttp2Stream
  readonly #facts: ConnectionFacts
  #queryText: string
  #query: URLSearchParams | undefined
  #body: Promise<Uint8Array> | undefined
  #abort: AbortController | undefined
  #extra: Record<string, string[]> | undefined

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, facts: ConnectionFacts) {
    this.#stream = stream
    this.#facts = facts
    // Repeated headers come joined; only set-cookie would be a list, and no request has it.
    this.headers = headers as Readonly<Record<string, string | undefined>>
    this.method = this.headers[':method'] ?? 'GET'
    const target = this.headers[':path'] ?? '/'
    const mark = target.indexOf('?')
    this.path = mark < 0 ? target : target.slice(0, mark)
    this.#queryText = mark < 0 ? '' : target.slice(mark + 1)
    stream.on('error', ignoreError) // the client went away: `close` follows
  }

  get query(): URLSearchParams {
    if (this.#queryText === '') return NO_QUERY
    return (this.#query ??= new URLSearchParams(this.#queryText))
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
    return this.#stream.destroyed || this.#stream.closed || this.#stream.writableEnded
  }

  get queuedBytes(): number {
    return this.#stream.writableLength
  }

  onClose(listener: () => void): void {
    if (this.#stream.destroyed) queueMicrotask(listener)
    else this.#stream.once('close', listener)
  }

  readBody(limitBytes: number): Promise<Uint8Array> {
    return (this.#body ??= this.#readBody(limitBytes))
  }

  #readBody(limitBytes: number): Promise<Uint8Array> {
    const declared = Number(this.headers['content-length'] ?? 0)
    if (declared > limitBytes) return Promise.reject(requestEntityTooLarge(`limit is ${limitBytes}`))
    // a stream without a body may have told so before anybody asked
    if (this.#stream.readableEnded) return Promise.resolve(Buffer.alloc(0))
    if (this.#stream.destroyed) return Promise.reject(new Error(CLOSED_EARLY))
    return new Promise((resolve, reject) => {
      const parts: Buffer[] = []
      let bytes = 0
      let refused = false
      this.#stream.on('data', (chunk: Buffer) => {
        bytes += chunk.byteLength
        if (bytes > limitBytes) {
          if (!refused) reject(requestEntityTooLarge(`limit is ${limitBytes}`))
          refused = true
          parts.length = 0
        } else parts.push(chunk)
      })
      this.#stream.on('end', () => resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts)))
      this.#stream.on('aborted', () => reject(new Error(CLOSED_EARLY)))
    })
  }

  respond(code: number, headers: ResponseHeaders, body: Uint8Array | string): void {
    if (this.#stream.destroyed || this.#stream.headersSent) return
    this.onAnswer?.(code)
    this.#stream.respond(this.#merge(code, headers))
    if (this.method === 'HEAD') this.#stream.end()
    else this.#stream.end(body)
  }

  startStream(code: number, headers: ResponseHeaders): void {
    if (this.#stream.destroyed || this.#stream.headersSent) return
    this.onAnswer?.(code)
    this.#stream.respond(this.#merge(code, headers))
  }

  write(chunk: Uint8Array): void {
    if (!this.closed) this.#stream.write(chunk)
  }

  drained(): Promise<void> {
    return waitDrained(this.#stream)
  }

  end(): void {
    if (!this.closed) this.#stream.end()
  }

  destroy(): void {
    // `close` would end the body in order first, whatever its code: the client would take it for the whole
    this.#stream.destroy(new Error('The answer broke off'))
  }

  addHeader(name: string, value: string): void {
    this.#extra ??= {}
    const values = (this.#extra[name.toLowerCase()] ??= [])
    values.push(value)
  }

  #merge(code: number, headers: ResponseHeaders): Record<string, string | number | string[]> {
    return this.#extra === undefined ? { ':status': code, ...headers } : { ':status': code, ...headers, ...this.#extra }
  }
}

function ignoreError(): void {}
