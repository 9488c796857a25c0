import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type handleUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js'
import { KUBELET_SOCKET } from '../plugin/registrar.ts'
import { kubeletProtocol } from '../plugin/protocol/definitions.ts'
import type {
  AllocateResponse,
  ContainerResponse,
  DeviceList,
  PluginDevice,
  PluginOptions,
  PreferredResponse,
  RegisterRequest,
} from '../plugin/protocol/messages.ts'

/** The kubelet's side of the API, as a stock kubelet speaks it. */
export interface TestKubelet {
  /** In the order in which they came. */
  readonly registrations: readonly RegisterRequest[]
  /** Resolves when there are so many. */
  whenRegistered(count: number): Promise<RegisterRequest>
  /** A connection to the plugin that registered last. */
  connect(): PluginConnection
  close(): void
}

export interface PluginConnection {
  options(): Promise<PluginOptions>
  prefer(available: readonly string[], size: number, mustInclude?: readonly string[]): Promise<readonly string[]>
  /** `owner` is what our node agent adds. */
  allocate(
    ids: readonly string[],
    owner?: { readonly podUid: string; readonly container: string },
  ): Promise<ContainerResponse>
  /** Resolves with the next list that `isWanted`. */
  watchUntil(isWanted: (devices: readonly PluginDevice[]) => boolean): Promise<readonly PluginDevice[]>
  close(): void
}

const POLL_MS = 10
const WAIT_MS = 10_000

/** Starts one in a folder of its own, removing what sockets there are, as a kubelet does. `refuse` says why it wants no plugin. */
export async function startTestKubelet(dir: string, { refuse }: { refuse?: string } = {}): Promise<TestKubelet> {
  mkdirSync(dir, { recursive: true })
  for (const name of readdirSync(dir)) rmSync(join(dir, name))
  const registrations: RegisterRequest[] = []
  const server = new Server()
  const Register: handleUnaryCall<RegisterRequest, object> = ({ request }, done) => {
    if (refuse !== undefined) return done({ code: 2, details: refuse })
    registrations.push(request)
    done(null, {})
  }
  server.addService(kubeletProtocol().registration, { Register })
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${join(dir, KUBELET_SOCKET)}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    )
  })
  return {
    registrations,
    async whenRegistered(count) {
      await until(() => registrations.length >= count, `${count} registrations`)
      return registrations[count - 1]!
    },
    connect: () => connect(join(dir, registrations.at(-1)!.endpoint)),
    close: () => server.forceShutdown(),
  }
}

/** Waits for a state of the real world. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`Waited ${WAIT_MS} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

function connect(path: string): PluginConnection {
  const client = new Client(`unix:${path}`, credentials.createInsecure())
  const call = <Out>(method: string, request: object, metadata = new Metadata()): Promise<Out> => {
    const { path: name, requestSerialize, responseDeserialize } = kubeletProtocol().devicePlugin[method]!
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(name, requestSerialize, responseDeserialize, request, metadata, (error, value) =>
        error === null ? resolve(value as Out) : reject(new Error((error as ServiceError).details)),
      )
    })
  }
  return {
    options: () => call('GetDevicePluginOptions', {}),
    async prefer(availableDeviceIDs, allocationSize, mustIncludeDeviceIDs = []) {
      const containerRequests = [{ availableDeviceIDs, mustIncludeDeviceIDs, allocationSize }]
      const { containerResponses } = await call<PreferredResponse>('GetPreferredAllocation', { containerRequests })
      return containerResponses[0]!.deviceIDs
    },
    async allocate(devicesIds, owner) {
      const metadata = new Metadata()
      if (owner !== undefined) {
        metadata.set('centaurus-pod-uid', owner.podUid)
        metadata.set('centaurus-container', owner.container)
      }
      const request = { containerRequests: [{ devicesIds }] }
      return (await call<AllocateResponse>('Allocate', request, metadata)).containerResponses[0]!
    },
    watchUntil(isWanted) {
      const { path: name, requestSerialize, responseDeserialize } = kubeletProtocol().devicePlugin['ListAndWatch']!
      const stream = client.makeServerStreamRequest(name, requestSerialize, responseDeserialize, {})
      return new Promise((resolve, reject) => {
        stream.on('data', ({ devices }: DeviceList) => {
          if (!isWanted(devices)) return
          stream.cancel()
          resolve(devices)
        })
        stream.on('error', reject)
      })
    },
    close: () => client.close(),
  }
}
