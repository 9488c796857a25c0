import { workerData } from 'node:worker_threads'
import { COUNTS, DATAGRAM_BYTES, ENDED, RUNNING, type Load, type LoadOrders } from './loads.ts'
import { NetworkNamespace } from './network-namespace.ts'
import { pollSockets, Socket, type Poll } from './sockets.ts'

/** The thread behind `Loads`: never yields to its event loop. */

const CHUNK = Buffer.alloc(64 * 1024)
const DATAGRAM = Buffer.alloc(DATAGRAM_BYTES)
const POLL_MS = 2
/** A flood that was held up does not make up for more than this. */
const BEHIND_MS_MAX = 20
const IP_TOS = 1
const ECT_0 = 2

const { loads, orders, counts } = workerData as LoadOrders
const asked = new Int32Array(orders)
const counted = new Float64Array(counts)
const namespaces = new Map<string, NetworkNamespace>()

class RunningLoad {
  readonly load: Load
  readonly #index: number
  readonly #server: Socket
  #client: Socket | undefined
  #stream: Socket | undefined
  #dueMs = 0

  constructor(load: Load, index: number) {
    this.load = load
    this.#index = index
    const { server, port, protocol } = load
    const open = protocol === 'TCP' ? Socket.tcp : Socket.udp
    this.#server = open(namespace(server)).takeManyPackets().bind({ ip: '0.0.0.0', port })
    if (protocol === 'TCP') this.#server.listen()
  }

  /** What is ready, and what then is to be done. */
  polls(): (Poll & { act: () => void })[] {
    const isAsked = Atomics.load(asked, this.#index) === RUNNING
    if (!isAsked) this.#end()
    else this.#client ??= this.#connect()
    const { protocol } = this.load
    const ready: (Poll & { act: () => void })[] = [{ socket: this.#server, wants: 'read', act: () => this.#serve() }]
    const stream = this.#stream
    const client = this.#client
    if (stream !== undefined) ready.push({ socket: stream, wants: 'read', act: () => this.#read(stream) })
    if (client !== undefined && protocol === 'TCP' && !this.#isBroken)
      ready.push({ socket: client, wants: 'write', act: () => this.#write(client) })
    if (client !== undefined && protocol === 'UDP') this.#flood(client)
    return ready
  }

  #connect(): Socket {
    const { protocol, client, ip, port, congestion, canMark } = this.load
    const socket = protocol === 'TCP' ? Socket.tcp(namespace(client)) : Socket.udp(namespace(client))
    if (congestion !== undefined) socket.setCongestionControl(congestion)
    if (canMark === true) socket.setOption(0, { option: IP_TOS, value: ECT_0 })
    socket.connect({ ip, port })
    return socket
  }

  #serve(): void {
    if (this.load.protocol === 'TCP') this.#stream = this.#server.accept() ?? this.#stream
    else for (const { data } of this.#server.receiveAll()) this.#count(1, data.length)
  }

  #read(stream: Socket): void {
    const received = stream.receive()
    if (received?.data.length === 0) counted[COUNTS * this.#index + 2] = 1
    this.#count(1, received?.data.length ?? 0)
  }

  #write(client: Socket): void {
    const taken = client.send(CHUNK)
    if (typeof taken === 'number') this.#count(0, taken)
    else if (taken !== 'EAGAIN') counted[COUNTS * this.#index + 2] = 1
  }

  #flood(client: Socket): void {
    const now = performance.now()
    this.#dueMs = Math.max(this.#dueMs, now - BEHIND_MS_MAX)
    const stepMs = (DATAGRAM_BYTES * 8e3) / (this.load.bandwidth ?? 1e6)
    for (; this.#dueMs <= now; this.#dueMs += stepMs) {
      const taken = client.send(DATAGRAM)
      if (typeof taken !== 'number') return
      this.#count(0, taken)
    }
  }

  /** With what still waits to be sent: nothing of it is in the way of what comes next. */
  #end(): void {
    this.#dueMs = 0
    this.#client?.resetOnClose().close()
    this.#client = undefined
    this.#stream?.close()
    this.#stream = undefined
  }

  get #isBroken(): boolean {
    return counted[COUNTS * this.#index + 2] !== 0
  }

  #count(which: number, bytes: number): void {
    const at = COUNTS * this.#index + which
    counted[at] = counted[at]! + bytes
  }

  close(): void {
    for (const socket of [this.#client, this.#stream, this.#server]) socket?.close()
  }
}

function namespace(name: string): NetworkNamespace {
  const known = namespaces.get(name) ?? NetworkNamespace.open(name)
  namespaces.set(name, known)
  return known
}

const running = loads.map((load, index) => new RunningLoad(load, index))
Atomics.store(asked, loads.length, RUNNING)
Atomics.notify(asked, loads.length)
while (Atomics.load(asked, loads.length) !== ENDED)
  for (const { act } of pollSockets(
    running.flatMap((each) => each.polls()),
    POLL_MS,
  ))
    act()
for (const each of running) each.close()
