/**
 * Sockets that outlive the process that reads them: who starts it holds them too, so while it is started again what arrives waits in the kernel instead of being refused. Node.js
 * gives no descriptor of a socket away, but takes one. Numbers: include/uapi/linux/in.h, include/uapi/asm-generic/socket.h.
 */
import { closeSync } from 'node:fs'
import { parseIpv4 } from '@centaurus/base'
import { DataplaneError } from './dataplane-error.ts'
import { lastErrno, loadLibC } from './native.ts'

const AF_INET = 2
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const IPPROTO_IP = 0
const IP_FREEBIND = 15
const SOCKADDR_IN_BYTES = 16
/** What the kernel keeps at most; more clients try again. */
const BACKLOG = 512

/** Descriptors. */
export interface HeldSockets {
  readonly udp: number
  /** Listens. */
  readonly tcp: number
}

/** Opens both on a port of an address, which need not be there yet. They are for children alone to inherit by `stdio`. Throws `DataplaneError`. */
export function holdSockets(address: string, port: number): HeldSockets {
  const udp = openBound(SOCK_DGRAM, { address, port })
  try {
    const tcp = openBound(SOCK_STREAM, { address, port })
    if (loadLibC().listen(tcp, BACKLOG) < 0)
      throw new DataplaneError(`Cannot listen on ${address}`, { errno: lastErrno() })
    return { udp, tcp }
  } catch (error) {
    closeSync(udp)
    throw error
  }
}

function openBound(type: number, { address, port }: { readonly address: string; readonly port: number }): number {
  const libC = loadLibC()
  const fd = libC.socket(AF_INET, type | SOCK_CLOEXEC, 0)
  const on = Buffer.of(1, 0, 0, 0)
  libC.setsockopt(fd, IPPROTO_IP, IP_FREEBIND, on, on.length)
  if (type === SOCK_STREAM) libC.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, on, on.length)
  const name = Buffer.alloc(SOCKADDR_IN_BYTES)
  name.writeUInt16LE(AF_INET, 0)
  name.writeUInt16BE(port, 2)
  name.writeUInt32BE(parseIpv4(address) ?? 0, 4)
  if (fd >= 0 && libC.bind(fd, name, name.length) === 0) return fd
  const errno = lastErrno()
  if (fd >= 0) closeSync(fd)
  throw new DataplaneError(`Cannot bind port ${port} of ${address}`, { errno })
}
