import type { IncomingMessage } from 'node:http'
import { WebSocketServer, type WebSocket } from 'ws'
import { offeredProtocols, refuseUpgrade, type UpgradedConnection } from '../connection.ts'

/** A longer message is refused with close code 1009. Clients write at most 32 KB at once. */
export const MESSAGE_BYTES_MAX = 1024 * 1024

export interface AcceptedWebSocket {
  readonly socket: WebSocket
  /** The subprotocol that was agreed on; '' when the client asked for none. */
  readonly protocol: string
}

/**
 * Answers the WebSocket handshake. Of the client's subprotocols the first that is `supported` is taken ('' stands for none); when
 * there is none the client gets a 403 and this rejects. Source: wsstream.handshake of k8s.io/streaming (v0.37).
 */
export function acceptWebSocket(
  upgraded: UpgradedConnection,
  supported: readonly string[],
): Promise<AcceptedWebSocket> {
  const offered = offeredProtocols(upgraded.request)
  const protocol = (offered.length === 0 ? [''] : offered).find((name) => supported.includes(name))
  if (protocol === undefined) {
    const why = `requested protocol(s) are not supported: [${offered.join(' ')}]; supports [${supported.join(' ')}]`
    refuseUpgrade(upgraded, 403, why)
    return Promise.reject(new Error(why))
  }
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: MESSAGE_BYTES_MAX })
  if (protocol !== '') server.on('headers', (headers) => headers.push(`Sec-WebSocket-Protocol: ${protocol}`))
  return new Promise((resolve, reject) => {
    upgraded.socket.once('close', () => reject(new Error('the client went away during the WebSocket handshake')))
    server.handleUpgrade(withoutProtocols(upgraded.request), upgraded.socket, upgraded.head, (socket) =>
      resolve({ socket, protocol }),
    )
  })
}

/** The library refuses Kubernetes' names that hold a slash, so it does not get to see them. */
function withoutProtocols(request: IncomingMessage): IncomingMessage {
  const { 'sec-websocket-protocol': _offered, ...headers } = request.headers
  return Object.create(request, { headers: { value: headers } }) as IncomingMessage
}
