import { ServerResponse, type IncomingMessage } from 'node:http'
import {
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Clock, Logger } from '@centaurus/base'
import type { ConnectionFacts } from './http2-exchange.ts'
import { IDLE_CONNECTION_MS, KEEP_ALIVE_PROBE_MS, REQUEST_HEADER_BYTES_MAX } from './limits.ts'

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

/** An HTTP/1.1 request as Node has it; with `upgrade` it asks for the connection itself. */
export interface Http1Request {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly upgrade?: { readonly socket: TLSSocket; readonly head: Buffer } | undefined
}

export interface SecureServerDeps {
  readonly clock: Clock
  readonly logger: Logger
  /** How long open requests may go on after {@link Listener.close}. */
  readonly graceMs: number
  /** Of HTTP/2, beside those that every server here has. */
  readonly http2: Pick<SecureServerOptions, 'maxSessionMemory' | 'settings'>
  /** Both take a request and never throw. */
  readonly onHttp1: (request: Http1Request, facts: ConnectionFacts) => void
  readonly onHttp2: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, facts: ConnectionFacts) => void
}

export interface Listener {
  readonly port: number
  /** Serves new connections with other material, such as a renewed certificate. */
  replaceTls(tls: TlsMaterial): void
  /** Takes no new requests, lets open ones end for a while, then drops them. */
  close(): Promise<void>
}

/**
 * Listens for HTTP/2 and HTTP/1.1 over TLS on one port. Client certificates are asked for and not required; who presents one
 * that the authority did not sign counts as having none. Throws when the port can't be had.
 */
export async function openSecureServer(options: ListenerOptions, deps: SecureServerDeps): Promise<Listener> {
  // Node passes maxHeaderSize on to its HTTP/1.1 parser; the types of http2 leave it out.
  const http1Options = { maxHeaderSize: REQUEST_HEADER_BYTES_MAX }
  const server = createSecureServer({
    ...http1Options,
    ...tlsOptions(options.tls),
    allowHTTP1: true,
    requestCert: true,
    rejectUnauthorized: false,
    ...deps.http2,
    settings: { maxHeaderListSize: REQUEST_HEADER_BYTES_MAX, ...deps.http2.settings },
  })
  const sockets = new Set<TLSSocket>()
  const sessions = new Set<ServerHttp2Session>()
  serveHttp1(server, deps.onHttp1)
  serveHttp2(server, deps.onHttp2, sessions)
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
    close: () => closeServer(server, { ...deps, sockets, sessions }),
  }
}

function tlsOptions(tls: TlsMaterial): { key: string; cert: string; ca?: string } {
  const options = { key: tls.key, cert: tls.certificate }
  return tls.clientAuthority === undefined ? options : { ...options, ca: tls.clientAuthority }
}

function serveHttp1(server: Http2SecureServer, handle: SecureServerDeps['onHttp1']): void {
  server.on('request', (request, response) => {
    // Over HTTP/2 this event is never seen: see serveHttp2. So these are HTTP/1.1's own classes.
    const message = request as unknown as IncomingMessage
    const pair = { request: message, response: response as unknown as ServerResponse }
    handle(pair, factsOf(message.socket as TLSSocket))
  })
  server.on('upgrade', (request: IncomingMessage, socket: TLSSocket, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const response = new ServerResponse(request)
    response.assignSocket(socket)
    response.shouldKeepAlive = false
    response.once('finish', () => socket.end())
    handle({ request, response, upgrade: { socket, head } }, factsOf(socket))
  })
}

function serveHttp2(
  server: Http2SecureServer,
  handle: SecureServerDeps['onHttp2'],
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
    handle(stream, headers, facts.get(session) ?? factsOf(session.socket as TLSSocket))
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
  readonly graceMs: number
}

async function closeServer(
  server: Http2SecureServer,
  { sockets, sessions, clock, graceMs }: OpenConnections,
): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  for (const session of sessions) session.close()
  const timer = clock.setTimer(graceMs, () => {
    for (const socket of sockets) socket.destroy()
  })
  await closed
  timer.cancel()
}
