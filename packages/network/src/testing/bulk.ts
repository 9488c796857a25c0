import { createHash } from 'node:crypto'
import { createSeededRandom } from '@centaurus/base'
import type { NetworkNamespace } from './network-namespace.ts'
import { pollSockets, Socket } from './sockets.ts'

const CHUNK_BYTES = 60_000
const STALL_MS_MAX = 10_000
const POLL_MS = 50

export interface BulkOptions {
  readonly client: NetworkNamespace
  readonly server: NetworkNamespace
  readonly ip: string
  readonly port: number
  /** Where the server listens, when that is not what the client asks for. */
  readonly listenPort?: number
  readonly bytes: number
}

export interface BulkResult {
  readonly received: number
  /** What arrived is what was sent, byte by byte. */
  readonly isIntact: boolean
}

/** Sends random bytes over one TCP connection and compares hashes at the ends. Throws when nothing moves for ten seconds. */
export function sendInBulk({ client, server, ip, port, listenPort = port, bytes }: BulkOptions): BulkResult {
  const listener = Socket.tcp(server).bind({ ip: '0.0.0.0', port: listenPort }).listen()
  const sender = Socket.tcp(client)
  sender.connect({ ip, port })
  const chunk = randomBytes(CHUNK_BYTES)
  const [sentHash, receivedHash] = [createHash('sha256'), createHash('sha256')]
  let [sent, received] = [0, 0]
  let stream: Socket | undefined
  let movedAt = performance.now()
  while (received < bytes) {
    const before = sent + received
    if (sent < bytes) {
      const part = chunk.subarray(sent % 1000, (sent % 1000) + Math.min(CHUNK_BYTES - 1000, bytes - sent))
      const taken = sender.send(part)
      if (typeof taken === 'number') {
        sentHash.update(part.subarray(0, taken))
        sent += taken
      }
    }
    stream ??= listener.accept()
    for (const { data } of stream?.receiveAll() ?? []) {
      received += data.length
      receivedHash.update(data)
    }
    if (sent + received > before) movedAt = performance.now()
    else if (performance.now() - movedAt > STALL_MS_MAX)
      throw new Error(`Nothing moved for ${STALL_MS_MAX} ms after ${sent} bytes sent, ${received} received`)
    else pollSockets([{ socket: stream ?? listener, wants: 'read' }], POLL_MS)
  }
  for (const socket of [sender, listener, stream]) socket?.close()
  return { received, isIntact: sentHash.digest('hex') === receivedHash.digest('hex') }
}

function randomBytes(length: number): Buffer {
  const random = createSeededRandom(1)
  return Buffer.from(Array.from({ length }, () => random.integer(256)))
}
