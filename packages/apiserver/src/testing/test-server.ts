import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { createSeededRandom, silentLogger, systemClock, type Clock, type Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { createMemoryStore, type Store } from '@centaurus/store'
import type { CertificateIdentity } from '../certificates/authority.ts'
import { openClusterCertificates, type ClusterCertificates } from '../certificates/cluster-certificates.ts'
import type { CreateExtension } from '../extension.ts'
import { createApiServer, type ApiServer } from '../server.ts'
import type { AdmissionOptions } from '../admission/built-in.ts'

export interface TestServerOptions {
  readonly store?: Store | undefined
  readonly clock?: Clock | undefined
  readonly logger?: Logger | undefined
  readonly extensions?: readonly CreateExtension[] | undefined
  readonly admission?: AdmissionOptions | undefined
  readonly partition?: string | undefined
  /** Default: any free one. */
  readonly port?: number | undefined
  /** Default: one set for all tests of the process. */
  readonly certificates?: ClusterCertificates | undefined
}

/** A server over TLS on a free port, with the memory store. */
export interface TestServer {
  readonly server: ApiServer
  readonly store: Store
  readonly client: Client
  readonly port: number
  readonly certificates: ClusterCertificates
  /** One HTTP/2 connection, opened at the first request. */
  request(method: string, path: string, options?: TestRequestOptions): Promise<TestResponse>
  /** The same for a caller with a client certificate of the cluster's authority. */
  as(identity: CertificateIdentity): Promise<TestServer['request']>
  /** Opens a watch and collects its events. */
  watch(path: string): Promise<TestWatch>
  close(): Promise<void>
}

export interface TestRequestOptions {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export interface TestResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly bytes: Buffer
  /** The body as JSON. A test says what it expects. */
  json<T = TestObject>(): T
}

/** Any object, for assertions on a few fields. */
export interface TestObject {
  kind: string
  metadata: Record<string, unknown> & { name: string; resourceVersion: string; uid: string }
  spec: Record<string, unknown>
  status: Record<string, unknown>
  items: TestObject[]
  message: string
  reason: string
  code: number
}

export interface TestWatch {
  readonly events: { type: string; object: TestObject }[]
  readonly ended: boolean
  /** Resolves when `condition` holds; checked at each event. */
  until(condition: (events: { type: string; object: TestObject }[]) => boolean): Promise<void>
  close(): void
}

let certificates: Promise<ClusterCertificates> | undefined

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  certificates ??= openClusterCertificates()
  const used = options.certificates ?? (await certificates)
  const { authority, serving } = used
  const store = options.store ?? createMemoryStore()
  const server = createApiServer({
    store,
    clock: options.clock ?? systemClock,
    random: createSeededRandom(1),
    logger: options.logger ?? silentLogger,
    extensions: options.extensions,
    admission: options.admission,
    partition: options.partition,
  })
  await server.start()
  const listener = await server.listen({
    host: '127.0.0.1',
    port: options.port ?? 0,
    tls: { key: serving.keyPem, certificate: serving.certificatePem, clientAuthority: authority.certificatePem },
  })
  const sessions: ClientHttp2Session[] = []
  let session: ClientHttp2Session | undefined
  const open = (): ClientHttp2Session => {
    session ??= connect(`https://127.0.0.1:${listener.port}`, { ca: authority.certificatePem })
    return session
  }
  return {
    server,
    store,
    client: server.client(),
    port: listener.port,
    certificates: used,
    request: (method, path, request = {}) => sendRequest(open(), { method, path, ...request }),
    async as(identity) {
      const { certificatePem, keyPem } = await used.client(identity.commonName, identity)
      const url = `https://127.0.0.1:${listener.port}`
      const own = connect(url, { ca: authority.certificatePem, cert: certificatePem, key: keyPem })
      sessions.push(own)
      return (method, path, request = {}) => sendRequest(own, { method, path, ...request })
    },
    watch: (path) => openWatch(open(), path),
    async close() {
      session?.destroy()
      for (const own of sessions) own.destroy()
      await server.close()
      await store.close()
    },
  }
}

async function sendRequest(
  session: ClientHttp2Session,
  { method, path, body, headers }: TestRequestOptions & { readonly method: string; readonly path: string },
): Promise<TestResponse> {
  const stream = session.request({ ':method': method, ':path': path, ...contentType(body), ...headers })
  if (body === undefined) stream.end()
  else stream.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body))
  const response = await waitResponse(stream)
  const chunks: Buffer[] = []
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const text = bytes.toString('utf8')
  return { status: Number(response[':status']), headers: response, text, bytes, json: <T>() => JSON.parse(text) as T }
}

function contentType(body: unknown): Record<string, string> {
  return body === undefined ? {} : { 'content-type': 'application/json' }
}

function waitResponse(stream: ClientHttp2Stream): Promise<Record<string, string | string[] | undefined>> {
  return new Promise((resolve, reject) => {
    stream.once('response', (headers) => resolve(headers as Record<string, string | string[] | undefined>))
    stream.once('error', reject)
  })
}

async function openWatch(session: ClientHttp2Session, path: string): Promise<TestWatch> {
  const stream = session.request({ ':method': 'GET', ':path': path })
  stream.on('error', () => {})
  const events: { type: string; object: TestObject }[] = []
  let ended = false
  let rest = ''
  const waiting = new Set<() => void>()
  const wake = (): void => {
    for (const check of waiting) check()
  }
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
  await waitResponse(stream)
  return {
    events,
    get ended() {
      return ended
    },
    until: (condition) =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          if (condition(events)) resolve()
          else if (ended) reject(new Error(`The watch ended with ${JSON.stringify(events)}`))
          else return
          waiting.delete(check)
        }
        waiting.add(check)
        check()
      }),
    close: () => stream.close(),
  }
}
