import { ServerResponse, type IncomingMessage } from 'node:http'
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Clock, Logger } from '@centaurus/base'
import type { Exchange } from './exchange.ts'
import { Http1Exchange } from './http1-exchange.ts'
import { Http2Exchange, type ConnectionFacts } from './http2-exchange.ts'
import {
  IDLE_CONNECTION_MS,
  KEEP_ALIVE_PROBE_MS,
  REQUEST_HEADER_BYTES_MAX,
  SHUTDOWN_GRACE_MS,
  STREAMS_PER_CONNECTION_MAX,
} from './limits.ts'

export interface TlsMaterial {
  /** PEM. */
  readonly key: string
  /** PEM; the server's certificate first, then intermediates. */
  readonly certificate: string
  /** PEM of the authorities whose client certificates are believed; absent: none are. */
  readonly clientAuthority?: string | undefined
}

export interface ListenerOptions {
  readonly tls: TlsMaterial
  /** Default: all addresses. */
  readonly host?: string | undefined
  /** 0: any free port. */
  readonly port: number
}

export interface ListenerDeps {
  readonly clock: Clock
  readonly logger: Logger
  /** Takes each request; never throws. */
  readonly handle: (exchange: Exchange) => void
}

export interface Listener {
  readonly port: number
  /** Serves new connections with other material, such as a renewed certificate. */
  replaceTls(tls: TlsMaterial): void
  /** Takes no new requests, lets open ones end for {@link SHUTDOWN_GRACE_MS}, then drops them. */
  close(): Promise<void>
}

/**
 * Listens for HTTP/2 and HTTP/1.1 over TLS on one port. Client certificates are asked for and not required; who presents one
 * that the authority did not sign counts as having none. Throws when the port can't be had.
 */
export async function listen(options: ListenerOptions, deps: ListenerDeps): Promise<Listener> {
  // Node passes maxHeaderSize on to its HTTP/1.1 parser; the types of http2 leave it out.
  const http1Options = { maxHeaderSize: REQUEST_HEADER_BYTES_MAX }
  const server = createSecureServer({
    ...http1Options,
    ...tlsOptions(options.tls),
    allowHTTP1: true,
    requestCert: true,
    rejectUnauthorized: false,
    settings: { maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX, maxHeaderListSize: REQUEST_HEADER_BYTES_MAX },
  })
  const sockets = new Set<TLSSocket>()
  const sessions = new Set<ServerHttp2Session>()
  serveHttp1(server, deps.handle)
  serveHttp2(server, deps.handle, sessions)
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.add(socket)
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('tlsClientError', (error: Error) => deps.logger.debug('Could not finish TLS handshake', { error }))
  server.on('sessionError', (error: Error) => deps.logger.debug('Lost HTTP/2 session', { error }))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    port: (server.address() as AddressInfo).port,
    replaceTls: (tls) => server.setSecureContext(tlsOptions(tls)),
    close: () => closeServer(server, { sockets, sessions, clock: deps.clock }),
  }
}

function tlsOptions(tls: TlsMaterial): { key: string; cert: string; ca?: string } {
  const options = { key: tls.key, cert: tls.certificate }
  return tls.clientAuthority === undefined ? options : { ...options, ca: tls.clientAuthority }
}

function serveHttp1(server: Http2SecureServer, handle: (exchange: Exchange) => void): void {
  server.on('request', (request, response) => {
    // Over HTTP/2 this event is never seen: see serveHttp2. So these are HTTP/1.1's own classes.
    const message = request as unknown as IncomingMessage
    handle(new Http1Exchange(message, response as unknown as ServerResponse, factsOf(message.socket as TLSSocket)))
  })
  server.on('upgrade', (request: IncomingMessage, socket: TLSSocket, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const response = new ServerResponse(request)
    response.assignSocket(socket)
    response.shouldKeepAlive = false
    response.once('finish', () => socket.end())
    handle(new Http1Exchange(request, response, factsOf(socket), { socket, head }))
  })
}

function serveHttp2(
  server: Http2SecureServer,
  handle: (exchange: Exchange) => void,
  sessions: Set<ServerHttp2Session>,
): void {
  // Listening for 'request' made Node install its compatibility layer on 'stream'; without it a request costs a third less.
  server.removeAllListeners('stream')
  const facts = new WeakMap<object, ConnectionFacts>()
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session)
    let open = 0
    facts.set(session, factsOf(session.socket as TLSSocket))
    session.on('stream', (stream: ServerHttp2Stream) => {
      open++
      stream.once('close', () => open--)
    })
    session.setTimeout(IDLE_CONNECTION_MS, () => {
      if (open === 0) session.close()
    })
    session.on('error', () => {})
    session.once('close', () => sessions.delete(session))
  })
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const session = stream.session
    if (session === undefined) return
    handle(new Http2Exchange(stream, headers, facts.get(session) ?? factsOf(session.socket as TLSSocket)))
  })
}

const factsBySocket = new WeakMap<object, ConnectionFacts>()

function factsOf(socket: TLSSocket): ConnectionFacts {
  let facts = factsBySocket.get(socket)
  if (facts === undefined) {
    const certificate = socket.authorized ? socket.getPeerCertificate().raw : undefined
    facts = { remoteAddress: socket.remoteAddress ?? '', clientCertificate: certificate }
    factsBySocket.set(socket, facts)
  }
  return facts
}

interface OpenConnections {
  readonly sockets: Set<TLSSocket>
  readonly sessions: Set<ServerHttp2Session>
  readonly clock: Clock
}

async function closeServer(server: Http2SecureServer, { sockets, sessions, clock }: OpenConnections): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  for (const session of sessions) session.close()
  const timer = clock.setTimer(SHUTDOWN_GRACE_MS, () => {
    for (const socket of sockets) socket.destroy()
  })
  await closed
  timer.cancel()
}
