import { pollSockets, Socket } from '@centaurus/network/testing'
import type { Ends } from './traffic.ts'

const PORT = 5_555
const WAIT_MS = 2_000

/** Microseconds from the first packet of a TCP connection to its acceptance, one after the other: what a new flow costs, both ends included. */
export function measureConnections({ client, server, serverIP }: Ends, connections: number): number {
  const listener = Socket.tcp(server).bind({ ip: '0.0.0.0', port: PORT }).listen()
  try {
    const began = performance.now()
    for (let i = 0; i < connections; i++) connectOnce(listener, { client, serverIP })
    return ((performance.now() - began) * 1000) / connections
  } finally {
    listener.close()
  }
}

function connectOnce(listener: Socket, { client, serverIP }: Pick<Ends, 'client' | 'serverIP'>): void {
  const socket = Socket.tcp(client)
  // a reset instead of the usual end, so that ports are free again at once
  socket.resetOnClose()
  socket.connect({ ip: serverIP, port: PORT })
  if (pollSockets([{ socket: listener, wants: 'read' }], WAIT_MS).length === 0)
    throw new Error(`Cannot connect to ${serverIP}: nothing came within ${WAIT_MS} ms`)
  listener.accept()?.close()
  socket.close()
}
