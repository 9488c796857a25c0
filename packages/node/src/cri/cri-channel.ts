import { fileURLToPath } from 'node:url'

import { credentials, loadPackageDefinition, type ClientReadableStream, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

import { systemClock } from '@centaurus/base'

import { RuntimeError } from '../runtime/container-runtime.ts'
import { formatGrpcError } from './grpc-error.ts'

/** What a CRI call may take when the caller says nothing. Source: kubelet's runtimeRequestTimeout default (v1.37). */
export const CRI_TIMEOUT_MS = 120_000
/** Largest CRI message. Source: kubelet's maxMsgSize. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024

/** One CRI endpoint: both services over one connection. */
export interface CriChannel {
  call<Out>(
    service: CriService,
    method: string,
    request: object,
    options?: { readonly timeoutMs?: number },
  ): Promise<Out>
  stream<Out>(service: CriService, method: string, request: object): CriStream<Out>
  close(): void
}

export type CriService = 'RuntimeService' | 'ImageService'

export interface CriStream<Out> {
  onMessage(listener: (message: Out) => void): void
  onEnd(listener: () => void): void
  cancel(): void
}

type Unary = (
  request: object,
  options: { deadline: number },
  done: (error: ServiceError | null, response: unknown) => void,
) => unknown
type ServerStreaming = (request: object) => ClientReadableStream<unknown>
interface GrpcClient {
  close(): void
  [method: string]: unknown
}
type GrpcClientConstructor = new (target: string, creds: unknown, options: object) => GrpcClient

let definition: Record<CriService, GrpcClientConstructor> | undefined

/** Connects (lazily) to `endpoint`, such as `unix:///run/containerd/containerd.sock`. */
export function openCriChannel(endpoint: string): CriChannel {
  definition ??= loadServices()
  const options = {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 3000,
  }
  const clients: Record<CriService, GrpcClient> = {
    RuntimeService: new definition.RuntimeService(endpoint, credentials.createInsecure(), options),
    ImageService: new definition.ImageService(endpoint, credentials.createInsecure(), options),
  }
  return {
    call: <Out>(service: CriService, method: string, request: object, { timeoutMs = CRI_TIMEOUT_MS } = {}) =>
      new Promise<Out>((resolve, reject) => {
        const client = clients[service]
        const unary = client[method] as Unary
        // A gRPC deadline is wall-clock time by definition.
        unary.call(client, request, { deadline: systemClock.now() + timeoutMs }, (error, response) => {
          if (error === null) resolve(response as Out)
          else reject(toRuntimeError(error))
        })
      }),
    stream<Out>(service: CriService, method: string, request: object): CriStream<Out> {
      const client = clients[service]
      const call = (client[method] as ServerStreaming).call(client, request)
      return {
        onMessage: (listener) => void call.on('data', (message) => listener(message as Out)),
        onEnd(listener) {
          call.on('error', () => {}) // 'close' follows and ends it
          call.on('close', listener)
        },
        cancel: () => call.cancel(),
      }
    },
    close() {
      clients.RuntimeService.close()
      clients.ImageService.close()
    },
  }
}

function loadServices(): Record<CriService, GrpcClientConstructor> {
  const file = fileURLToPath(new URL('cri.proto', import.meta.url))
  const loaded = loadPackageDefinition(loadSync(file, { longs: Number, enums: String, defaults: true }))
  return (loaded as unknown as { runtime: { v1: Record<CriService, GrpcClientConstructor> } }).runtime.v1
}

function toRuntimeError(error: ServiceError): RuntimeError {
  return new RuntimeError(formatGrpcError(error), error.code, { cause: error })
}
