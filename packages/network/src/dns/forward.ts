import { createSocket } from 'node:dgram'
import { connect } from 'node:net'

const TIMEOUT_MS = 2_000
const DNS_PORT = 53
/** Resolvers that are asked, as in resolv.conf. Source: resolv.conf(5) MAXNS. */
const UPSTREAMS_MAX = 3
const TRUNCATED_BYTE = 2
const TRUNCATED_BIT = 0x02

/** Asks the resolvers one after the other; undefined when none answers in time. A cut answer is fetched again over TCP. */
export async function forwardQuery(message: Buffer, upstreams: readonly string[]): Promise<Buffer | undefined> {
  for (const upstream of upstreams.slice(0, UPSTREAMS_MAX)) {
    const { host, port } = parseUpstream(upstream)
    const answer = await askUdp(message, { host, port })
    if (answer === undefined) continue
    const isCut = ((answer[TRUNCATED_BYTE] ?? 0) & TRUNCATED_BIT) !== 0
    return isCut ? ((await askTcp(message, { host, port })) ?? answer) : answer
  }
  return undefined
}

interface Upstream {
  readonly host: string
  readonly port: number
}

function parseUpstream(text: string): Upstream {
  const match = /^(\d+\.\d+\.\d+\.\d+):(\d+)$/.exec(text)
  return match === null ? { host: text, port: DNS_PORT } : { host: match[1]!, port: Number(match[2]) }
}

function askUdp(message: Buffer, { host, port }: Upstream): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    let done = false
    const finish = (answer: Buffer | undefined): void => {
      if (done) return
      done = true
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    const timer = setTimeout(() => finish(undefined), TIMEOUT_MS)
    socket.on('error', () => finish(undefined))
    // A port of our own for each query; answers to another id are somebody's guess.
    socket.on('message', (answer) => {
      if (answer.byteLength > 12 && answer.readUInt16BE(0) === message.readUInt16BE(0)) finish(answer)
    })
    socket.connect(port, host, () => {
      socket.send(message, (error) => {
        if (error !== null) finish(undefined)
      })
    })
  })
}

function askTcp(message: Buffer, { host, port }: Upstream): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    let received = Buffer.alloc(0)
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('connect', () => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(message.byteLength)
      socket.write(Buffer.concat([length, message]))
    })
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.byteLength >= 2 && received.byteLength >= 2 + received.readUInt16BE(0)) socket.destroy()
    })
    socket.on('close', () => {
      const isWhole = received.byteLength >= 2 && received.byteLength >= 2 + received.readUInt16BE(0)
      resolve(isWhole ? received.subarray(2, 2 + received.readUInt16BE(0)) : undefined)
    })
  })
}
