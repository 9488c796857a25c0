import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import type { Flood, OctetReading } from './pod-sockets.ts'

const PERIOD_MS = 10
const DATAGRAM = Buffer.alloc(1200, 'x')
const CHUNK = Buffer.alloc(65_536, 'x')
/** What waits in the process, beside what waits in the kernel. */
const WAITING_BYTES_MAX = 262_144

interface Outlet {
  /** Sends one piece; false: there is no room now. */
  send(): boolean
  readonly pieceBytes: number
  close(): string | undefined
}

/** Sends as much as is offered, or as much as gets through. Returns what ends it, and tells why it had ended before. */
export async function startFlood(flood: Flood): Promise<() => string | undefined> {
  const outlet = flood.protocol === 'TCP' ? await openStream(flood) : openDatagrams(flood)
  let last = performance.now()
  let due = 0
  const timer = setInterval(() => {
    const now = performance.now()
    due += (flood.offered * (now - last)) / 8e3
    last = now
    while (due > 0 && outlet.send()) due -= outlet.pieceBytes
    // what could not be sent is not made up for later
    due = Math.min(due, outlet.pieceBytes)
  }, PERIOD_MS)
  return () => {
    clearInterval(timer)
    return outlet.close()
  }
}

function openStream({ ip, port }: Flood): Promise<Outlet> {
  const socket = connect({ host: ip, port })
  let broken: string | undefined
  const outlet: Outlet = {
    pieceBytes: CHUNK.length,
    send() {
      const hasRoom = socket.writableLength < WAITING_BYTES_MAX && broken === undefined
      if (hasRoom) socket.write(CHUNK)
      return hasRoom
    },
    close() {
      const why = broken
      socket.destroy()
      return why
    },
  }
  return new Promise((resolve, reject) => {
    socket.on('error', ({ message }) => (broken ??= message)).on('close', () => (broken ??= 'It was closed'))
    socket.once('connect', () => resolve(outlet)).once('error', reject)
  })
}

function openDatagrams({ ip, port }: Flood): Outlet {
  const socket = createSocket('udp4').on('error', () => {}) // an ICMP error
  return {
    pieceBytes: DATAGRAM.length,
    send() {
      const hasRoom = socket.getSendQueueSize() < WAITING_BYTES_MAX
      if (hasRoom) socket.send(DATAGRAM, port, ip, () => {}) // lost ones are no matter
      return hasRoom
    },
    close() {
      socket.close()
      return undefined
    },
  }
}

/** What has come to the network of this process, as the kernel counts it when it comes: no matter when anybody reads it. */
export function readOctets(): OctetReading {
  const beforeMs = performance.now()
  const text = readFileSync('/proc/net/netstat', 'utf8')
  const afterMs = performance.now()
  const [names = [], values = []] = text
    .split('\n')
    .filter((line) => line.startsWith('IpExt:'))
    .map((line) => line.split(' '))
  return { octets: Number(values[names.indexOf('InOctets')]), beforeMs, afterMs }
}
