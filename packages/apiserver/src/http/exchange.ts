import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/**
 * One HTTP request and its answer, whatever the protocol (HTTP/1.1, HTTP/2, in-process). Everything behind the listener sees only
 * this. Exactly one of `respond` and `startStream` is called, once.
 */
export interface Exchange {
  readonly method: string
  /** As sent, percent-encoded, without the query. */
  readonly path: string
  readonly query: URLSearchParams
  /** Lower-case names; repeated headers joined by `, `. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly remoteAddress: string
  /** DER of the client's certificate when TLS has verified it against the client CA. */
  readonly clientCertificate: Uint8Array | undefined
  /** Aborts when the client goes away or the server shuts down. */
  readonly signal: AbortSignal
  /** The whole body, the same each time. Throws `requestEntityTooLarge` beyond the `limitBytes` of the first call. */
  readBody(limitBytes: number): Promise<Uint8Array>
  respond(code: number, headers: ResponseHeaders, body: Uint8Array | string): void
  /** Sends headers; the body follows by `write` and `end`. */
  startStream(code: number, headers: ResponseHeaders): void
  /** Never blocks; look at {@link queuedBytes} to drop a client that does not read. The chunk is not copied: do not change it. */
  write(chunk: Uint8Array): void
  /** Bytes written and not yet taken by the network. */
  readonly queuedBytes: number
  /** Resolves when little is queued, or when the client is gone: wait for it between the chunks of a long body. */
  drained(): Promise<void>
  /** True when the client is gone or the answer is complete: nothing that is written arrives. */
  readonly closed: boolean
  /** Calls `listener` once when the exchange closes; cheaper than {@link signal}, which each idle watch would have to keep. */
  onClose(listener: () => void): void
  end(): void
  /** Ends the connection (HTTP/1.1) or resets the stream (HTTP/2): for a slow watcher. */
  destroy(): void
  /** Adds a header to whatever answer follows (`Warning`, `Audit-Id`); a repeated name is sent repeatedly. */
  addHeader(name: string, value: string): void
  /** Told of the code when the answer begins. Set it before answering. */
  onAnswer?: ((code: number) => void) | undefined
  /** Present when the client asked to upgrade an HTTP/1.1 connection; calling it hands the raw socket over and ends the exchange. */
  readonly upgrade: (() => UpgradedConnection) | undefined
}

export type ResponseHeaders = Readonly<Record<string, string | number>>

/** The raw connection after the request's headers. Nothing was answered yet: write the `101` yourself. */
export interface UpgradedConnection {
  readonly socket: Duplex
  /** Bytes that came after the headers. */
  readonly head: Buffer
  /** Node's request, as `ws` wants it. */
  readonly request: IncomingMessage
}
