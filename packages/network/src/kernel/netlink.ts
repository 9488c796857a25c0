/**
 * Netlink: requests to the kernel about devices, addresses, routes and their features, in this network namespace or in another one, without a process for each. Numbers and
 * layouts: include/uapi/linux/netlink.h; every number is in the machine's byte order, which is little-endian wherever we run.
 */
import { closeSync, openSync } from 'node:fs'
import { getSystemErrorMessage, getSystemErrorName } from 'node:util'
import { lastErrno, loadLibC } from './native.ts'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const CLONE_NEWNET = 0x4000_0000
const MSG_DONTWAIT = 0x40
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11

const HEADER_BYTES = 16
const NLM_F_REQUEST = 1
const NLM_F_ACK = 4
/** In an answer: attributes with the kernel's own words stand behind the error. */
const NLM_F_ACK_TLVS = 0x200
const NLMSG_ERROR = 2
/** An errno and the header of what was asked. */
const ERROR_BYTES = 20
const NLMSGERR_ATTR_MSG = 1
const NLA_HEADER_BYTES = 4
const NLA_F_NESTED = 0x8000
/** More than any answer to what we ask; the kernel's own tools use as much. */
const ANSWER_BYTES_MAX = 32_768

export const PROTOCOL_ROUTE = 0
export const PROTOCOL_GENERIC = 16

export interface NetlinkRequest {
  /** What it does, behind "Cannot": `add the address 10.0.0.1/32`. */
  readonly what: string
  readonly type: number
  /** Besides NLM_F_REQUEST and NLM_F_ACK. */
  readonly flags?: number
  /** The header of its family, and attributes. */
  readonly payload: Uint8Array
}

/** What the kernel refused. */
export class NetlinkError extends Error {
  /** Such as `EEXIST`. */
  readonly code: string

  constructor(what: string, { errno, said }: { readonly errno: number; readonly said?: string | undefined }) {
    const code = getSystemErrorName(-errno)
    super(`Cannot ${what}: ${said ?? getSystemErrorMessage(-errno) ?? 'the kernel refuses'} (${code})`)
    this.name = 'NetlinkError'
    this.code = code
  }
}

/** The kernel works on one such request at a time, whoever asks: more threads of ours would only wait. */
let lastSend: Promise<unknown> = Promise.resolve()

/** A socket belongs to the network namespace in which it was opened, whoever uses it. */
export class NetlinkSocket {
  readonly #fd: number

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** In this thread's own network namespace. */
  static open(protocol: number): NetlinkSocket {
    const fd = loadLibC().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)
    if (fd < 0) throw new NetlinkError('open a netlink socket', { errno: lastErrno() })
    const on = Buffer.of(1, 0, 0, 0)
    for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK])
      loadLibC().setsockopt(fd, SOL_NETLINK, option, on, on.length) // without them errors have fewer words
    return new NetlinkSocket(fd)
  }

  /** In the network namespace behind a descriptor. Nothing else of this process runs before the thread is back. */
  static openIn(netnsFd: number, protocol: number): NetlinkSocket {
    const own = openSync('/proc/thread-self/ns/net', 'r')
    try {
      if (loadLibC().setns(netnsFd, CLONE_NEWNET) < 0)
        throw new NetlinkError('step into the network namespace', { errno: lastErrno() })
      try {
        return NetlinkSocket.open(protocol)
      } finally {
        // whatever this thread did from now on would happen in a pod
        if (loadLibC().setns(own, CLONE_NEWNET) < 0) process.abort()
      }
    } finally {
      closeSync(own)
    }
  }

  /**
   * Makes the requests one after the other, also behind one that fails. Resolves with the payloads of what the kernel answered besides that it was done; rejects with the
   * {@link NetlinkError} of the first that failed.
   */
  async ask(requests: readonly NetlinkRequest[]): Promise<Buffer[]> {
    const messages = Buffer.concat(requests.map(formatRequest))
    const sent = lastSend.then(() => loadLibC().send(this.#fd, messages, messages.length, 0))
    lastSend = sent.catch(() => {}) // who asked is told
    await sent // when it fails there is no answer
    return this.#readAnswers(requests)
  }

  /** The same without giving way to anybody, which for some requests are many milliseconds. */
  askNow(requests: readonly NetlinkRequest[]): Buffer[] {
    const messages = Buffer.concat(requests.map(formatRequest))
    loadLibC().sendNow(this.#fd, messages, messages.length, 0)
    return this.#readAnswers(requests)
  }

  close(): void {
    closeSync(this.#fd)
  }

  /** All of them are there by now: the kernel answers before it takes the next request. */
  #readAnswers(requests: readonly NetlinkRequest[]): Buffer[] {
    const answers: Buffer[] = []
    let failure: NetlinkError | undefined
    for (let open = requests.length; open > 0;) {
      const buffer = Buffer.alloc(ANSWER_BYTES_MAX)
      const length = loadLibC().recv(this.#fd, buffer, buffer.length, MSG_DONTWAIT)
      if (length < 0) throw new NetlinkError(`${requests[0]!.what}: no answer`, { errno: lastErrno() })
      for (const message of splitMessages(buffer.subarray(0, length))) {
        if (message.type !== NLMSG_ERROR) {
          answers.push(message.payload)
          continue
        }
        open--
        const errno = -message.payload.readInt32LE(0)
        const { what } = requests[message.sequence] ?? requests[0]!
        if (errno !== 0) failure ??= new NetlinkError(what, { errno, said: readWords(message) })
      }
    }
    if (failure !== undefined) throw failure
    return answers
  }
}

/** An attribute: numbers are of 32 bits, texts end with a zero, and a list is nested attributes. Pure. */
export function attribute(type: number, value: number | string | Uint8Array | readonly Uint8Array[]): Buffer {
  const bytes =
    typeof value === 'number'
      ? formatNumber(value)
      : typeof value === 'string'
        ? Buffer.from(`${value}\0`)
        : value instanceof Uint8Array
          ? value
          : Buffer.concat(value)
  const length = NLA_HEADER_BYTES + bytes.length
  const buffer = Buffer.alloc(align(length))
  buffer.writeUInt16LE(length, 0)
  buffer.writeUInt16LE(Array.isArray(value) ? type | NLA_F_NESTED : type, 2)
  buffer.set(bytes, NLA_HEADER_BYTES)
  return buffer
}

/** The value of the first attribute of this type; undefined: there is none. Pure. */
export function findAttribute(attributes: Buffer, type: number): Buffer | undefined {
  for (let at = 0; at + NLA_HEADER_BYTES <= attributes.length;) {
    const length = Math.max(attributes.readUInt16LE(at), NLA_HEADER_BYTES)
    const isIt = (attributes.readUInt16LE(at + 2) & ~NLA_F_NESTED) === type
    if (isIt) return attributes.subarray(at + NLA_HEADER_BYTES, at + length)
    at += align(length)
  }
  return undefined
}

interface NetlinkMessage {
  readonly type: number
  readonly flags: number
  /** Index of the request. */
  readonly sequence: number
  readonly payload: Buffer
}

function formatRequest({ type, flags = 0, payload }: NetlinkRequest, index: number): Buffer {
  const length = HEADER_BYTES + payload.length
  const message = Buffer.alloc(align(length))
  message.writeUInt32LE(length, 0)
  message.writeUInt16LE(type, 4)
  message.writeUInt16LE(flags | NLM_F_REQUEST | NLM_F_ACK, 6)
  message.writeUInt32LE(index, 8)
  message.set(payload, HEADER_BYTES)
  return message
}

function* splitMessages(buffer: Buffer): Generator<NetlinkMessage> {
  for (let at = 0; at + HEADER_BYTES <= buffer.length;) {
    const length = Math.max(buffer.readUInt32LE(at), HEADER_BYTES)
    yield {
      type: buffer.readUInt16LE(at + 4),
      flags: buffer.readUInt16LE(at + 6),
      sequence: buffer.readUInt32LE(at + 8),
      payload: buffer.subarray(at + HEADER_BYTES, at + length),
    }
    at += align(length)
  }
}

/** What the kernel says itself, which is more than the number. */
function readWords({ flags, payload }: NetlinkMessage): string | undefined {
  if ((flags & NLM_F_ACK_TLVS) === 0) return undefined
  return findAttribute(payload.subarray(ERROR_BYTES), NLMSGERR_ATTR_MSG)?.toString().replace(/\0.*$/, '')
}

function formatNumber(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32LE(value, 0)
  return buffer
}

function align(length: number): number {
  return (length + 3) & ~3
}
