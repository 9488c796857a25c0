import { connect, constants, type ClientHttp2Session } from 'node:http2'
import type { Clock, Logger } from '@centaurus/base'
import {
  CONNECT_TIMEOUT_MS,
  ENDPOINT_BACKOFF_MAX_MS,
  ENDPOINT_BACKOFF_MS,
  PING_INTERVAL_MS,
  PING_LATE_MS,
  PING_TIMEOUT_MS,
  SESSION_MEMORY_MB_MAX,
  SESSION_WINDOW_BYTES,
  SESSIONS_PER_ENDPOINT_MAX,
  STREAM_WINDOW_BYTES,
  STREAMS_PER_SESSION_MAX,
} from './limits.ts'

/** PEM: the authority of all API servers, and the gateway's own client certificate. */
export interface GatewayTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/**
 * With what a connection to a partition proves itself: `gateway` carries users whose certificates the gateway has seen, `none` those
 * whose credentials are in the request, so that a partition can't take one for the other.
 */
export type Credentials = 'gateway' | 'none'

export interface EndpointDeps {
  readonly tls: GatewayTls
  readonly clock: Clock
  readonly logger: Logger
}

/** A connection and how many requests it carries. */
export interface Link {
  readonly session: ClientHttp2Session
  readonly endpoint: Endpoint
  streams: number
  /** It does not answer a ping at the moment: it gets no new requests, which another connection may serve, or refuse at once. */
  isSilent: boolean
}

/** One API server of a partition, and the HTTP/2 connections to it. */
export class Endpoint {
  readonly url: string
  readonly authority: string
  readonly #deps: EndpointDeps
  readonly #links: Readonly<Record<Credentials, Set<Link>>> = { gateway: new Set(), none: new Set() }
  readonly #connecting = new Map<Credentials, Promise<Link>>()
  #failures = 0
  #downUntilMs = 0
  #closed = false

  constructor(url: string, deps: EndpointDeps) {
    this.url = url
    this.authority = new URL(url).host
    this.#deps = deps
  }

  /** True while it is left alone after a failure. */
  get isDown(): boolean {
    return this.#downUntilMs > this.#deps.clock.monotonicMs()
  }

  /** A connection that has room, or undefined. */
  ready(credentials: Credentials): Link | undefined {
    for (const link of this.#links[credentials]) {
      const limit = Math.min(
        link.session.remoteSettings?.maxConcurrentStreams ?? STREAMS_PER_SESSION_MAX,
        STREAMS_PER_SESSION_MAX,
      )
      if (link.streams < limit && !link.isSilent && !link.session.closed) return link
    }
    return undefined
  }

  /** Opens a connection, or joins who does already. Rejects when that fails. */
  connect(credentials: Credentials): Promise<Link> {
    let pending = this.#connecting.get(credentials)
    if (pending === undefined) {
      pending = this.#open(credentials).finally(() => this.#connecting.delete(credentials))
      this.#connecting.set(credentials, pending)
    }
    return pending
  }

  /** Takes no new requests; those that are open go on to their end. */
  retire(): void {
    this.#closed = true
    for (const links of Object.values(this.#links)) for (const { session } of links) session.close()
  }

  /** Cuts everything. */
  close(): void {
    this.#closed = true
    for (const links of Object.values(this.#links)) for (const { session } of links) session.destroy()
  }

  #open(credentials: Credentials): Promise<Link> {
    const links = this.#links[credentials]
    if (this.#closed) return Promise.reject(new Error('The gateway is closed'))
    if (links.size >= SESSIONS_PER_ENDPOINT_MAX) {
      return Promise.reject(new Error(`${SESSIONS_PER_ENDPOINT_MAX} connections to ${this.url} are full of requests`))
    }
    const { ca, cert, key } = this.#deps.tls
    const session = connect(this.url, {
      ca,
      ...(credentials === 'gateway' ? { cert, key } : {}),
      maxSessionMemory: SESSION_MEMORY_MB_MAX,
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
    })
    const link: Link = { session, endpoint: this, streams: 0, isSilent: false }
    const drop = (): void => void links.delete(link)
    session.once('goaway', drop)
    session.once('close', drop)
    return new Promise((resolve, reject) => {
      const timer = this.#deps.clock.setTimer(CONNECT_TIMEOUT_MS, () =>
        session.destroy(new Error('Connection timed out')),
      )
      const fail = (error: Error): void => {
        drop()
        if (isSettled) return
        isSettled = true
        timer.cancel()
        this.#countFailure(error)
        reject(error)
      }
      let isSettled = false // `error` and `close` come both
      session.on('error', fail) // each stream gets the error as well
      session.once('close', () => fail(new Error('The connection was closed')))
      session.once('connect', () => {
        isSettled = true
        timer.cancel()
        this.#failures = 0
        this.#downUntilMs = 0
        session.setLocalWindowSize(SESSION_WINDOW_BYTES)
        watchLiveness(link, this.#deps.clock)
        links.add(link)
        resolve(link)
      })
    })
  }

  #countFailure(error: Error): void {
    const backoffMs = Math.min(ENDPOINT_BACKOFF_MS * 2 ** this.#failures, ENDPOINT_BACKOFF_MAX_MS)
    if (this.#failures === 0) this.#deps.logger.warn('Could not reach an API server', { url: this.url, error })
    this.#failures++
    this.#downUntilMs = this.#deps.clock.monotonicMs() + backoffMs
  }
}

/** Pings; marks the link while an answer is late, and destroys the session when none comes. */
function watchLiveness(link: Link, clock: Clock): void {
  const { session } = link
  let timer = clock.setTimer(PING_INTERVAL_MS, ping)
  function ping(): void {
    if (session.destroyed) return
    timer = clock.setTimer(PING_LATE_MS, () => {
      link.isSilent = true
      timer = clock.setTimer(PING_TIMEOUT_MS - PING_LATE_MS, () => {
        session.destroy(new Error('The API server did not answer a ping'), constants.NGHTTP2_CANCEL)
      })
    })
    session.ping(() => {
      link.isSilent = false
      timer.cancel()
      if (!session.destroyed) timer = clock.setTimer(PING_INTERVAL_MS, ping)
    })
  }
  session.once('close', () => timer.cancel())
}
