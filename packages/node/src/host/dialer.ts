import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { connect } from 'node:net'

import { credentials, makeClientConstructor, type Client as GrpcClient, type ServiceError } from '@grpc/grpc-js'

import { systemClock } from '@centaurus/base'

import type { Dialer, HttpRequest } from './node-host.ts'

/** Bytes of an answer that are read. Source: kubelet probe/http maxRespBodyLength, v1.37. */
const BODY_BYTES_MAX = 10 * 1024

/** Real sockets. Certificates of probed servers are not verified, as upstream's probes don't. */
export const systemDialer: Dialer = {
  http: sendRequest,
  tcp: (host, port, timeoutMs) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host, port, timeout: timeoutMs })
      const fail = (error: Error): void => {
        socket.destroy()
        reject(error)
      }
      socket.once('connect', () => {
        socket.destroy()
        resolve()
      })
      socket.once('timeout', () => fail(new Error(`dial tcp ${host}:${port}: i/o timeout`)))
      socket.once('error', fail)
    }),
  grpcHealth: checkHealth,
}

function sendRequest({
  scheme,
  host,
  port,
  path,
  headers,
  timeoutMs,
}: HttpRequest): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const send = scheme === 'https' ? requestHttps : requestHttp
    const options = {
      host,
      port,
      path,
      method: 'GET',
      agent: false,
      headers: toHeaders(headers),
      rejectUnauthorized: false,
      signal: AbortSignal.timeout(timeoutMs),
    } as const
    const request = send(options, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size <= BODY_BYTES_MAX) chunks.push(chunk)
      })
      const finish = (): void => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() })
      response.on('end', finish)
      response.on('error', reject)
    })
    const url = `${scheme}://${host}:${port}${path}`
    request.on('error', (error) => {
      const timedOut = error.name === 'TimeoutError' || error.name === 'AbortError'
      const detail = timedOut
        ? 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        : error.message
      reject(new Error(`Get "${url}": ${detail}`, { cause: error }))
    })
    request.end()
  })
}

function toHeaders(list: HttpRequest['headers']): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {
    'User-Agent': 'kube-probe/1.37',
    Accept: '*/*',
    Connection: 'close',
  }
  const seen = new Map<string, string[]>()
  for (const { name, value } of list) seen.set(name, [...(seen.get(name) ?? []), value])
  for (const [name, values] of seen) {
    const existing = Object.keys(headers).find((key) => key.toLowerCase() === name.toLowerCase())
    if (existing !== undefined) delete headers[existing]
    headers[name] = values.length === 1 ? values[0]! : values
  }
  return headers
}

const STATUS_NAMES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']

/** HealthCheckRequest { string service = 1 } and HealthCheckResponse { enum status = 1 } are small enough to write by hand. */
const HealthClient = makeClientConstructor(
  {
    check: {
      path: '/grpc.health.v1.Health/Check',
      requestStream: false,
      responseStream: false,
      requestSerialize: (service: string) => {
        const bytes = Buffer.from(service)
        return bytes.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes])
      },
      requestDeserialize: String,
      responseSerialize: () => Buffer.alloc(0),
      responseDeserialize: (bytes: Buffer) => (bytes[0] === 0x08 ? (bytes[1] ?? 0) : 0),
    },
  },
  'grpc.health.v1.Health',
)

function checkHealth(
  host: string,
  port: number,
  { service, timeoutMs }: { service: string; timeoutMs: number },
): Promise<string> {
  type Check = (
    request: string,
    options: { deadline: number },
    done: (error: ServiceError | null, status: number) => void,
  ) => void
  const client = new HealthClient(`${host}:${port}`, credentials.createInsecure()) as unknown as GrpcClient & {
    check: Check
  }
  return new Promise<string>((resolve, reject) => {
    // A gRPC deadline is wall-clock time by definition.
    client.check(service, { deadline: systemClock.now() + timeoutMs }, (error, status) => {
      if (error === null) resolve(STATUS_NAMES[status] ?? 'UNKNOWN')
      else reject(error)
    })
  }).finally(() => client.close())
}
