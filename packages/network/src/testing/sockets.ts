import { mustCall, SyscallError, tryCall } from './libc.ts'
import type { NetworkNamespace } from './network-namespace.ts'

/** Sockets that never block, made in any namespace and kept in one process: a whole matrix of connections costs a few microseconds a cell. */

const AF_INET = 2
const AF_PACKET = 17
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_RAW = 3
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_ERROR = 4
const SO_LINGER = 13
const SO_RCVBUFFORCE = 33
const SOL_IP = 0
const IP_MTU_DISCOVER = 10
const IPPROTO_TCP = 6
const TCP_CONGESTION = 13
const ETH_P_ALL = 3
const POLLIN = 1
const POLLOUT = 4
const POLLFD_BYTES = 8
const RECEIVE_BYTES_MAX = 65_536
const RECEIVE_BUFFER_BYTES = 16 * 2 ** 20

export const IPPROTO_ICMP = 1
export const IPPROTO_SCTP = 132

export interface SocketAddress {
  readonly ip: string
  readonly port: number
}

/** What `recv` gives: bytes and their sender. Raw IP sockets give the IP header too. */
export interface Received {
  readonly data: Buffer
  readonly from: SocketAddress
}

const receiveBuffer = Buffer.alloc(RECEIVE_BYTES_MAX)

export class Socket {
  readonly fd: number

  private constructor(fd: number) {
    this.fd = fd
  }

  static #open(namespace: NetworkNamespace, kind: readonly [domain: number, type: number, protocol: number]): Socket {
    const [domain, type, protocol] = kind
    return namespace.run(() => new Socket(mustCall('socket', domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)))
  }

  static tcp(namespace: NetworkNamespace): Socket {
    return Socket.#open(namespace, [AF_INET, SOCK_STREAM, 0])
  }

  static udp(namespace: NetworkNamespace): Socket {
    return Socket.#open(namespace, [AF_INET, SOCK_DGRAM, 0])
  }

  /** IP packets of one protocol, without their header when sent. */
  static raw(namespace: NetworkNamespace, protocol: number): Socket {
    return Socket.#open(namespace, [AF_INET, SOCK_RAW, protocol])
  }

  /** Whole Ethernet frames of a device, in and out. */
  static frames(namespace: NetworkNamespace, device: string): Socket {
    const socket = Socket.#open(namespace, [AF_PACKET, SOCK_RAW, 0])
    const address = Buffer.alloc(20)
    address.writeUInt16LE(AF_PACKET, 0)
    address.writeUInt16BE(ETH_P_ALL, 2)
    address.writeInt32LE(namespace.ifindex(device), 4)
    socket.takeManyPackets()
    namespace.run(() => mustCall('bind', socket.fd, address, address.length))
    return socket
  }

  bind(address: SocketAddress): this {
    this.setOption(SOL_SOCKET, { option: SO_REUSEADDR, value: 1 })
    mustCall('bind', this.fd, encodeAddress(address), 16)
    return this
  }

  listen(): this {
    mustCall('listen', this.fd, 4096)
    return this
  }

  accept(): Socket | undefined {
    const result = tryCall('accept4', this.fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC)
    return typeof result === 'number' ? new Socket(result) : undefined
  }

  /** Begins to connect. Returns the error when it failed at once. */
  connect(address: SocketAddress): string | undefined {
    const result = tryCall('connect', this.fd, encodeAddress(address), 16)
    return typeof result === 'number' || result === 'EINPROGRESS' ? undefined : result
  }

  /** The error that came in, once, as a number; 0: none. */
  takeError(): number {
    const value = Buffer.alloc(4)
    const length = Buffer.from(new Uint32Array([4]).buffer)
    mustCall('getsockopt', this.fd, SOL_SOCKET, SO_ERROR, value, length)
    return value.readInt32LE(0)
  }

  /** Bytes that were taken; the name of the error otherwise, such as `EAGAIN`. */
  send(data: Buffer): number | string {
    return tryCall('send', this.fd, data, data.length, MSG_NOSIGNAL)
  }

  sendTo(data: Buffer, address: SocketAddress): number | string {
    return tryCall('sendto', this.fd, data, data.length, MSG_NOSIGNAL, encodeAddress(address), 16)
  }

  /** Undefined: nothing there now. An empty buffer from a stream: its end. */
  receive(): Received | undefined {
    const address = Buffer.alloc(16)
    const length = Buffer.from(new Uint32Array([16]).buffer)
    const result = tryCall('recvfrom', this.fd, receiveBuffer, receiveBuffer.length, 0, address, length)
    if (result === 'EAGAIN') return undefined
    if (typeof result === 'string') throw new SyscallError('recvfrom', result)
    return { data: Buffer.from(receiveBuffer.subarray(0, result)), from: decodeAddress(address) }
  }

  /** Everything that is there now. */
  receiveAll(): Received[] {
    const all: Received[] = []
    for (let next = this.receive(); next !== undefined; next = this.receive()) all.push(next)
    return all
  }

  get address(): SocketAddress {
    const address = Buffer.alloc(16)
    mustCall('getsockname', this.fd, address, Buffer.from(new Uint32Array([16]).buffer))
    return decodeAddress(address)
  }

  /** Room for what comes while nobody reads. */
  takeManyPackets(): this {
    this.setOption(SOL_SOCKET, { option: SO_RCVBUFFORCE, value: RECEIVE_BUFFER_BYTES })
    return this
  }

  /** Sends without the don't-fragment bit, so that the kernel fragments; source: ip(7), IP_PMTUDISC_DONT. */
  allowFragments(): this {
    this.setOption(SOL_IP, { option: IP_MTU_DISCOVER, value: 0 })
    return this
  }

  /** Sends with the don't-fragment bit whatever is known of the way; source: ip(7), IP_PMTUDISC_DO. */
  forbidFragments(): this {
    this.setOption(SOL_IP, { option: IP_MTU_DISCOVER, value: 2 })
    return this
  }

  /** How a stream reacts to loss and delay, such as `bbr`. Needs root for what the kernel does not allow everybody. */
  setCongestionControl(name: string): this {
    mustCall('setsockopt', this.fd, IPPROTO_TCP, TCP_CONGESTION, Buffer.from(name), name.length)
    return this
  }

  /** What is closed is forgotten at once, on both sides. */
  resetOnClose(): this {
    mustCall('setsockopt', this.fd, SOL_SOCKET, SO_LINGER, Buffer.from(new Int32Array([1, 0]).buffer), 8)
    return this
  }

  setOption(level: number, { option, value }: { readonly option: number; readonly value: number }): void {
    mustCall('setsockopt', this.fd, level, option, Buffer.from(new Int32Array([value]).buffer), 4)
  }

  close(): void {
    tryCall('close', this.fd)
  }
}

const MSG_NOSIGNAL = 0x4000

export interface Poll {
  readonly socket: Socket
  readonly wants: 'read' | 'write'
}

/** Those that are ready, waiting up to `timeoutMs` for the first. */
export function pollSockets<Each extends Poll>(polls: readonly Each[], timeoutMs: number): Each[] {
  const fds = Buffer.alloc(Math.max(1, polls.length) * POLLFD_BYTES)
  polls.forEach(({ socket, wants }, index) => {
    fds.writeInt32LE(socket.fd, index * POLLFD_BYTES)
    fds.writeInt16LE(wants === 'read' ? POLLIN : POLLOUT, index * POLLFD_BYTES + 4)
  })
  const ready = tryCall('poll', fds, polls.length, timeoutMs)
  if (ready === 0 || typeof ready === 'string') return []
  return polls.filter((_, index) => fds.readInt16LE(index * POLLFD_BYTES + 6) !== 0)
}

function encodeAddress({ ip, port }: SocketAddress): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt16LE(AF_INET, 0)
  bytes.writeUInt16BE(port, 2)
  Buffer.from(ip.split('.').map(Number)).copy(bytes, 4)
  return bytes
}

function decodeAddress(bytes: Buffer): SocketAddress {
  return { port: bytes.readUInt16BE(2), ip: [...bytes.subarray(4, 8)].join('.') }
}
