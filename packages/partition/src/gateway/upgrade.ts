import { request as requestHttps } from 'node:https'
import type { IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Backend } from './backend.ts'
import { CONNECT_TIMEOUT_MS } from './limits.ts'
import { readAll } from './pass.ts'
import { LostAnswerError, UnreachableError } from './refusals.ts'

/** An answer that refuses the upgrade is read up to here. */
const REFUSAL_BYTES_MAX = 1024 * 1024

/** A client's upgrade (exec, attach, port-forward, by SPDY or WebSocket), to be repeated at a partition. */
export interface UpgradeCall {
  readonly method: string
  /** With its query, as it is: resolved as a URL, `//host/` would lead elsewhere. */
  readonly path: string
  /** With `connection` and `upgrade`. */
  readonly headers: OutgoingHttpHeaders
  readonly tls: { readonly ca: string; readonly cert?: string; readonly key?: string }
  /** Registers what is to be called when the client is gone. */
  readonly onClose: (listener: () => void) => void
}

/** A raw connection, and what came of it already. */
export interface RawConnection {
  readonly socket: Duplex
  readonly head: Buffer
}

export type UpgradeAnswer =
  | ({ readonly type: 'upgraded'; readonly response: IncomingMessage } & RawConnection)
  | { readonly type: 'refused'; readonly response: IncomingMessage; readonly body: Buffer }

/**
 * Asks the API servers of the partition, one after the other until one has been reached. Throws {@link UnreachableError} when none was, and
 * {@link LostAnswerError} when one did not answer.
 */
export async function repeatUpgrade(backend: Backend, call: UpgradeCall): Promise<UpgradeAnswer> {
  let failure: unknown = new UnreachableError(`Partition ${backend.name} has no addresses`)
  for (const url of backend.urlsInTurn()) {
    try {
      return await askFor(url, call)
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error
      failure = error
    }
  }
  throw failure
}

/** Tells the client that it is upgraded, and joins the two connections byte for byte. */
export function joinUpgraded(client: RawConnection, answer: Extract<UpgradeAnswer, { type: 'upgraded' }>): void {
  client.socket.write(formatHead(answer.response))
  if (answer.head.length > 0) client.socket.write(answer.head)
  if (client.head.length > 0) answer.socket.write(client.head)
  join(client.socket, answer.socket)
}

function askFor(url: string, { method, path, headers, tls, onClose }: UpgradeCall): Promise<UpgradeAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = requestHttps(url, { method, path, agent: false, headers, ...tls })
    let isSent = false
    const timer = setTimeout(() => outgoing.destroy(new Error('Connection timed out')), CONNECT_TIMEOUT_MS)
    outgoing.on('socket', (socket) =>
      socket.once('secureConnect', () => {
        isSent = true
        clearTimeout(timer)
      }),
    )
    onClose(() => outgoing.destroy())
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
