import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'

const CONNECT_TIMEOUT_MS = 10_000
/** Headers of the connection itself or of its proof, which the runtime's server must not get. */
const DROPPED_HEADERS = new Set(['host', 'authorization'])

/**
 * Hands a client that asks for an upgrade over to another HTTP server, byte by byte, the upgrade's answer included: whatever protocol they
 * agree on is theirs. Ends both when either ends.
 */
export function proxyUpgrade(request: IncomingMessage, client: Duplex, head: Buffer, url: string): void {
  const target = new URL(url)
  const upstream = connect({ host: target.hostname, port: Number(target.port) })
  upstream.setTimeout(CONNECT_TIMEOUT_MS)
  upstream.once('timeout', () => upstream.destroy(new Error('the container runtime does not answer')))
  upstream.once('connect', () => {
    upstream.setTimeout(0)
    upstream.setNoDelay(true)
    upstream.write(formatRequest(request, target))
    if (head.length > 0) upstream.write(head)
    client.pipe(upstream)
    upstream.pipe(client)
  })
  const end = (): void => {
    client.destroy()
    upstream.destroy()
  }
  upstream.once('error', (error) => {
    if (upstream.connecting || upstream.bytesRead === 0)
      refuseUpgrade(client, 502, `error dialing backend: ${error.message}`)
    else end()
  })
  client.once('error', end)
  client.once('close', end)
  upstream.once('close', () => client.end())
}

/** Answers an upgrade with a plain refusal. */
export function refuseUpgrade(client: Duplex, status: number, message: string): void {
  const body = `${message}\n`
  const head = [
    `HTTP/1.1 ${status} ${status === 404 ? 'Not Found' : 'Error'}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  client.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

function formatRequest(request: IncomingMessage, target: URL): string {
  const lines = [`${request.method ?? 'GET'} ${target.pathname}${target.search} HTTP/1.1`, `Host: ${target.host}`]
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i]!
    if (!DROPPED_HEADERS.has(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[i + 1]!}`)
  }
  return `${lines.join('\r\n')}\r\n\r\n`
}
