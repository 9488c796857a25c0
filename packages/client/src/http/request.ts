import { constants, type ClientHttp2Stream, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { fromStatus, type StatusError } from '@centaurus/api'
import type { Status } from '@centaurus/api/meta/v1'
import type { Clock } from '@centaurus/base'
import type { ConnectionPool } from './connection.ts'

/** Largest answer that is read into memory; pages keep lists far below it. */
const RESPONSE_BYTES_MAX = 512 * 1024 * 1024
/** A server that asks to come back later (429, or 5xx with Retry-After) is obeyed this often. Source: client-go rest/with_retry.go. */
const RETRIES_MAX = 10
const RETRY_AFTER_SECONDS_MAX = 60

export interface HttpCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With query, without the server's own prefix. */
  readonly path: string
  readonly body?: unknown
  /** Of the body; JSON when absent. */
  readonly contentType?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface OpenResponse {
  readonly stream: ClientHttp2Stream
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

export interface Requester {
  /** Sends and parses the JSON answer. Throws `StatusError` for a refusal, another error when the server can't be reached. */
  call<Out>(call: HttpCall): Promise<Out>
  /** Sends and resolves when the headers are there; the body is the caller's. */
  open(call: HttpCall): Promise<OpenResponse>
}

export interface RequesterOptions {
  readonly pool: ConnectionPool
  readonly pathPrefix: string
  readonly token: string | (() => string | Promise<string>) | undefined
  readonly userAgent: string
  readonly clock: Clock
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string | string[]>> | undefined
}

export function createRequester(options: RequesterOptions): Requester {
  const open = async (call: HttpCall): Promise<OpenResponse> => {
    const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body))
    const headers = await buildHeaders(options, call)
    call.signal?.throwIfAborted()
    const stream = options.pool.request(headers, { endStream: body === undefined })
    if (body !== undefined) stream.end(body)
    try {
      return await readHeaders(stream, call)
    } catch (error) {
      if (!(error instanceof Error) || call.signal?.aborted || !options.pool.wasNeverSent(stream)) throw error
      throw new NotConnectedError(error.message, { cause: error.cause })
    }
  }
  const openSafely = (call: HttpCall): Promise<OpenResponse> =>
    openAgainIfUnseen(open, { call, origins: options.pool.originCount })
  return {
    open: openSafely,
    async call<Out>(call: HttpCall): Promise<Out> {
      for (let attempt = 0; ; attempt++) {
        const response = await openSafely(call)
        const text = await readBody(response.stream, call)
        if (response.status >= 200 && response.status < 300) return parseJson(text, call) as Out
        const seconds = retryAfterSeconds(response)
        if (seconds === undefined || attempt >= RETRIES_MAX) throw parseRefusal(response, text)
        await options.clock.sleep(seconds * 1000, { signal: call.signal })
      }
    },
  }
}

/** Turns the body of an answer that says no into its error, also when a proxy in between wrote it. */
export function parseRefusal({ status }: { readonly status: number }, text: string): StatusError {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    parsed = undefined
  }
  const isOurs = typeof parsed === 'object' && parsed !== null && 'kind' in parsed && parsed.kind === 'Status'
  const message = text.trim().slice(0, 1024)
  return fromStatus(
    isOurs ? (parsed as Status) : { metadata: {}, code: status, message: message === '' ? `HTTP ${status}` : message },
  )
}

/** Reads a whole body as text. Rejects when it is cut off, too large, or the signal aborts. */
export function readBody(stream: ClientHttp2Stream, call: HttpCall): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    stream.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > RESPONSE_BYTES_MAX)
        stream.destroy(new RangeError(`Answer is longer than ${RESPONSE_BYTES_MAX} bytes`))
      else chunks.push(chunk)
    })
    stream.once('end', () => resolve(Buffer.concat(chunks, length).toString('utf8')))
    stream.once('error', (cause) => reject(describeFailure(call, cause)))
    stream.once('close', () => reject(describeFailure(call, new Error('the connection was closed'))))
    stream.resume()
  })
}

async function buildHeaders(options: RequesterOptions, call: HttpCall): Promise<OutgoingHttpHeaders> {
  const token = typeof options.token === 'function' ? await options.token() : options.token
  return {
    ':method': call.method,
    ':path': options.pathPrefix + call.path,
    accept: 'application/json',
    'user-agent': options.userAgent,
    ...(token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` }),
    ...options.headers,
    ...(call.body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json' }),
  }
}

function readHeaders(stream: ClientHttp2Stream, call: HttpCall): Promise<OpenResponse> {
  return new Promise((resolve, reject) => {
    const { signal } = call
    const onAbort = (): void => {
      reject(signal!.reason as Error)
      stream.close(constants.NGHTTP2_CANCEL)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    stream.once('close', () => {
      signal?.removeEventListener('abort', onAbort)
      reject(describeFailure(call, new Error('the connection was closed')))
    })
    stream.on('error', (cause) => reject(describeFailure(call, cause)))
    stream.once('response', (headers) => resolve({ stream, status: headers[':status'] ?? 0, headers }))
  })
}

/** No connection could be made: the server has seen nothing of the request, so it is safe to send again. */
export class NotConnectedError extends Error {
  override readonly name = 'NotConnectedError'
}

interface UnseenOptions {
  readonly call: HttpCall
  readonly origins: number
}

/**
 * Sends again what no server has seen: once when the server refused the stream before it did anything, and at each other address
 * when no connection could be made.
 */
async function openAgainIfUnseen(open: Requester['open'], { call, origins }: UnseenOptions): Promise<OpenResponse> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open(call)
    } catch (error) {
      const again = isRefusedStream(error) ? attempt < 2 : error instanceof NotConnectedError && attempt < origins
      if (!again) throw error
    }
  }
}

function isRefusedStream(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined
  if (!(cause instanceof Error)) return false
  return (
    cause.message.includes('NGHTTP2_REFUSED_STREAM') || ('code' in cause && cause.code === 'ERR_HTTP2_GOAWAY_SESSION')
  )
}

function describeFailure(call: HttpCall, cause: unknown): Error {
  if (call.signal?.aborted) return call.signal.reason as Error
  const why = cause instanceof Error ? cause.message : String(cause)
  return new Error(`Cannot ${call.method} ${call.path}: ${why}`, { cause })
}

function parseJson(text: string, call: HttpCall): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error(`Cannot ${call.method} ${call.path}: the answer is not JSON`, { cause })
  }
}

function retryAfterSeconds({ status, headers }: OpenResponse): number | undefined {
  const value = headers['retry-after']
  if (value === undefined || (status !== 429 && status < 500)) return undefined
  const seconds = Number(value)
  return Number.isInteger(seconds) && seconds >= 0 ? Math.min(seconds, RETRY_AFTER_SECONDS_MAX) : undefined
}
