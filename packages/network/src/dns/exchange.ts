import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import type { Clock } from '@centaurus/base'
import type { DnsUpstream } from './addresses.ts'
import { parseForwarded, type ForwardedAnswer } from './forwarded.ts'

export interface ExchangeOptions {
  readonly clock: Pick<Clock, 'setTimer'>
  readonly timeoutMs: number
}

/** Asks one server, over UDP and again over TCP when its answer is cut. Undefined when nothing that answers the message came in time. */
export async function exchange(
  message: Buffer,
  server: DnsUpstream,
  options: ExchangeOptions,
): Promise<ForwardedAnswer | undefined> {
  const answer = await askUdp(message, server, options)
  if (answer?.isTruncated !== true) return answer
  return (await askTcp(message, server, options)) ?? answer
}

/** A socket, and with it a port, for each query: who guesses at answers has to guess both that and the id. */
function askUdp(
  message: Buffer,
  { host, port }: DnsUpstream,
  { clock, timeoutMs }: ExchangeOptions,
): Promise<ForwardedAnswer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    let isDone = false
    const finish = (answer: ForwardedAnswer | undefined): void => {
      if (isDone) return
      isDone = true
      timer.cancel()
      socket.close()
      resolve(answer)
    }
    const timer = clock.setTimer(timeoutMs, () => finish(undefined))
    socket.on('error', () => finish(undefined))
    socket.on('message', (bytes) => {
      const answer = parseForwarded(bytes, message)
      if (answer !== undefined) finish(answer) // else somebody's guess: the server's may still come
    })
    socket.connect(port, host, () => {
      if (isDone) return
      socket.send(message, (error) => {
        if (error !== null) finish(undefined)
      })
    })
  })
}

/** Source: RFC 1035 section 4.2.2, a length of two bytes comes first. */
function askTcp(
  message: Buffer,
  { host, port }: DnsUpstream,
  { clock, timeoutMs }: ExchangeOptions,
): Promise<ForwardedAnswer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    const chunks: Buffer[] = []
    let received = 0
    let expected = Infinity
    const timer = clock.setTimer(timeoutMs, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.on('connect', () => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(message.byteLength)
      socket.write(Buffer.concat([length, message]))
    })
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      received += chunk.byteLength
      if (expected === Infinity && received >= 2) expected = 2 + Buffer.concat(chunks).readUInt16BE(0)
      if (received >= expected) socket.destroy()
    })
    socket.on('close', () => {
      timer.cancel()
      resolve(received >= expected ? parseForwarded(Buffer.concat(chunks).subarray(2, expected), message) : undefined)
    })
  })
}
