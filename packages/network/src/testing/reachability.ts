import { icmpEcho, PROTOCOL_NUMBERS, sctpInit } from './frames.ts'
import type { NetworkNamespace } from './network-namespace.ts'
import { IPPROTO_ICMP, IPPROTO_SCTP, type Poll, pollSockets, Socket, type SocketAddress } from './sockets.ts'

/** Who reaches whom, asked by real sockets, many at a time. */

/** How long cells that must be closed are watched after all that must be open were. */
const QUIET_MS = 60
/** The kernel sends a first segment again after 1, 3 and 7 seconds, so a lost one is no verdict. */
const OPEN_MS_MAX = 15_000
const POLL_MS = 20

export type ProbeProtocol = 'TCP' | 'UDP' | 'SCTP' | 'ICMP'

/** `one-way`: it arrived and the answer did not come back. `refused`: an ICMP error or a reset came. */
export type ProbeResult = 'open' | 'closed' | 'one-way' | 'refused'

export interface Probe {
  readonly from: NetworkNamespace
  readonly to: string
  readonly protocol: ProbeProtocol
  /** 0 for ICMP. */
  readonly port: number
  readonly expected: ProbeResult
  /** For people. */
  readonly name: string
}

export interface ServedPort {
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  readonly port: number
}

/** Answers on ports of a namespace for as long as probes run: TCP accepts, UDP sends back what came, SCTP answers INIT with INIT ACK. */
export class EchoServer {
  readonly #sockets: { readonly socket: Socket; readonly served: ServedPort }[]
  /** First bytes of what came, to tell a lost question from a lost answer. */
  readonly arrived = new Set<string>()

  constructor(namespace: NetworkNamespace, ports: readonly ServedPort[]) {
    const sctp = ports.filter(({ protocol }) => protocol === 'SCTP')
    const withSockets = ports.filter(({ protocol }) => protocol !== 'SCTP')
    this.#sockets = withSockets.map((served) => ({ served, socket: listenOn(namespace, served) }))
    // one raw socket hears every port, so a port counts as served only when it is listed
    if (sctp.length > 0) this.#sockets.push({ served: sctp[0]!, socket: Socket.raw(namespace, IPPROTO_SCTP) })
    for (const { socket } of this.#sockets) socket.takeManyPackets()
    this.#sctpPorts = new Set(sctp.map(({ port }) => port))
  }

  readonly #sctpPorts: ReadonlySet<number>

  get polls(): (Poll & { readonly serve: () => void })[] {
    return this.#sockets.map(({ socket, served }) => ({
      socket,
      wants: 'read',
      serve: () => this.#serve(socket, served),
    }))
  }

  /** What came by UDP and nobody waited for. */
  takeArrivals(): string[] {
    for (const { serve } of this.polls) serve()
    const arrivals = [...this.arrived]
    this.arrived.clear()
    return arrivals
  }

  #serve(socket: Socket, served: ServedPort): void {
    if (served.protocol === 'TCP') {
      for (let next = socket.accept(); next !== undefined; next = socket.accept()) next.close()
      return
    }
    for (const { data, from } of socket.receiveAll()) {
      if (served.protocol === 'UDP') {
        this.arrived.add(data.toString())
        socket.sendTo(data, from)
      } else this.#answerInit(socket, data, from)
    }
  }

  #answerInit(socket: Socket, packet: Buffer, from: SocketAddress): void {
    const init = packet.subarray((packet[0]! & 15) * 4)
    const [sourcePort, destinationPort] = [init.readUInt16BE(0), init.readUInt16BE(2)]
    if (init[12] !== 1 || !this.#sctpPorts.has(destinationPort)) return
    const answer = sctpInit({ sourcePort: destinationPort, destinationPort: sourcePort, isAnswer: true })
    socket.sendTo(answer, { ip: from.ip, port: 0 })
  }

  close(): void {
    for (const { socket } of this.#sockets) socket.close()
  }
}

function listenOn(namespace: NetworkNamespace, { protocol, port }: ServedPort): Socket {
  const address = { ip: '0.0.0.0', port }
  if (protocol === 'TCP') return Socket.tcp(namespace).bind(address).listen()
  return Socket.udp(namespace).bind(address)
}

interface Attempt {
  readonly probe: Probe
  readonly id: string
  readonly socket: Socket
  readonly wants: 'read' | 'write'
  result: ProbeResult
}

let attempts = 0

/**
 * Makes every probe at once and returns those whose result differs from what is expected. Waits for what must be open; what must be closed is
 * watched until the rest is there and {@link QUIET_MS} longer, so a slow machine makes no failure.
 */
export function findWrongProbes(probes: readonly Probe[], servers: readonly EchoServer[]): string[] {
  const all = probes.map(begin)
  try {
    awaitResults(all, servers)
    return all
      .filter(({ probe, result }) => result !== probe.expected)
      .map(({ probe, result }) => `${probe.name}: ${result}, expected ${probe.expected}`)
  } finally {
    for (const { socket } of all) socket.close()
  }
}

function begin(probe: Probe): Attempt {
  const id = `probe ${++attempts} ${probe.name}`
  const { from, to, protocol, port } = probe
  const attempt = (socket: Socket, wants: 'read' | 'write'): Attempt => ({ probe, id, socket, wants, result: 'closed' })
  if (protocol === 'TCP') {
    const made = attempt(Socket.tcp(from), 'write')
    if (made.socket.connect({ ip: to, port }) !== undefined) made.result = 'refused'
    return made
  }
  if (protocol === 'UDP') {
    const made = attempt(Socket.udp(from), 'read')
    made.socket.connect({ ip: to, port })
    made.socket.send(Buffer.from(id))
    return made
  }
  if (protocol === 'ICMP') {
    const made = attempt(Socket.raw(from, IPPROTO_ICMP), 'read')
    made.socket.sendTo(icmpEcho({ id: attempts & 0xffff, sequence: 1 }, Buffer.from(id)), { ip: to, port: 0 })
    return made
  }
  const made = attempt(Socket.raw(from, IPPROTO_SCTP), 'read')
  made.socket.sendTo(sctpInit({ sourcePort: sctpPort(id), destinationPort: port }), { ip: to, port: 0 })
  return made
}

function sctpPort(id: string): number {
  return 20_000 + (Number(id.split(' ')[1]) % 40_000)
}

function awaitResults(all: readonly Attempt[], servers: readonly EchoServer[]): void {
  const started = performance.now()
  let quietSince = started
  for (;;) {
    const now = performance.now()
    const waiting = all.filter(({ result }) => result === 'closed' || result === 'one-way')
    if (waiting.some(({ probe, result }) => result !== probe.expected)) quietSince = now
    if (now - started > OPEN_MS_MAX || now - quietSince > QUIET_MS) break
    const served = servers.flatMap((server) => server.polls)
    const ready: readonly (Poll & { serve?: () => void })[] = pollSockets([...served, ...waiting], POLL_MS)
    for (const each of ready) if ('serve' in each) each.serve?.()
    for (const attempt of waiting)
      if (servers.some(({ arrived }) => arrived.delete(attempt.id))) attempt.result = 'one-way'
    const isReady = new Set(ready)
    for (const attempt of waiting) if (isReady.has(attempt)) attempt.result = conclude(attempt)
  }
}

function conclude({ probe, id, socket, result }: Attempt): ProbeResult {
  if (probe.protocol === 'TCP') return socket.takeError() === 0 ? 'open' : 'refused'
  if (probe.protocol === 'UDP') {
    if (socket.takeError() !== 0) return 'refused'
    return socket.receive() === undefined ? result : 'open'
  }
  const isAnswer = (packet: Buffer): boolean => {
    const payload = packet.subarray((packet[0]! & 15) * 4)
    if (probe.protocol === 'ICMP') return payload[0] === 0 && payload.subarray(8).toString() === id
    return packet[9] === PROTOCOL_NUMBERS.SCTP && payload[12] === 2 && payload.readUInt16BE(2) === sctpPort(id)
  }
  return socket.receiveAll().some(({ data }) => isAnswer(data)) ? 'open' : result
}
