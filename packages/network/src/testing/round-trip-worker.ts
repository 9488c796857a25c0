import { parentPort, workerData } from 'node:worker_threads'
import { NetworkNamespace } from './network-namespace.ts'
import type { RoundTripOptions } from './round-trips.ts'
import { pollSockets, Socket } from './sockets.ts'

/** The thread behind `measureRoundTrips`. */

const REQUEST_BYTES = 100
const LOST_MS = 500

function ask({ client, server, ip, port, count, gapMs }: RoundTripOptions): number[] {
  const answering = Socket.udp(NetworkNamespace.open(server)).bind({ ip: '0.0.0.0', port })
  const asking = Socket.udp(NetworkNamespace.open(client))
  asking.connect({ ip, port })
  const polls = [
    { socket: answering, wants: 'read' },
    { socket: asking, wants: 'read' },
  ] as const
  const once = (id: number): number => {
    const question = Buffer.alloc(REQUEST_BYTES)
    question.writeUInt32LE(id)
    const start = performance.now()
    asking.send(question)
    while (performance.now() - start < LOST_MS) {
      pollSockets(polls, LOST_MS)
      for (const { data, from } of answering.receiveAll()) answering.sendTo(data, from)
      if (asking.receiveAll().some(({ data }) => data.readUInt32LE() === id)) return performance.now() - start
    }
    return Infinity
  }
  const times = Array.from({ length: count }, (_, id) => {
    const next = performance.now() + gapMs
    const time = once(id)
    while (performance.now() < next) pollSockets([], Math.max(1, Math.floor(next - performance.now())))
    return time
  })
  for (const socket of [answering, asking]) socket.close()
  return times.sort((a, b) => a - b)
}

// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, not a window
parentPort!.postMessage(ask(workerData as RoundTripOptions))
