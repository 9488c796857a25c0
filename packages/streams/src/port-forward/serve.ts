import type { Duplex, Writable } from 'node:stream'
import { offeredProtocols, upgradeKindOf, type UpgradedConnection } from '../connection.ts'
import { acceptSpdy } from '../spdy/accept-spdy.ts'
import { SpdyConnection, type SpdyStream } from '../spdy/spdy-connection.ts'
import { acceptWebSocket } from '../websocket/accept-websocket.ts'
import { WebSocketChannels } from '../websocket/websocket-channels.ts'
import { createWebSocketDuplex } from '../websocket/websocket-duplex.ts'

/** Source: apimachinery pkg/util/portforward/constants.go (v0.37). */
export const PORT_FORWARD_PROTOCOL = 'portforward.k8s.io'
/** WebSocket subprotocol that carries the SPDY of a port-forward. Source: apimachinery pkg/util/portforward. */
export const PORT_FORWARD_TUNNEL_PROTOCOL = 'SPDY/3.1+portforward.k8s.io'
/** The older way over WebSocket: two channels for each port of the query. Source: kubelet pkg/cri/streaming/portforward/websocket.go. */
const CHANNEL_PROTOCOLS = ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io', 'v5.channel.k8s.io', ''] as const
/** A data stream without its error stream is dropped after this. Source: portforward.DefaultStreamCreationTimeout. */
const STREAM_CREATION_TIMEOUT_MS = 30_000
/** Connections that wait for their second stream. */
const HALF_OPEN_MAX = 1024
const PORT_MAX = 65_535

/** One forwarded TCP connection. */
export interface ForwardedPort {
  readonly port: number
  readonly data: Duplex
  /** Words for the user when the port can't be reached; end it in any case. */
  readonly error: Writable
}

export interface PortForwardSession {
  /** Resolves when the client has gone or `close` was called. */
  readonly closed: Promise<void>
  close(): void
}

/**
 * Answers the upgrade of a port-forward request and calls `onConnection` for each connection that the client makes: over SPDY, over
 * SPDY within WebSocket (kubectl since 1.31), and over WebSocket channels, for which `ports` are those of the query.
 * Rejects, after telling the client, when they do not agree on a protocol.
 */
export async function servePortForward(
  upgraded: UpgradedConnection,
  ports: readonly number[],
  onConnection: (forwarded: ForwardedPort) => void,
): Promise<PortForwardSession> {
  const pairing = createPairing(onConnection)
  if (upgradeKindOf(upgraded.request) !== 'websocket') {
    return acceptSpdy(upgraded, [PORT_FORWARD_PROTOCOL], pairing).connection
  }
  const isTunnel = offeredProtocols(upgraded.request).includes(PORT_FORWARD_TUNNEL_PROTOCOL)
  if (!isTunnel) return serveChannels(upgraded, ports, onConnection)
  const { socket } = await acceptWebSocket(upgraded, [PORT_FORWARD_TUNNEL_PROTOCOL])
  return new SpdyConnection(createWebSocketDuplex(socket), { side: 'server', onStream: pairing })
}

interface HalfOpen {
  readonly streams: Partial<Record<'data' | 'error', SpdyStream>>
  readonly timer: NodeJS.Timeout
}

/** A connection is a data and an error stream with the same request ID. */
function createPairing(onConnection: (forwarded: ForwardedPort) => void): (stream: SpdyStream) => void {
  const waiting = new Map<string, HalfOpen>()
  return (stream) => {
    const { streamtype, requestid = '', port = '' } = stream.headers
    if (streamtype !== 'data' && streamtype !== 'error') throw new Error(`invalid stream type "${streamtype}"`)
    const portNumber = Number(port)
    if (!Number.isInteger(portNumber) || portNumber < 1 || portNumber > PORT_MAX)
      throw new Error(`unable to parse "${port}" as a port`)
    let half = waiting.get(requestid)
    if (half === undefined) {
      if (waiting.size >= HALF_OPEN_MAX) throw new Error('too many connections wait for their streams')
      const timer = setTimeout(() => drop(waiting, requestid), STREAM_CREATION_TIMEOUT_MS).unref()
      waiting.set(requestid, (half = { streams: {}, timer }))
    }
    half.streams[streamtype] = stream
    const { data, error } = half.streams
    if (data === undefined || error === undefined) return
    waiting.delete(requestid)
    clearTimeout(half.timer)
    onConnection({ port: portNumber, data: data.duplex, error: error.duplex.resume() })
  }
}

function drop(waiting: Map<string, HalfOpen>, requestId: string): void {
  const half = waiting.get(requestId)
  waiting.delete(requestId)
  half?.streams.data?.duplex.destroy()
  half?.streams.error?.duplex.destroy()
}

async function serveChannels(
  upgraded: UpgradedConnection,
  ports: readonly number[],
  onConnection: (forwarded: ForwardedPort) => void,
): Promise<PortForwardSession> {
  const { socket, protocol } = await acceptWebSocket(upgraded, CHANNEL_PROTOCOLS)
  const channels = new WebSocketChannels(socket, { isBase64: protocol.includes('base64.'), hasCloseSignal: false })
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  ports.forEach((port, i) => {
    const data = channels.open(i * 2)
    const error = channels.open(i * 2 + 1)
    const announced = Buffer.alloc(2)
    announced.writeUInt16LE(port)
    data.write(announced)
    error.write(announced)
    onConnection({ port, data, error: error.resume() })
  })
  return { closed, close: () => socket.close(1000) }
}
