import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Duplex } from 'node:stream'
import { SPDY_UPGRADE, STREAM_PROTOCOL_HEADER } from './connection.ts'

/** An answer other than 101 is read up to here, for its message. */
const REFUSAL_BYTES_MAX = 64 * 1024
const DIAL_TIMEOUT_MS = 30_000

/** Where to dial, and as whom. */
export interface DialTarget {
  /** `https:` or `http:`, with path and query. */
  readonly url: URL
  readonly method?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly tls?: DialTls | undefined
  readonly signal?: AbortSignal | undefined
}

/** PEM. */
export interface DialTls {
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** Checks the server's certificate against this name instead of the address. */
  readonly servername?: string | undefined
  readonly rejectUnauthorized?: boolean | undefined
}

export interface DialedConnection {
  readonly socket: Duplex
  readonly head: Buffer
  /** The stream protocol that the server chose; '' when it named none. */
  readonly protocol: string
}

/** The server would not upgrade. `body` is its answer. */
export class DialRefusedError extends Error {
  override readonly name = 'DialRefusedError'
  readonly code: number
  readonly contentType: string
  readonly body: Buffer
  constructor(code: number, contentType: string, body: Buffer) {
    super(`unable to upgrade connection: ${body.toString('utf8').trim()}`)
    this.code = code
    this.contentType = contentType
    this.body = body
  }
}

/** Dials a SPDY/3.1 connection. Throws {@link DialRefusedError} when the server answers otherwise than with 101. */
export function dialSpdySocket(target: DialTarget, protocols: readonly string[]): Promise<DialedConnection> {
  const { url, tls } = target
  const request = url.protocol === 'http:' ? requestHttp : requestHttps
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method: target.method ?? 'POST',
      agent: false,
      headers: {
        ...target.headers,
        Connection: 'Upgrade',
        Upgrade: SPDY_UPGRADE,
        ...(protocols.length === 0 ? {} : { [STREAM_PROTOCOL_HEADER]: [...protocols] }),
      },
      ...tls,
      ...(target.signal === undefined ? {} : { signal: target.signal }),
    })
    outgoing.setTimeout(DIAL_TIMEOUT_MS, () => outgoing.destroy(new Error(`no answer within ${DIAL_TIMEOUT_MS} ms`)))
    outgoing.on('error', reject)
    outgoing.on('upgrade', (response, socket, head) => {
      socket.setTimeout(0)
      resolve({ socket, head, protocol: String(response.headers[STREAM_PROTOCOL_HEADER.toLowerCase()] ?? '') })
    })
    outgoing.on('response', (response) => void readRefusal(response).then(reject, reject))
    outgoing.end()
  })
}

async function readRefusal(response: IncomingMessage): Promise<DialRefusedError> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    chunks.push(chunk as Buffer)
    bytes += (chunk as Buffer).length
    if (bytes > REFUSAL_BYTES_MAX) break
  }
  response.destroy()
  return new DialRefusedError(response.statusCode ?? 500, response.headers['content-type'] ?? '', Buffer.concat(chunks))
}
