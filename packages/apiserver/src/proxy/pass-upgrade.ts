import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Exchange } from '../http/exchange.ts'
import { ERROR_BODY_BYTES_MAX, toDialStatus, type Backend } from './backend.ts'

const DIAL_TIMEOUT_MS = 30_000
/** What says who the caller is stays here: the backend trusts our certificate. */
const PRIVATE_HEADERS = /^(authorization|cookie|host|impersonate-.*|x-remote-.*)$/

/**
 * Repeats the client's upgrade towards the backend and, when that agrees, joins the two connections byte for byte. Any other answer
 * is passed on. Throws InternalError when the backend can't be reached.
 */
export async function passUpgrade(exchange: Exchange, backend: Backend): Promise<void> {
  const answer = await repeatUpgrade(exchange, backend)
  if (answer.type === 'refused') {
    const { response, body } = answer
    return exchange.respond(
      response.statusCode ?? 502,
      { 'content-type': response.headers['content-type'] ?? 'text/plain' },
      body,
    )
  }
  if (exchange.upgrade === undefined || exchange.closed) return void answer.socket.destroy()
  const client = exchange.upgrade()
  client.socket.write(formatHead(answer.response))
  if (answer.head.length > 0) client.socket.write(answer.head)
  if (client.head.length > 0) answer.socket.write(client.head)
  joinSockets(client.socket, answer.socket)
}

/** Pipes both ways; when one side ends or breaks, so does the other. */
export function joinSockets(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to)
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroy())
  }
}

type UpgradeAnswer =
  | { readonly type: 'upgraded'; readonly response: IncomingMessage; readonly socket: Duplex; readonly head: Buffer }
  | { readonly type: 'refused'; readonly response: IncomingMessage; readonly body: Buffer }

function repeatUpgrade(exchange: Exchange, { url, tls }: Backend): Promise<UpgradeAnswer> {
  const request = url.protocol === 'http:' ? requestHttp : requestHttps
  const headers = Object.entries(exchange.headers).filter(
    ([name]) => !PRIVATE_HEADERS.test(name) && !name.startsWith(':'),
  )
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method: exchange.method,
      agent: false,
      headers: Object.fromEntries(headers),
      ...tls,
    })
    outgoing.setTimeout(DIAL_TIMEOUT_MS, () => outgoing.destroy(new Error(`no answer within ${DIAL_TIMEOUT_MS} ms`)))
    exchange.onClose(() => outgoing.destroy())
    outgoing.on('error', (error) => reject(toDialStatus(error)))
    outgoing.on('upgrade', (response, socket, head) => {
      socket.setTimeout(0)
      resolve({ type: 'upgraded', response, socket, head })
    })
    outgoing.on('response', (response) => {
      readBody(response).then((body) => resolve({ type: 'refused', response, body }), reject)
    })
    outgoing.end()
  })
}

async function readBody(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    chunks.push(chunk as Buffer)
    bytes += (chunk as Buffer).length
    if (bytes > ERROR_BODY_BYTES_MAX) break
  }
  return Buffer.concat(chunks)
}

function formatHead(response: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${response.statusCode} ${response.statusMessage}`]
  for (let i = 0; i + 1 < response.rawHeaders.length; i += 2)
    lines.push(`${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}
