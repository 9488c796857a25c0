import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2'
import { expectWithin, systemClock } from '@centaurus/base'

/** Go's client pings after 30 s of silence and gives up 15 s later (client-go transport: ReadIdleTimeout, PingTimeout). */
const PING_INTERVAL_MS = 30_000
const PING_TIMEOUT_MS = 15_000
const CONNECT_TIMEOUT_MS = 30_000
/** Until the server has said how many streams it takes. */
const STREAMS_PER_SESSION_DEFAULT = 100
/** Long watches fill sessions; more than this many sessions means a leak. */
const SESSIONS_MAX = 64
/** Stream window: a list of large objects arrives without waiting for window updates. */
const WINDOW_BYTES = 4 * 1024 * 1024

export interface ConnectionOptions {
  /** Scheme, host and port of one server or of several that answer alike; at least one. The next one is tried when one fails. */
  readonly origins: readonly string[]
  readonly tls: SecureClientSessionOptions
  readonly liveness?: LivenessOptions | undefined
}

/** How soon a server that went silent is noticed. The defaults are those of Go's client. */
export interface LivenessOptions {
  readonly pingIntervalMs?: number | undefined
  readonly pingTimeoutMs?: number | undefined
  readonly connectTimeoutMs?: number | undefined
}

/**
 * HTTP/2 sessions to one server, or to one of several. One session is enough until its streams are used up; then another opens.
 * A session that fails, is told to go away or does not answer a ping is dropped, and the next request opens a new one.
 */
export class ConnectionPool {
  readonly #options: ConnectionOptions
  readonly #sessions = new Set<PooledSession>()
  /** Which session carries a stream, to tell whether it was ever sent. */
  readonly #carriers = new WeakMap<ClientHttp2Stream, PooledSession>()
  #closed = false
  /** Index of the origin to connect to. */
  #current = 0

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  /** Opens a stream. Throws when the pool is closed; connection failures arrive as the stream's error. */
  request(headers: OutgoingHttpHeaders, options: { readonly endStream: boolean }): ClientHttp2Stream {
    const pooled = this.#pick()
    const stream = pooled.session.request(headers, { endStream: options.endStream })
    this.#carriers.set(stream, pooled)
    pooled.streams++
    pooled.session.ref()
    stream.once('close', () => {
      pooled.streams--
      if (pooled.streams > 0 || pooled.session.destroyed) return
      if (!this.#sessions.has(pooled)) pooled.session.close()
      else pooled.session.unref()
    })
    return stream
  }

  get originCount(): number {
    return this.#options.origins.length
  }

  /** True when the stream's connection was never made: the server has seen nothing of it. */
  wasNeverSent(stream: ClientHttp2Stream): boolean {
    return this.#carriers.get(stream)?.connected === false
  }

  /** Ends every session and its streams. */
  async close(): Promise<void> {
    this.#closed = true
    const open = [...this.#sessions].filter((pooled) => !pooled.session.destroyed)
    const closed = open.map((pooled) => new Promise<void>((resolve) => pooled.session.once('close', () => resolve())))
    for (const pooled of open) pooled.session.destroy()
    await Promise.all(closed)
  }

  #pick(): PooledSession {
    if (this.#closed) throw new Error('Cannot send a request: the client is closed')
    for (const pooled of this.#sessions) {
      const limit = pooled.session.remoteSettings?.maxConcurrentStreams ?? STREAMS_PER_SESSION_DEFAULT
      if (pooled.streams < Math.min(limit, 0x7fffffff) && !pooled.session.closed && !pooled.session.destroyed)
        return pooled
    }
    if (this.#sessions.size >= SESSIONS_MAX) {
      throw new Error(`Cannot send a request: ${SESSIONS_MAX} connections are full of open streams; close watches`)
    }
    return this.#open()
  }

  #open(): PooledSession {
    const { origins, tls, liveness = {} } = this.#options
    const origin = this.#current % origins.length
    const session = connect(origins[origin]!, {
      ...tls,
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    })
    const pooled: PooledSession = { session, streams: 0, connected: false }
    this.#sessions.add(pooled)
    const drop = (): void => {
      this.#sessions.delete(pooled)
      if (origin === this.#current % origins.length) this.#current = origin + 1
    }
    session.once('connect', () => {
      if (session.destroyed) return // this process was busy for so long that the connection timed out in between
      pooled.connected = true
      session.setLocalWindowSize(WINDOW_BYTES * 4)
    })
    session.on('error', drop) // each stream gets the error as well
    session.once('goaway', drop)
    session.once('close', drop)
    watchLiveness(session, liveness)
    return pooled
  }
}

interface PooledSession {
  readonly session: ClientHttp2Session
  streams: number
  connected: boolean
}

/** Destroys the session when it can't connect in time or a ping goes unanswered. Timers never keep the process alive. */
function watchLiveness(session: ClientHttp2Session, options: LivenessOptions): void {
  const { pingIntervalMs = PING_INTERVAL_MS, pingTimeoutMs = PING_TIMEOUT_MS } = options
  const connecting = setTimeout(() => {
    if (session.connecting) session.destroy(new Error('Connection timed out'))
  }, options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS).unref()
  const interval = setInterval(() => {
    if (session.connecting || session.destroyed) return
    const expected = expectWithin(systemClock, pingTimeoutMs, () => {
      session.destroy(new Error('Server did not answer a ping'), constants.NGHTTP2_CANCEL)
    })
    session.ping(() => expected.cancel())
  }, pingIntervalMs).unref()
  session.once('close', () => {
    clearTimeout(connecting)
    clearInterval(interval)
  })
}
