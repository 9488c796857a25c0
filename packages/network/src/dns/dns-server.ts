import { createSocket, type RemoteInfo } from 'node:dgram'
import { createServer, type Socket as TcpSocket } from 'node:net'
import type { Logger } from '@centaurus/base'
import type { HeldSockets } from '../kernel/held-sockets.ts'
import type { DnsCounters } from './counters.ts'
import type { Responder } from './responder.ts'

export interface DnsServerOptions {
  /** Address to listen on; the port is 53 unless told otherwise. */
  readonly address: string
  readonly port?: number | undefined
  /** Bound already, and held by others as well: what waits in them is answered first. Address and port are theirs then. */
  readonly sockets?: HeldSockets | undefined
  readonly responder: Pick<Responder, 'respond'>
  readonly counters: DnsCounters
  readonly logger: Logger
}

export interface DnsServer {
  readonly port: number
  close(): Promise<void>
}

const DNS_PORT = 53
const TCP_IDLE_MS = 10_000
const TCP_CONNECTIONS_MAX = 500
/** Connections of one address; more are closed, so that one pod does not take all. */
const TCP_CONNECTIONS_OF_ONE_MAX = 50
/** Questions of one connection that wait; its next ones are read when those are answered. */
const TCP_PENDING_MAX = 16
/** Room in the kernel for bursts of queries. */
const RECEIVE_BUFFER_BYTES = 1024 * 1024
const BIND_ATTEMPTS_MAX = 10

/** Listens over UDP and TCP on one port. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const wanted = options.port ?? DNS_PORT
  for (let attempt = 1; ; attempt++) {
    const udp = await listenUdp(options, wanted)
    try {
      const tcp = await listenTcp(options, udp.port)
      return {
        port: udp.port,
        async close() {
          await Promise.all([udp.close(), tcp.close()])
        },
      }
    } catch (error) {
      await udp.close()
      // a port that the kernel chose for UDP may be another's for TCP
      if (wanted !== 0 || options.sockets !== undefined || attempt === BIND_ATTEMPTS_MAX) throw error
    }
  }
}

async function listenUdp({ address, sockets, responder, logger }: DnsServerOptions, port: number): Promise<DnsServer> {
  const udp = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER_BYTES, lookup: addressItself })
  const ignore = (): void => {} // a client that went away
  let isOpen = true
  udp.on('message', (message, from) => {
    const answer = responder.respond(message, { from: from.address, over: 'udp' })
    if (answer === undefined) return
    if (!(answer instanceof Promise)) return udp.send(answer, from.port, from.address, ignore)
    void sendLater(answer, from)
  })
  const sendLater = async (answer: Promise<Buffer | undefined>, from: RemoteInfo): Promise<void> => {
    const bytes = await answer
    if (bytes !== undefined && isOpen) udp.send(bytes, from.port, from.address, ignore)
  }
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject)
    const bound = (): void => {
      udp.off('error', reject)
      udp.on('error', (error) => logger.warn('Lost a DNS packet', { error }))
      resolve()
    }
    if (sockets === undefined) udp.bind(port, address, bound)
    else udp.bind({ fd: sockets.udp }, bound)
  })
  return {
    port: udp.address().port,
    close: () =>
      new Promise<void>((resolve) => {
        isOpen = false
        udp.close(() => resolve())
      }),
  }
}

/** Answers go to addresses: there is nothing to look up, which would cost each of them a turn. */
function addressItself(
  host: string,
  _options: object,
  callback: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  callback(null, host, 4)
}

async function listenTcp(options: DnsServerOptions, port: number): Promise<Pick<DnsServer, 'close'>> {
  const { counters, address, sockets: held } = options
  const sockets = new Set<TcpSocket>()
  const countOf = new Map<string, number>()
  const tcp = createServer((socket) => {
    const from = socket.remoteAddress ?? ''
    const count = (countOf.get(from) ?? 0) + 1
    if (count > TCP_CONNECTIONS_OF_ONE_MAX) {
      counters.connectionsRefused++
      return void socket.destroy()
    }
    sockets.add(socket)
    countOf.set(from, count)
    socket.on('close', () => {
      sockets.delete(socket)
      const left = (countOf.get(from) ?? 1) - 1
      if (left > 0) countOf.set(from, left)
      else countOf.delete(from)
    })
    serveTcp(socket, from, options)
  })
  tcp.maxConnections = TCP_CONNECTIONS_MAX
  tcp.on('drop', () => counters.connectionsRefused++)
  const place = held === undefined ? { port, host: address } : { fd: held.tcp }
  await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(place, resolve))
  return {
    close: () =>
      new Promise<void>((resolve) => {
        tcp.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

/** Messages with a length of two bytes before each. Source: RFC 1035 section 4.2.2; RFC 7766 for several at once. */
function serveTcp(socket: TcpSocket, from: string, { responder }: DnsServerOptions): void {
  let received = Buffer.alloc(0)
  let pending = 0
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  const answer = async (message: Buffer): Promise<void> => {
    const bytes = await responder.respond(message, { from, over: 'tcp' })
    pending--
    if (socket.destroyed) return
    if (bytes !== undefined) {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(bytes.byteLength)
      socket.write(Buffer.concat([length, bytes]))
    }
    read()
  }
  const read = (): void => {
    while (pending < TCP_PENDING_MAX && received.byteLength >= 2) {
      const end = 2 + received.readUInt16BE(0)
      if (received.byteLength < end) break
      const message = received.subarray(2, end)
      received = received.subarray(end)
      pending++
      void answer(message)
    }
    // who does not read its answers is not read either
    if (pending >= TCP_PENDING_MAX || socket.writableNeedDrain) socket.pause()
    else socket.resume()
  }
  socket.on('drain', read)
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk])
    read()
  })
}
