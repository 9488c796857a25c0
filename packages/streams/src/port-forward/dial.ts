import type { Duplex, Readable } from 'node:stream'
import { dialSpdySocket, type DialTarget } from '../dial.ts'
import { SpdyConnection } from '../spdy/spdy-connection.ts'
import { PORT_FORWARD_PROTOCOL } from './serve.ts'

export interface PortForwardClient {
  /** Opens one connection to a port of the pod. `error` ends without words when all is well. */
  connect(port: number): { readonly data: Duplex; readonly error: Readable }
  readonly closed: Promise<void>
  close(): void
}

/** Dials a server's port-forward over SPDY. Throws `DialRefusedError` when it will not. */
export async function dialPortForward(target: DialTarget): Promise<PortForwardClient> {
  const { socket, head } = await dialSpdySocket(target, [PORT_FORWARD_PROTOCOL])
  const connection = new SpdyConnection(socket, { side: 'client', head })
  let nextRequest = 0
  return {
    connect(port) {
      const headers = { port: String(port), requestid: String(nextRequest++) }
      const error = connection.createStream({ ...headers, streamtype: 'error' }).duplex
      error.end()
      return { error, data: connection.createStream({ ...headers, streamtype: 'data' }).duplex }
    },
    closed: connection.closed,
    close: () => connection.close(),
  }
}
