/**
 * One HTTP/2 connection that carries gRPC calls. Source: gRPC over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md).
 * A client of its own, because it costs a third of the CPU time of a gRPC library: decisions/004.
 */
import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from 'node:http2'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock, Timer } from '@centaurus/base'
import { GRPC_CODES, GrpcError } from './grpc-error.ts'
import { GRPC_PREFIX_BYTES } from './protobuf.ts'

/** What the server may send before we have read it. */
const CONNECTION_WINDOW_BYTES = 64 * 2 ** 20
const STREAM_WINDOW_BYTES = 8 * 2 ** 20
/** What Node may hold for one connection before it refuses new streams, MiB; its default is 10. */
const SESSION_MEMORY_MIB = 512
/** Longest time for TCP, TLS and the first settings. */
const CONNECT_TIMEOUT_MS = 3_000
/** An idle connection with open streams is asked for a sign of life. etcd refuses more than one in 5 s (`--grpc-keepalive-min-time`). */
const PING_INTERVAL_MS = 10_000
const PING_TIMEOUT_MS = 5_000
/** How exact deadlines are. */
const DEADLINE_CHECK_MS = 250
/** Longest message we take: an etcd with a large `--max-request-bytes` may hold such values. */
const MESSAGE_BYTES_MAX = 512 * 2 ** 20

/** PEM texts for TLS with a client certificate. */
export interface EtcdTls {
  /** Certificate authority of the servers; absent: the system's. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

export interface GrpcSessionOptions {
  /** `http://HOST:PORT` or `https://HOST:PORT`. */
  readonly endpoint: string
  readonly tls?: EtcdTls | undefined
  readonly clock: Clock
}

/** What a stream of messages says; `onEnd` comes once, last. */
export interface GrpcStreamHandlers {
  readonly onMessage: (message: Buffer) => void
  readonly onEnd: (error: GrpcError) => void
}

/** The sending side of a stream. */
export interface GrpcStream {
  /** `frame`: a message with its prefix. */
  send(frame: Buffer): void
  close(): void
}

/** Connects. Rejects with {@link GrpcError} `UNAVAILABLE`. */
export function openGrpcSession(options: GrpcSessionOptions): Promise<GrpcSession> {
  const socket = openSocket(options)
  const http2 = connect(options.endpoint, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: STREAM_WINDOW_BYTES },
    maxSessionMemory: SESSION_MEMORY_MIB,
  })
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void => {
      timer.cancel()
      http2.destroy()
      socket.destroy()
      reject(new GrpcError(GRPC_CODES.unavailable, `Cannot connect to ${options.endpoint}: ${why}`, { cause }))
    }
    const onError = (error: Error): void => fail(error.message, error)
    const timer = options.clock.setTimer(CONNECT_TIMEOUT_MS, () => fail(`no answer in ${CONNECT_TIMEOUT_MS} ms`))
    // The session does not pass on what the socket says when a server refuses our certificate after the handshake.
    socket.once('error', onError)
    http2.on('error', onError)
    http2.once('close', () => fail('it was closed'))
    // Not 'connect': a proxy or load balancer takes the connection before it knows whether anybody is behind it.
    http2.once('remoteSettings', () => {
      timer.cancel()
      http2.removeAllListeners('error').removeAllListeners('close')
      http2.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
      const session = new GrpcSession(http2, options)
      socket.on('error', (error: Error) => session.destroy(error.message))
      resolve(session)
    })
  })
}

function openSocket({ endpoint, tls }: GrpcSessionOptions): Socket {
  const url = new URL(endpoint)
  const host = url.hostname.replace(/^\[|\]$/g, '') // an IPv6 address
  const isTls = url.protocol === 'https:'
  const port = Number(url.port) || (isTls ? 443 : 80)
  const socket = isTls
    ? connectTls({ ...tls, host, port, ALPNProtocols: ['h2'], ...(isIP(host) === 0 ? { servername: host } : {}) })
    : connectTcp({ host, port })
  return socket.setNoDelay(true)
}

interface Call {
  readonly deadlineMs: number
  readonly fail: (error: GrpcError) => void
}

/** Made by {@link openGrpcSession}. */
export class GrpcSession {
  readonly endpoint: string
  readonly #http2: ClientHttp2Session
  readonly #clock: Clock
  readonly #calls = new Set<Call>()
  readonly #streams = new Set<ClientHttp2Stream>()
  #deadlineTimer: Timer | undefined
  #pingTimer: Timer | undefined
  #failure: GrpcError | undefined

  constructor(http2: ClientHttp2Session, { endpoint, clock }: GrpcSessionOptions) {
    this.#http2 = http2
    this.endpoint = endpoint
    this.#clock = clock
    http2.on('error', (error: Error) => this.destroy(error.message))
    http2.on('goaway', () => this.destroy('the server is going away'))
    http2.on('close', () => this.destroy('the connection was closed'))
    this.#armPing()
  }

  /** False once it is of no more use: open another one. */
  get isUsable(): boolean {
    return this.#failure === undefined
  }

  /**
   * Calls `path` with a framed message; resolves to the answer's message. Rejects with {@link GrpcError}: after a lost connection or
   * a deadline nobody knows whether the server has done it.
   */
  unary(path: string, frame: Buffer, timeoutMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure)
      const stream = this.#request(path, timeoutMs)
      const chunks: Buffer[] = []
      const call: Call = {
        deadlineMs: this.#clock.monotonicMs() + timeoutMs,
        fail: (error) => {
          this.#calls.delete(call)
          reject(error)
          stream.close(constants.NGHTTP2_CANCEL)
        },
      }
      this.#calls.add(call)
      this.#armDeadlines()
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      watchEnd(stream, (status) => {
        this.#calls.delete(call)
        if (status.code !== GRPC_CODES.ok) return reject(this.#failure ?? toError(status))
        const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
        if (body.length < GRPC_PREFIX_BYTES) return reject(new GrpcError(GRPC_CODES.internal, 'The answer is empty'))
        resolve(body.subarray(GRPC_PREFIX_BYTES))
      })
      stream.end(frame)
    })
  }

  /** Opens a stream of messages both ways. Nothing is called before this returns. */
  stream(path: string, handlers: GrpcStreamHandlers): GrpcStream {
    if (this.#failure !== undefined) {
      const error = this.#failure
      queueMicrotask(() => handlers.onEnd(error))
      return { send: () => {}, close: () => {} }
    }
    const stream = this.#request(path, undefined)
    let ended = false
    const end = (error: GrpcError): void => {
      if (ended) return
      ended = true
      stream.close(constants.NGHTTP2_CANCEL)
      handlers.onEnd(error)
    }
    const unframe = createUnframer((message) => {
      if (!ended) handlers.onMessage(message)
    })
    stream.on('data', (chunk: Buffer) => {
      try {
        unframe(chunk)
      } catch (error) {
        end(new GrpcError(GRPC_CODES.internal, (error as Error).message, { cause: error }))
      }
    })
    watchEnd(stream, (status) => end(this.#failure ?? toError(status)))
    return {
      send: (frame) => {
        if (!ended && stream.writable) stream.write(frame)
      },
      close: () => end(new GrpcError(GRPC_CODES.cancelled, 'Closed')),
    }
  }

  /** Ends the connection at once; calls under way are rejected. */
  destroy(why: string): void {
    if (this.#failure !== undefined) return
    this.#failure = new GrpcError(GRPC_CODES.unavailable, `Lost the connection to ${this.endpoint}: ${why}`)
    this.#deadlineTimer?.cancel()
    this.#pingTimer?.cancel()
    for (const call of Array.from(this.#calls)) call.fail(this.#failure)
    this.#http2.destroy()
  }

  #request(path: string, timeoutMs: number | undefined): ClientHttp2Stream {
    const stream = this.#http2.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      hasleader: 'true', // a member that has no leader refuses at once, so that we can ask another
      ...(timeoutMs === undefined ? {} : { 'grpc-timeout': `${Math.ceil(timeoutMs)}m` }),
    })
    this.#streams.add(stream)
    stream.once('close', () => this.#streams.delete(stream))
    return stream
  }

  #armDeadlines(): void {
    this.#deadlineTimer ??= this.#clock.setTimer(DEADLINE_CHECK_MS, () => {
      this.#deadlineTimer = undefined
      const nowMs = this.#clock.monotonicMs()
      for (const call of Array.from(this.#calls)) {
        if (call.deadlineMs <= nowMs) call.fail(new GrpcError(GRPC_CODES.deadlineExceeded, 'No answer in time'))
      }
      if (this.#calls.size > 0) this.#armDeadlines()
    })
  }

  #armPing(): void {
    this.#pingTimer = this.#clock.setTimer(PING_INTERVAL_MS, () => {
      if (this.#streams.size > 0) {
        const timeout = this.#clock.setTimer(PING_TIMEOUT_MS, () => this.destroy('it gives no sign of life'))
        this.#http2.ping((error) => {
          timeout.cancel()
          if (error !== null) this.destroy(error.message)
        })
      }
      this.#armPing()
    })
  }
}

/** How a call ended. Not an error yet: one costs more than all else here, and nearly all calls go well. */
interface CallStatus {
  readonly code: number
  readonly message: string
  readonly cause?: unknown
}

function toError({ code, message, cause }: CallStatus): GrpcError {
  return new GrpcError(code, message, { cause })
}

/** Calls `onEnd` once, with the call's status: code 0 when all went well. */
function watchEnd(stream: ClientHttp2Stream, onEnd: (status: CallStatus) => void): void {
  let status: CallStatus | undefined
  let problem: Error | undefined
  const read = (headers: IncomingHttpHeaders): void => {
    const code = headers['grpc-status']
    if (code !== undefined) status = { code: Number(code), message: decodeMessage(headers['grpc-message']) }
    else if (headers[':status'] !== undefined && Number(headers[':status']) !== 200)
      status = { code: GRPC_CODES.unavailable, message: `The server answers with HTTP status ${headers[':status']}` }
  }
  stream.on('response', read)
  stream.on('trailers', read)
  stream.on('error', (error: Error) => (problem = error))
  stream.once('close', () => {
    const message = problem?.message ?? 'The stream was closed'
    onEnd(status ?? { code: GRPC_CODES.unavailable, message, cause: problem })
  })
}

function decodeMessage(text: string | string[] | undefined): string {
  if (text === undefined || text === '') return ''
  try {
    return decodeURIComponent(String(text))
  } catch {
    return String(text)
  }
}

/** Takes bytes as they come, and hands out whole messages. */
function createUnframer(onMessage: (message: Buffer) => void): (chunk: Buffer) => void {
  let pending: Buffer[] = []
  let pendingBytes = 0
  let wantedBytes = GRPC_PREFIX_BYTES
  return (chunk) => {
    pending.push(chunk)
    pendingBytes += chunk.length
    if (pendingBytes < wantedBytes) return
    let rest = pending.length === 1 ? chunk : Buffer.concat(pending)
    for (;;) {
      wantedBytes = GRPC_PREFIX_BYTES + (rest.length < GRPC_PREFIX_BYTES ? 0 : rest.readUInt32BE(1))
      if (wantedBytes > MESSAGE_BYTES_MAX) throw new Error(`The server sends a message of ${wantedBytes} bytes`)
      if (rest.length < wantedBytes || rest.length < GRPC_PREFIX_BYTES) break
      const message = rest.subarray(GRPC_PREFIX_BYTES, wantedBytes)
      rest = rest.subarray(wantedBytes)
      onMessage(message)
    }
    pending = rest.length === 0 ? [] : [rest]
    pendingBytes = rest.length
  }
}
