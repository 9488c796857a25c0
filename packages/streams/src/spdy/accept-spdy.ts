import {
  offeredStreamProtocols,
  refuseUpgrade,
  SPDY_UPGRADE,
  STREAM_PROTOCOL_HEADER,
  type UpgradedConnection,
} from '../connection.ts'
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts'

export interface AcceptedSpdy {
  readonly connection: SpdyConnection
  /** The stream protocol that was agreed on. */
  readonly protocol: string
}

/**
 * Answers 101 and speaks SPDY from then on. Of the client's stream protocols the first that is `supported` is taken; when there is
 * none the client gets a 403 and this throws. Source: httpstream.Handshake and spdy/upgrade.go of k8s.io/streaming (v0.37).
 */
export function acceptSpdy(
  upgraded: UpgradedConnection,
  supported: readonly string[],
  onStream: (stream: SpdyStream) => void,
): AcceptedSpdy {
  const offered = offeredStreamProtocols(upgraded.request)
  // a client of the first version offers none
  const protocol = offered.length === 0 ? '' : offered.find((name) => supported.includes(name))
  if (protocol === undefined) {
    const why = `unable to negotiate protocol: client supports [${offered.join(' ')}], server accepts [${supported.join(' ')}]`
    refuseUpgrade(upgraded, 403, why)
    throw new Error(why)
  }
  const head = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', `Upgrade: ${SPDY_UPGRADE}`]
  if (protocol !== '') head.push(`${STREAM_PROTOCOL_HEADER}: ${protocol}`)
  upgraded.socket.write(`${head.join('\r\n')}\r\n\r\n`)
  const connection = new SpdyConnection(upgraded.socket, { side: 'server', head: upgraded.head, onStream })
  return { connection, protocol }
}
