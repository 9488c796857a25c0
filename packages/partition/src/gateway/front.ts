import { ServerResponse, type IncomingMessage } from 'node:http'
import {
  createSecureServer,
  type Http2SecureServer,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { TlsMaterial } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import { Http1FrontRequest, Http2FrontRequest, type FrontRequest, type Peer } from './front-request.ts'
import {
  DRAIN_MS,
  IDLE_CONNECTION_MS,
  KEEP_ALIVE_PROBE_MS,
  REQUEST_HEADER_BYTES_MAX,
  SESSION_MEMORY_MB_MAX,
  STREAM_WINDOW_BYTES,
  STREAMS_PER_CLIENT_MAX,
} from './limits.ts'

export interface FrontOptions {
  readonly tls: TlsMaterial
  /** Default: all addresses. */
  readonly host?: string | undefined
  /** 0: any free port. */
  readonly port: number
}

export interface FrontDeps {
  readonly clock: Clock
  readonly logger: Logger
  /** Takes each request; never throws. */
  readonly handle: (request: FrontRequest) => void
}

export interface Front {
  readonly port: number
  replaceTls(tls: TlsMaterial): void
  /** Takes no new requests, lets open ones end for {@link DRAIN_MS}, then cuts them. */
  close(): Promise<void>
}

/**
 * Listens for HTTP/2 and HTTP/1.1 over TLS on one port. Client certificates are asked for and not required: who presents one that
 * the authority did not sign counts as having none, as at an API server. Throws when the port can't be had.
 */
export async function openFront(options: FrontOptions, deps: FrontDeps): Promise<Front> {
  // Node passes maxHeaderSize on to its HTTP/1.1 parser; the types of http2 leave it out.
  const http1Options = { maxHeaderSize: REQUEST_HEADER_BYTES_MAX }
  const server = createSecureServer({
    ...http1Options,
    ...tlsOptions(options.tls),
    allowHTTP1: true,
    requestCert: true,
    rejectUnauthorized: false,
    maxSessionMemory: SESSION_MEMORY_MB_MAX,
    settings: {
      maxConcurrentStreams: STREAMS_PER_CLIENT_MAX,
      maxHeaderListSize: REQUEST_HEADER_BYTES_MAX,
      initialWindowSize: STREAM_WINDOW_BYTES,
    },
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

function tlsOptions({ key, certificate, clientAuthority }: TlsMaterial): SecureServerOptions {
  return { key, cert: certificate, ...(clientAuthority === undefined ? {} : { ca: clientAuthority }) }
}

function serveHttp1(server: Http2SecureServer, handle: (request: FrontRequest) => void): void {
  server.on('request', (request, response) => {
    // Over HTTP/2 this event is never seen: see serveHttp2. So these are HTTP/1.1's own classes.
    const message = request as unknown as IncomingMessage
    const pair = { request: message, response: response as unknown as ServerResponse }
    handle(new Http1FrontRequest(pair, peerOf(message.socket as TLSSocket)))
  })
  server.on('upgrade', (request: IncomingMessage, socket: TLSSocket, head: Buffer) => {
    socket.on('error', () => socket.destroy())
    const response = new ServerResponse(request)
    response.assignSocket(socket)
    response.shouldKeepAlive = false
    response.once('finish', () => socket.end())
    const take = (): TLSSocket => {
      response.detachSocket(socket)
      return socket
    }
    handle(new Http1FrontRequest({ request, response }, peerOf(socket), { head, take }))
  })
}

function serveHttp2(
  server: Http2SecureServer,
  handle: (request: FrontRequest) => void,
  sessions: Set<ServerHttp2Session>,
): void {
  // Listening for 'request' made Node install its compatibility layer on 'stream'; without it a request costs a third less.
  server.removeAllListeners('stream')
  const peers = new WeakMap<object, Peer>()
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session)
    let open = 0
    peers.set(session, peerOf(session.socket as TLSSocket))
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
    handle(new Http2FrontRequest(stream, headers, peers.get(session) ?? peerOf(session.socket as TLSSocket)))
  })
}

const peersBySocket = new WeakMap<object, Peer>()

function peerOf(socket: TLSSocket): Peer {
  let peer = peersBySocket.get(socket)
  if (peer === undefined) {
    const certificate = socket.authorized ? socket.getPeerCertificate().raw : undefined
    peer = { address: socket.remoteAddress ?? '', certificate }
    peersBySocket.set(socket, peer)
  }
  return peer
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
  const timer = clock.setTimer(DRAIN_MS, () => {
    for (const socket of sockets) socket.destroy()
  })
  await closed
  timer.cancel()
}
