import { Client, credentials, Metadata, type CallOptions, type ServiceError } from '@grpc/grpc-js'

import { systemClock } from '@centaurus/base'

import { formatGrpcError } from '../../cri/grpc-error.ts'
import { deviceProtocol } from './definitions.ts'
import type { ContainerResponse, PluginDevice, PluginOptions } from './messages.ts'

/** Source: kubelet dial of a plugin, v1.37. */
const CONNECT_TIMEOUT_MS = 10_000
/** Upstream sets none; a plugin that hangs must not hold up all pods of the node for ever. */
const CALL_TIMEOUT_MS = 60_000
/** Source: KubeletPreStartContainerRPCTimeoutInSecs, v1beta1. */
const PRE_START_TIMEOUT_MS = 30_000
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024

/** Whose devices they are; the API itself does not say it. */
export interface DeviceOwner {
  readonly podUid: string
  readonly container: string
}

export interface PreferredRequest {
  readonly available: readonly string[]
  readonly mustInclude: readonly string[]
  readonly size: number
}

/** One plugin's socket. Calls throw with Go's rendering of the gRPC error. */
export interface PluginClient {
  /** Resolves when somebody listens; rejects after 10 s. */
  connect(): Promise<void>
  options(): Promise<PluginOptions>
  /** Calls `onDevices` with the whole list, again after each change; resolves with why the stream ended. */
  watch(onDevices: (devices: readonly PluginDevice[]) => void): Promise<string>
  preferredAllocation(request: PreferredRequest): Promise<readonly string[]>
  /** Undefined: the plugin answered for no container. */
  allocate(deviceIds: readonly string[], owner: DeviceOwner): Promise<ContainerResponse | undefined>
  preStartContainer(deviceIds: readonly string[]): Promise<void>
  close(): void
}

/** Connects on first use. */
export function openPluginClient(socketPath: string): PluginClient {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  })
  const call = <Out>(method: string, request: object, options: UnaryOptions = {}): Promise<Out> =>
    callUnary<Out>(client, method, request, options)
  return {
    connect: () =>
      new Promise((resolve, reject) => {
        client.waitForReady(systemClock.now() + CONNECT_TIMEOUT_MS, (error) =>
          error === undefined
            ? resolve()
            : reject(new Error(`failed to dial device plugin: ${error.message}`, { cause: error })),
        )
      }),
    options: () => call('GetDevicePluginOptions', {}),
    watch: (onDevices) => watch(client, onDevices),
    async preferredAllocation({ available, mustInclude, size }) {
      const request = { availableDeviceIDs: available, mustIncludeDeviceIDs: mustInclude, allocationSize: size }
      const answer = await call<{ containerResponses: { deviceIDs: string[] }[] }>('GetPreferredAllocation', {
        containerRequests: [request],
      })
      return answer.containerResponses[0]?.deviceIDs ?? []
    },
    async allocate(devicesIds, { podUid, container }) {
      const metadata = new Metadata()
      metadata.set('centaurus-pod-uid', podUid)
      metadata.set('centaurus-container', container)
      const request = { containerRequests: [{ devicesIds }] }
      const answer = await call<{ containerResponses: ContainerResponse[] }>('Allocate', request, { metadata })
      return answer.containerResponses[0]
    },
    preStartContainer: (devicesIds) => call('PreStartContainer', { devicesIds }, { timeoutMs: PRE_START_TIMEOUT_MS }),
    close: () => client.close(),
  }
}

interface UnaryOptions {
  readonly timeoutMs?: number
  readonly metadata?: Metadata
}

function callUnary<Out>(
  client: Client,
  method: string,
  request: object,
  { timeoutMs = CALL_TIMEOUT_MS, metadata = new Metadata() }: UnaryOptions,
): Promise<Out> {
  const { path, requestSerialize, responseDeserialize } = methodOf(method)
  // A gRPC deadline is wall-clock time by definition.
  const options: CallOptions = { deadline: systemClock.now() + timeoutMs }
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, options, (error, value) => {
      if (error === null) resolve(value as Out)
      else reject(new Error(formatGrpcError(error), { cause: error }))
    })
  })
}

function watch(client: Client, onDevices: (devices: readonly PluginDevice[]) => void): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = methodOf('ListAndWatch')
  const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {})
  return new Promise((resolve) => {
    let why = 'the plugin ended the stream'
    stream.on('data', ({ devices }: { devices: PluginDevice[] }) => onDevices(devices))
    stream.on('error', (error: ServiceError) => (why = formatGrpcError(error)))
    stream.on('close', () => resolve(why))
    stream.on('end', () => resolve(why))
  })
}

function methodOf(name: string): NonNullable<ReturnType<typeof deviceProtocol>['devicePlugin'][string]> {
  return deviceProtocol().devicePlugin[name]!
}
