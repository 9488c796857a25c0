import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

/** The raw connection of an HTTP/1.1 request that asks for an upgrade. Nothing was answered yet. */
export interface UpgradedConnection {
  readonly socket: Duplex
  /** Bytes that came after the headers. */
  readonly head: Buffer
  readonly request: IncomingMessage
}

/** Value of `Upgrade` for SPDY. Source: apimachinery pkg/util/httpstream/spdy. */
export const SPDY_UPGRADE = 'SPDY/3.1'
/** Names the version of the channels that are spoken over SPDY. Source: apimachinery pkg/util/httpstream. */
export const STREAM_PROTOCOL_HEADER = 'X-Stream-Protocol-Version'

export type UpgradeKind = 'websocket' | 'spdy'

/** What the request wants to become; undefined when it is neither. */
export function upgradeKindOf(request: Pick<IncomingMessage, 'headers'>): UpgradeKind | undefined {
  const upgrade = (request.headers.upgrade ?? '').toLowerCase()
  if (upgrade === 'websocket') return 'websocket'
  return upgrade === SPDY_UPGRADE.toLowerCase() ? 'spdy' : undefined
}

/** Subprotocols that a WebSocket client offers, in its order. */
export function offeredProtocols(request: Pick<IncomingMessage, 'headers'>): string[] {
  return splitList(request.headers['sec-websocket-protocol'])
}

/** Stream protocols that a SPDY client offers, in its order. */
export function offeredStreamProtocols(request: Pick<IncomingMessage, 'headers'>): string[] {
  const value = request.headers[STREAM_PROTOCOL_HEADER.toLowerCase()]
  return splitList(Array.isArray(value) ? value.join(',') : value)
}

/** Answers an upgrade with an error and ends the connection. */
export function refuseUpgrade({ socket }: UpgradedConnection, code: number, message: string): void {
  const body = Buffer.from(message)
  const head = [
    `HTTP/1.1 ${code} ${code === 403 ? 'Forbidden' : code < 500 ? 'Bad Request' : 'Internal Server Error'}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ]
  socket.end(Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body]))
}

function splitList(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}
