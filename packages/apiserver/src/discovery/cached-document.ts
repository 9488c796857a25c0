import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { Exchange } from '../http/exchange.ts'

/** Shorter bodies are sent as they are. Source: apiserver's gzip threshold is 128 KB; discovery gains from less. */
const GZIP_BYTES_MIN = 1400

/** A document that is made once and sent to many, with an ETag, compressed for those who take it. */
export interface CachedDocument {
  readonly contentType: string
  readonly body: Buffer
  /** With its quotes. */
  readonly etag: string
  /** Made when it is first wanted. */
  compressed(): Buffer
}

export function createDocument(contentType: string, content: object | Uint8Array, etag?: string): CachedDocument {
  const body =
    content instanceof Uint8Array
      ? Buffer.from(content.buffer, content.byteOffset, content.byteLength)
      : Buffer.from(JSON.stringify(content))
  let compressed: Buffer | undefined
  return {
    contentType,
    body,
    etag: `"${etag ?? createHash('sha512').update(body).digest('hex').toUpperCase()}"`,
    compressed: () => (compressed ??= gzipSync(body, { level: 6 })),
  }
}

/** Sends it, or 304 when the client has it. */
export function respondDocument(exchange: Exchange, document: CachedDocument, cacheControl = 'public'): void {
  const headers = { etag: document.etag, vary: 'Accept', 'cache-control': cacheControl }
  if (exchange.headers['if-none-match'] === document.etag) return exchange.respond(304, headers, '')
  const takesGzip = /\bgzip\b/.test(exchange.headers['accept-encoding'] ?? '')
  const typed = { ...headers, 'content-type': document.contentType }
  if (!takesGzip || document.body.length < GZIP_BYTES_MIN) return exchange.respond(200, typed, document.body)
  exchange.respond(200, { ...typed, 'content-encoding': 'gzip' }, document.compressed())
}
