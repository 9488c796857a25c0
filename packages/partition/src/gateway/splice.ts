import { request as requestHttps } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Backend } from './backend.ts'
import type { Caller } from './caller.ts'
import type { GatewayTls } from './endpoint.ts'
import type { FrontRequest } from './front-request.ts'
import { CONNECT_TIMEOUT_MS } from './limits.ts'
import { passAnswerHeaders, passRequestHeaders } from './pass-headers.ts'
import { readAll } from './pass.ts'
import { LostAnswerError, UnreachableError } from './refusals.ts'

/** An answer that refuses the upgrade is read up to here. */
const REFUSAL_BYTES_MAX = 1024 * 1024

/**
 * Repeats the client's upgrade (exec, attach, port-forward, by SPDY or WebSocket) at the partition, and joins the two connections
 * byte for byte when that agrees. Any other answer is passed on.
 */
export async function splice(
  request: FrontRequest,
  caller: Caller,
  { backend, tls }: { readonly backend: Backend; readonly tls: GatewayTls },
): Promise<void> {
  const answer = await reachAny(backend, (url) => repeatUpgrade(request, caller, { url, tls }))
  if (answer.type === 'refused') {
    const { response, body } = answer
    return request.answer(response.statusCode ?? 502, passAnswerHeaders(response.headers), body)
  }
  if (request.upgrade === undefined || request.settled) return void answer.socket.destroy()
  const socket = request.upgrade.take()
  socket.write(formatHead(answer.response))
  if (answer.head.length > 0) socket.write(answer.head)
  if (request.upgrade.head.length > 0) answer.socket.write(request.upgrade.head)
  join(socket, answer.socket)
}

/** Tries the API servers of the partition until one has been reached. */
async function reachAny<T>(backend: Backend, attempt: (url: string) => Promise<T>): Promise<T> {
  let failure: unknown = new UnreachableError(`Partition ${backend.name} has no addresses`)
  for (const url of backend.urlsInTurn()) {
    try {
      return await attempt(url)
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error
      failure = error
    }
  }
  throw failure
}

type UpgradeAnswer =
  | { readonly type: 'upgraded'; readonly response: IncomingMessage; readonly socket: Duplex; readonly head: Buffer }
  | { readonly type: 'refused'; readonly response: IncomingMessage; readonly body: Buffer }

function repeatUpgrade(
  request: FrontRequest,
  caller: Caller,
  { url, tls }: { readonly url: string; readonly tls: GatewayTls },
): Promise<UpgradeAnswer> {
  const { connection = 'Upgrade', upgrade = '' } = request.headers
  const { ca, cert, key } = tls
  return new Promise((resolve, reject) => {
    const outgoing = requestHttps(url, {
      method: request.method,
      path: request.target, // as it is: resolved as a URL, `//host/` would lead elsewhere
      agent: false,
      headers: { ...passRequestHeaders(request, caller), connection, upgrade },
      ca,
      ...(caller.identity === undefined ? {} : { cert, key }),
    })
    let isSent = false
    const timer = setTimeout(() => outgoing.destroy(new Error('Connection timed out')), CONNECT_TIMEOUT_MS)
    outgoing.on('socket', (socket) =>
      socket.once('secureConnect', () => {
        isSent = true
        clearTimeout(timer)
      }),
    )
    request.onClose(() => outgoing.destroy())
    outgoing.on('error', (cause) => {
      clearTimeout(timer)
      const message = `Partition did not answer an upgrade`
      reject(isSent ? new LostAnswerError(message, { cause }) : new UnreachableError(message, { cause }))
    })
    outgoing.on('upgrade', (response, socket, head) => resolve({ type: 'upgraded', response, socket, head }))
    outgoing.on('response', (response) => {
      readAll(response, REFUSAL_BYTES_MAX).then(
        (body) => resolve({ type: 'refused', response, body: body ?? Buffer.alloc(0) }),
        reject,
      )
    })
    outgoing.end()
  })
}

/** Pipes both ways; when one side ends or breaks, so does the other. */
function join(a: Duplex, b: Duplex): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to)
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroy())
  }
}

function formatHead(response: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${response.statusCode} ${response.statusMessage}`]
  for (let i = 0; i + 1 < response.rawHeaders.length; i += 2) {
    lines.push(`${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}`)
  }
  return `${lines.join('\r\n')}\r\n\r\n`
}
