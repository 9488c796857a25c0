import { badRequest } from '@centaurus/api'
import {
  acceptWebSocket,
  createWebSocketDuplex,
  dialSpdySocket,
  offeredProtocols,
  PORT_FORWARD_PROTOCOL,
  PORT_FORWARD_TUNNEL_PROTOCOL,
} from '@centaurus/streams'
import type { ConnectorContext } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import { locatePodNode, toDialStatus, type Backend, type ProxyDeps } from './backend.ts'
import { joinSockets, passUpgrade } from './pass-upgrade.ts'
import { findPod, nodePath } from './pod-location.ts'

/**
 * `pods/portforward`: joins the client with the pod's node. SPDY within WebSocket is unwrapped, since nodes speak plain SPDY; all else
 * goes through as it is. Source: apiserver pkg/util/proxy/streamtunnel.go (v0.37).
 */
export async function connectPortForward(
  exchange: Exchange,
  { info }: ConnectorContext,
  deps: ProxyDeps,
): Promise<void> {
  const pod = findPod(deps.reader, info)
  const ports = exchange.query.getAll('ports')
  const query = ports.length === 0 ? '' : `?port=${encodeURIComponent(ports.join(','))}`
  const backend = locatePodNode(deps, pod, `/portForward/${nodePath(info)}${query}`)
  if (exchange.upgrade === undefined) throw badRequest('Upgrade request required')
  const isTunnel = offeredProtocols({ headers: exchange.headers }).includes(PORT_FORWARD_TUNNEL_PROTOCOL)
  return isTunnel ? unwrapTunnel(exchange, backend) : passUpgrade(exchange, backend)
}

async function unwrapTunnel(exchange: Exchange, { url, tls }: Backend): Promise<void> {
  const node = await dialSpdySocket({ url, tls }, [PORT_FORWARD_PROTOCOL]).catch((error: unknown) => {
    throw toDialStatus(error)
  })
  if (exchange.upgrade === undefined || exchange.closed) return void node.socket.destroy()
  try {
    const { socket } = await acceptWebSocket(exchange.upgrade(), [PORT_FORWARD_TUNNEL_PROTOCOL])
    const client = createWebSocketDuplex(socket)
    if (node.head.length > 0) client.write(node.head)
    joinSockets(client, node.socket)
  } catch {
    node.socket.destroy() // the client was told why
  }
}
