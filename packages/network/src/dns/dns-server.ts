import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { createServer, type Server, type Socket as TcpSocket } from 'node:net'
import { decode, encode, RECURSION_AVAILABLE, RECURSION_DESIRED, AUTHORITATIVE_ANSWER, type Packet } from 'dns-packet'
import type { Logger } from '@centaurus/base'
import { answerQuestion, type DnsLookups } from './answer.ts'
import type { DnsScope } from './dns-client.ts'
import { forwardQuery } from './forward.ts'

export interface DnsServerOptions {
  /** Address to listen on; the port is 53 unless told otherwise. */
  readonly address: string
  readonly port?: number | undefined
  /** Such as `cluster.local`. */
  readonly domain: string
  readonly lookups: DnsLookups
  /** Who asks from an address. */
  readonly scopeOf: (address: string) => DnsScope
  /** Resolvers for all other names, `address` or `address:port`; without any, other names do not exist. */
  readonly upstreams: () => Promise<readonly string[]>
  readonly logger: Logger
}

export interface DnsServer {
  readonly port: number
  close(): Promise<void>
}

const DNS_PORT = 53
/** Longer answers over UDP are cut, and the client asks again over TCP. Source: RFC 1035 section 4.2.1; RFC 6891 lets clients allow more. */
const UDP_BYTES_MAX = 512
const UDP_BYTES_EDNS_MAX = 4096
const TCP_IDLE_MS = 10_000
const TCP_MESSAGE_BYTES_MAX = 65_535
const TCP_CONNECTIONS_MAX = 200
/** Queries that wait for an upstream at once; more are answered SERVFAIL. */
const FORWARDS_MAX = 1_000

const RCODES = { NOERROR: 0, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4 } as const

/** Serves the cluster's names over UDP and TCP, and passes the rest on. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const responder = new Responder(options)
  const udp = createSocket('udp4')
  udp.on('message', (message, from) => void serveUdp(udp, responder, { message, from }))
  udp.on('error', (error) => options.logger.warn('Lost a DNS packet', { error }))
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject)
    udp.bind(options.port ?? DNS_PORT, options.address, () => {
      udp.off('error', reject)
      resolve()
    })
  })
  const { port } = udp.address()
  const tcp = createServer((socket) => serveTcp(socket, responder))
  tcp.maxConnections = TCP_CONNECTIONS_MAX
  await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(port, options.address, resolve))
  return { port, close: () => closeServers(udp, tcp) }
}

class Responder {
  readonly #options: DnsServerOptions
  #forwarding = 0

  constructor(options: DnsServerOptions) {
    this.#options = options
  }

  /** The whole answer to a message from an address, or undefined for one that deserves none. */
  async respond(message: Buffer, from: string): Promise<Buffer | undefined> {
    const query = parse(message)
    if (query === undefined || query.type === 'response') return undefined
    const [question] = query.questions ?? []
    if (question === undefined || query.questions?.length !== 1) return reply(query, RCODES.NOTIMP, {})
    const { domain, lookups, scopeOf } = this.#options
    const scope = scopeOf(from)
    if (scope.type === 'unknown') return reply(query, RCODES.SERVFAIL, {})
    const tenant = scope.type === 'tenant' ? scope.tenant : undefined
    const answer = answerQuestion(question, { domain, lookups, tenant })
    if (answer.type === 'answer')
      return reply(query, RCODES.NOERROR, { answers: answer.answers, additionals: answer.additionals })
    if (answer.type === 'notFound') return reply(query, RCODES.NXDOMAIN, {})
    return (await this.#forward(message)) ?? reply(query, RCODES.SERVFAIL, {})
  }

  async #forward(message: Buffer): Promise<Buffer | undefined> {
    if (this.#forwarding >= FORWARDS_MAX) return undefined
    this.#forwarding++
    try {
      return await forwardQuery(message, await this.#options.upstreams())
    } finally {
      this.#forwarding--
    }
  }
}

function parse(message: Buffer): Packet | undefined {
  try {
    return decode(message)
  } catch {
    return undefined // not DNS
  }
}

function reply(query: Packet, rcode: number, sections: Pick<Packet, 'answers' | 'additionals'>): Buffer {
  const flags = AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | ((query.flags ?? 0) & RECURSION_DESIRED) | rcode
  return encode({ type: 'response', id: query.id ?? 0, flags, questions: query.questions ?? [], ...sections })
}

async function serveUdp(
  udp: Socket,
  responder: Responder,
  { message, from }: { message: Buffer; from: RemoteInfo },
): Promise<void> {
  const answer = await responder.respond(message, from.address)
  if (answer === undefined) return
  udp.send(answer.byteLength <= udpLimit(message) ? answer : truncated(answer), from.port, from.address, () => {}) // a client that went away
}

function udpLimit(message: Buffer): number {
  const option = parse(message)?.additionals?.find((record) => record.type === 'OPT')
  const size = option !== undefined && 'udpPayloadSize' in option ? option.udpPayloadSize : UDP_BYTES_MAX
  return Math.min(Math.max(size, UDP_BYTES_MAX), UDP_BYTES_EDNS_MAX)
}

function truncated(answer: Buffer): Buffer {
  const packet = decode(answer)
  return encode({
    type: 'response',
    id: packet.id ?? 0,
    flags: (packet.flags ?? 0) | TRUNCATED,
    questions: packet.questions ?? [],
  })
}

const TRUNCATED = 1 << 9

/** Messages with a length of two bytes before each. Source: RFC 1035 section 4.2.2. */
function serveTcp(socket: TcpSocket, responder: Responder): void {
  let pending = Buffer.alloc(0)
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk])
    if (pending.byteLength > TCP_MESSAGE_BYTES_MAX + 2) return socket.destroy()
    while (pending.byteLength >= 2 && pending.byteLength >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0)
      const message = pending.subarray(2, end)
      pending = pending.subarray(end)
      void answerTcp(socket, responder, message)
    }
  })
}

async function answerTcp(socket: TcpSocket, responder: Responder, message: Buffer): Promise<void> {
  const answer = await responder.respond(message, socket.remoteAddress ?? '')
  if (answer === undefined || socket.destroyed) return
  const length = Buffer.alloc(2)
  length.writeUInt16BE(answer.byteLength)
  socket.write(Buffer.concat([length, answer]))
}

async function closeServers(udp: Socket, tcp: Server): Promise<void> {
  await Promise.all([
    new Promise<void>((resolve) => {
      udp.close(() => resolve())
    }),
    new Promise<void>((resolve) => {
      tcp.close(() => resolve())
    }),
  ])
}
