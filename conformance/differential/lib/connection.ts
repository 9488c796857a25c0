import { readFileSync } from 'node:fs'
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import { load } from 'js-yaml'

/** How long one request may take before the comparison gives up on it. */
const REQUEST_TIMEOUT_MS = 20_000

export interface Sent {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Objects go as JSON; text and bytes as they are. */
  readonly body?: unknown
  /** Ends a watch when this many lines came, or after {@link Sent.quietMs}. */
  readonly lines?: number | undefined
  /** For watches: how long to wait for lines. */
  readonly quietMs?: number | undefined
}

export interface Received {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
}

/** One server, as the user of a kubeconfig. */
export interface Connection {
  readonly kubeconfig: string
  send(sent: Sent): Promise<Received>
  close(): void
}

interface KubeconfigFile {
  clusters: [{ cluster: { server: string; 'certificate-authority-data': string } }]
  users: [{ user: { 'client-certificate-data'?: string; 'client-key-data'?: string } }]
}

export function openConnection(kubeconfig: string): Connection {
  const file = load(readFileSync(kubeconfig, 'utf8')) as KubeconfigFile
  const { cluster } = file.clusters[0]
  const { user } = file.users[0]
  const decode = (text: string | undefined): string => Buffer.from(text ?? '', 'base64').toString()
  let session: ClientHttp2Session | undefined
  const open = (): ClientHttp2Session => {
    if (session !== undefined && !session.closed && !session.destroyed) return session
    session = connect(cluster.server, {
      ca: decode(cluster['certificate-authority-data']),
      cert: decode(user['client-certificate-data']),
      key: decode(user['client-key-data']),
    })
    session.on('error', () => {})
    return session
  }
  return { kubeconfig, send: (sent) => exchange(open(), sent), close: () => session?.destroy() }
}

async function exchange(session: ClientHttp2Session, sent: Sent): Promise<Received> {
  const stream = session.request({ ':method': sent.method, ':path': sent.path, ...contentType(sent), ...sent.headers })
  if (sent.body === undefined) stream.end()
  else stream.end(encodeBody(sent.body))
  const timeoutMs = sent.quietMs ?? REQUEST_TIMEOUT_MS
  return new Promise((resolve, reject) => {
    let headers: IncomingHttpHeaders = {}
    const chunks: Buffer[] = []
    const finish = (): void => {
      clearTimeout(timer)
      // a watch that has nothing to tell may hold its headers back
      resolve({
        status: Number(headers[':status'] ?? (sent.quietMs === undefined ? 0 : 200)),
        headers,
        bytes: Buffer.concat(chunks),
      })
    }
    const timer = setTimeout(() => endEarly(stream, finish), timeoutMs)
    stream.on('response', (received) => (headers = received))
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (sent.lines !== undefined && countLines(chunks) >= sent.lines) endEarly(stream, finish)
    })
    stream.on('end', finish)
    stream.on('close', finish)
    stream.on('error', (error) => {
      clearTimeout(timer)
      if (headers[':status'] === undefined) reject(error)
      else finish()
    })
  })
}

function endEarly(stream: ClientHttp2Stream, finish: () => void): void {
  finish()
  stream.close()
}

function countLines(chunks: readonly Buffer[]): number {
  return chunks.reduce((count, chunk) => count + chunk.toString('latin1').split('\n').length - 1, 0)
}

function contentType(sent: Sent): Record<string, string> {
  return sent.body === undefined ? {} : { 'content-type': 'application/json' }
}

function encodeBody(body: unknown): string | Uint8Array {
  return typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
}
