import { request as requestHttp, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Exchange } from '../http/exchange.ts'
import { ERROR_BODY_BYTES_MAX, toAnswerStatus, toDialStatus, type Backend } from './backend.ts'

/** The whole body is held while it is sent on. */
const REQUEST_BODY_BYTES_MAX = 32 * 1024 * 1024
const HOP_HEADERS =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|host|content-length|http2-settings)$/
const PRIVATE_HEADERS = /^(authorization|cookie|impersonate-.*|x-remote-.*)$/

/** Sends the client's request to the backend and its answer back, both without what belongs to the connection. */
export async function passHttp(exchange: Exchange, backend: Backend): Promise<void> {
  const hasBody = exchange.method !== 'GET' && exchange.method !== 'HEAD'
  const body = hasBody ? await exchange.readBody(REQUEST_BODY_BYTES_MAX) : undefined
  const headers = Object.entries(exchange.headers).filter(
    ([name]) => !HOP_HEADERS.test(name) && !PRIVATE_HEADERS.test(name) && !name.startsWith(':'),
  )
  const response = await send(exchange, backend, {
    method: exchange.method,
    headers: Object.fromEntries(headers) as Record<string, string>,
    body,
  })
  const answered = Object.entries(response.headers).filter(
    ([name, value]) => value !== undefined && !HOP_HEADERS.test(name),
  )
  const flat = answered.map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value] as const)
  await streamAnswer(exchange, response, Object.fromEntries(flat) as Record<string, string>)
}

/** Streams a GET of the backend as plain text; an error answer becomes an API error. `what` names the resource for it. */
export async function passLog(exchange: Exchange, backend: Backend, what: string): Promise<void> {
  const response = await send(exchange, backend, { method: 'GET', headers: {}, body: undefined })
  const code = response.statusCode ?? 500
  if (code < 200 || code > 206) throw toAnswerStatus(code, await readText(response), what)
  await streamAnswer(exchange, response, { 'content-type': 'text/plain' }, 200)
}

interface Outgoing {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

function send(
  exchange: Exchange,
  { url, tls }: Backend,
  { method, headers, body }: Outgoing,
): Promise<IncomingMessage> {
  const request = url.protocol === 'http:' ? requestHttp : requestHttps
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, agent: false, headers, ...tls })
    exchange.onClose(() => outgoing.destroy())
    outgoing.on('error', (error) => reject(toDialStatus(error)))
    outgoing.on('response', resolve)
    outgoing.end(body)
  })
}

/** A client that reads slowly holds the backend back; one that goes away ends it. */
async function streamAnswer(
  exchange: Exchange,
  response: IncomingMessage,
  headers: Readonly<Record<string, string>>,
  code = response.statusCode ?? 502,
): Promise<void> {
  exchange.startStream(code, headers)
  try {
    for await (const chunk of response) {
      if (exchange.closed) break
      exchange.write(chunk as Buffer)
      await exchange.drained()
    }
    exchange.end()
  } catch {
    exchange.destroy() // the backend broke off: the client must not take what it has for the whole
  } finally {
    response.destroy()
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response) {
    text += (chunk as Buffer).toString('utf8')
    if (text.length > ERROR_BODY_BYTES_MAX) break
  }
  return text.trimEnd()
}
