import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import type { ClusterCertificates } from '@centaurus/apiserver'
import type { TestObject, TestResponse } from '@centaurus/apiserver/testing'

export interface Identity {
  readonly commonName: string
  readonly organizations: readonly string[]
}

export interface FrontRequestOptions {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface FrontWatch {
  readonly events: { type: string; object: TestObject }[]
  readonly ended: boolean
  /** Resolves when `condition` holds; checked at each event and at the end. */
  until(condition: (events: readonly { type: string; object: TestObject }[], ended: boolean) => boolean): Promise<void>
  close(): void
}

/** A client with one HTTP/2 connection, that of the certificate. */
export interface FrontClient {
  request(method: string, path: string, options?: FrontRequestOptions): Promise<TestResponse>
  /** Rejects when the answer is not 200. */
  watch(path: string, headers?: Readonly<Record<string, string>>): Promise<FrontWatch>
  close(): void
}

let serial = 0

export async function connectFront(
  port: number,
  certificates: ClusterCertificates,
  identity?: Identity,
): Promise<FrontClient> {
  const ca = certificates.authority.certificatePem
  const pair = identity === undefined ? undefined : await certificates.client(`front-${serial++}`, identity)
  const own = pair === undefined ? {} : { cert: pair.certificatePem, key: pair.keyPem }
  let session: ClientHttp2Session | undefined
  const open = (): ClientHttp2Session => {
    if (session === undefined || session.destroyed || session.closed) {
      session = connect(`https://127.0.0.1:${port}`, { ca, ...own })
      session.on('error', () => {})
    }
    return session
  }
  return {
    request: (method, path, options = {}) => send(open(), { method, path, ...options }),
    watch: (path, headers) => watch(open(), path, headers),
    close: () => session?.destroy(),
  }
}

async function send(
  session: ClientHttp2Session,
  { method, path, body, headers }: FrontRequestOptions & { readonly method: string; readonly path: string },
): Promise<TestResponse> {
  const type = body === undefined ? {} : { 'content-type': 'application/json' }
  const stream = session.request({ ':method': method, ':path': path, ...type, ...headers })
  if (body === undefined) stream.end()
  else stream.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body))
  const response = await answerOf(stream)
  const chunks: Buffer[] = []
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const text = bytes.toString('utf8')
  return { status: Number(response[':status']), headers: response, text, bytes, json: <T>() => JSON.parse(text) as T }
}

function answerOf(stream: ClientHttp2Stream): Promise<Record<string, string | string[] | undefined>> {
  return new Promise((resolve, reject) => {
    stream.once('response', (headers) => resolve(headers as Record<string, string | string[] | undefined>))
    stream.once('error', reject)
    stream.once('close', () => reject(new Error('The stream was closed without an answer')))
  })
}

async function watch(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<FrontWatch> {
  const stream = session.request({ ':method': 'GET', ':path': path, ...headers })
  stream.on('error', () => {})
  const events: { type: string; object: TestObject }[] = []
  let ended = false
  let rest = ''
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const check of waiting) check()
  }
  const answer = await answerOf(stream)
  if (Number(answer[':status']) !== 200) throw new Error(`The watch was answered with ${answer[':status']}`)
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') events.push(JSON.parse(line) as { type: string; object: TestObject })
    wake()
  })
  stream.on('close', () => {
    ended = true
    wake()
  })
  return {
    events,
    get ended() {
      return ended
    },
    until: (condition) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const holds = condition(events, ended)
          if (!holds && !ended) return
          waiting.delete(check)
          if (holds) resolve()
          else reject(new Error(`The watch ended with ${JSON.stringify(events)}`))
        }
        waiting.add(check)
        check()
      }),
    close: () => stream.close(),
  }
}
