/** Load over HTTP/2 and TLS with as little work in the client as Node can do; the same for our API server and for etcd's gRPC. */
import { connect, type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2'
import { percentile } from './measure.ts'
import { sampleProcess } from './process.ts'

/** PEM: whom to believe, and who we are. */
export interface TlsClient {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export interface LoadServer {
  readonly pid: number
  readonly url: string
  readonly tls: TlsClient
}

export interface LoadRequest {
  readonly headers: OutgoingHttpHeaders
  readonly body?: Uint8Array | undefined
}

/** Some connections to one server, used in turn. */
export interface LoadClient {
  /** Resolves to the length of the answer. Throws unless the status is 2xx and, for gRPC, `grpc-status` 0. */
  send(request: LoadRequest): Promise<number>
  /** The answer itself. */
  read(request: LoadRequest): Promise<Buffer>
  /** Opens an answer that does not end; `onData` gets each chunk. Resolves when the headers are there. */
  open(request: LoadRequest, onData: (chunk: Buffer) => void): Promise<ClientHttp2Stream>
  close(): void
}

export async function connectLoad(
  server: LoadServer,
  { connections }: { readonly connections: number },
): Promise<LoadClient> {
  const sessions = await Promise.all(Array.from({ length: connections }, () => openSession(server)))
  let turn = 0
  const next = (): ClientHttp2Session => sessions[turn++ % sessions.length]!
  return {
    send: (request) => send(next(), request, ignoreChunk),
    async read(request) {
      const chunks: Buffer[] = []
      await send(next(), request, (chunk) => chunks.push(chunk))
      return Buffer.concat(chunks)
    },
    open: (request, onData) => open(next(), request, onData),
    close: () => {
      for (const session of sessions) session.destroy()
    },
  }
}

function openSession({ url, tls }: LoadServer): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(url, { ...tls, peerMaxConcurrentStreams: 1_000 })
    session.once('error', reject)
    session.once('connect', () => {
      session.off('error', reject)
      session.on('error', () => {}) // the server ends first when a bench fails
      resolve(session)
    })
  })
}

function ignoreChunk(): void {}

function send(
  session: ClientHttp2Session,
  { headers, body }: LoadRequest,
  onChunk: (chunk: Buffer) => void,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined })
    let status = 0
    let grpcStatus = '0'
    let bytes = 0
    let start = ''
    stream.on('response', (answer) => (status = answer[':status'] ?? 0))
    stream.on('trailers', (trailers) => (grpcStatus = String(trailers['grpc-status'] ?? '0')))
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.byteLength
      onChunk(chunk)
      if (status >= 300) start += chunk.toString('utf8')
    })
    stream.on('error', reject)
    stream.on('end', () => {
      if (status >= 200 && status < 300 && grpcStatus === '0') resolve(bytes)
      else
        reject(
          new Error(`${String(headers[':path'])} answered ${status}, gRPC ${grpcStatus}: ${start.slice(0, 1_000)}`),
        )
    })
    if (body !== undefined) stream.end(body)
  })
}

function open(
  session: ClientHttp2Session,
  { headers, body }: LoadRequest,
  onData: (chunk: Buffer) => void,
): Promise<ClientHttp2Stream> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined })
    stream.on('error', reject)
    stream.on('data', onData)
    stream.once('response', (answer) => {
      if (answer[':status'] === 200) resolve(stream)
      else reject(new Error(`${String(headers[':path'])} answered ${answer[':status']}`))
    })
    if (body !== undefined) stream.write(body)
  })
}

/** What a load did and what it cost the server. */
export interface LoadSample {
  readonly perSecond: number
  /** CPU time of the server, all its threads, per operation. */
  readonly cpuMicroseconds: number
  readonly p99Ms: number
}

/** Keeps `inFlight` operations under way for `durationMs`, and watches the CPU time of the process `pid`. */
export async function measureLoad(
  { inFlight, durationMs, pid }: { readonly inFlight: number; readonly durationMs: number; readonly pid: number },
  operation: () => Promise<unknown>,
): Promise<LoadSample> {
  const latencies: number[] = []
  const cpuBefore = sampleProcess(pid).cpuMs
  const start = performance.now()
  const worker = async (): Promise<void> => {
    for (let began = start; began < start + durationMs;) {
      await operation()
      const ended = performance.now()
      latencies.push(ended - began)
      began = ended
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  const elapsedMs = performance.now() - start
  const cpuMs = sampleProcess(pid).cpuMs - cpuBefore
  return {
    perSecond: (latencies.length * 1000) / elapsedMs,
    cpuMicroseconds: (cpuMs * 1000) / latencies.length,
    p99Ms: percentile(latencies, 0.99),
  }
}
