import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type SecureClientSessionOptions,
} from 'node:http2'

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
  /** Scheme, host and port. */
  readonly origin: string
  readonly tls: SecureClientSessionOptions
}

/**
 * HTTP/2 sessions to one server. One is enough until its streams are used up; then another opens. A session that fails, is told
 * to go away or does not answer a ping is dropped, and the next request opens a new one.
 */
export class ConnectionPool {
  readonly #options: ConnectionOptions
  readonly #sessions = new Set<PooledSession>()
  #closed = false

  constructor(options: ConnectionOptions) {
    this.#options = options
  }

  /** Opens a stream. Throws when the pool is closed; connection failures arrive as the stream's error. */
  request(headers: Record<string, string>, options: { readonly endStream: boolean }): ClientHttp2Stream {
    const pooled = this.#pick()
    const stream = pooled.session.request(headers, { endStream: options.endStream })
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
      if (pooled.streams < Math.min(limit, 0x7fffffff) && !pooled.session.closed) return pooled
    }
    if (this.#sessions.size >= SESSIONS_MAX) {
      throw new Error(`Cannot send a request: ${SESSIONS_MAX} connections are full of open streams; close watches`)
    }
    return this.#open()
  }

  #open(): PooledSession {
    const session = connect(this.#options.origin, {
      ...this.#options.tls,
      settings: { initialWindowSize: WINDOW_BYTES, enablePush: false },
    })
    const pooled: PooledSession = { session, streams: 0 }
    this.#sessions.add(pooled)
    const drop = (): void => void this.#sessions.delete(pooled)
    session.once('connect', () => session.setLocalWindowSize(WINDOW_BYTES * 4))
    session.on('error', drop) // each stream gets the error as well
    session.once('goaway', drop)
    session.once('close', drop)
    watchLiveness(session)
    return pooled
  }
}

interface PooledSession {
  readonly session: ClientHttp2Session
  streams: number
}

/** Destroys the session when it can't connect in time or a ping goes unanswered. Timers never keep the process alive. */
function watchLiveness(session: ClientHttp2Session): void {
  const connecting = setTimeout(() => {
    if (session.connecting) session.destroy(new Error('Connection timed out'))
  }, CONNECT_TIMEOUT_MS).unref()
  const interval = setInterval(() => {
    if (session.connecting || session.destroyed) return
    const timeout = setTimeout(() => {
      session.destroy(new Error('Server did not answer a ping'), constants.NGHTTP2_CANCEL)
    }, PING_TIMEOUT_MS).unref()
    session.ping(() => clearTimeout(timeout))
  }, PING_INTERVAL_MS).unref()
  session.once('close', () => {
    clearTimeout(connecting)
    clearInterval(interval)
  })
}
