import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { GPU } from '@centaurus/api/gpu'
import { kubeletProtocol } from './protocol/definitions.ts'

/** Devices that the kubelet gave to a container. */
export interface HeldDevices {
  readonly namespace: string
  readonly pod: string
  readonly container: string
  /** As in `Allocate`. */
  readonly ids: readonly string[]
}

const TIMEOUT_MS = 2_000

/** Who has GPUs, as the kubelet at this socket says; undefined: it does not answer. */
export async function listHeldDevices(socketPath: string): Promise<HeldDevices[] | undefined> {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure())
  const { path, requestSerialize, responseDeserialize } = kubeletProtocol().podResources['List']!
  const deadline = AbortSignal.timeout(TIMEOUT_MS)
  try {
    const { podResources } = await new Promise<ListResponse>((resolve, reject) => {
      const done = (error: ServiceError | null, value?: unknown): void =>
        error === null ? resolve(value as ListResponse) : reject(error)
      const call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, done)
      deadline.addEventListener('abort', () => call.cancel(), { once: true })
    })
    return podResources.flatMap(({ name: pod, namespace, containers }) =>
      containers.flatMap(({ name: container, devices }) => {
        const ids = devices.filter(({ resourceName }) => resourceName === GPU).flatMap(({ deviceIds }) => deviceIds)
        return ids.length === 0 ? [] : [{ namespace, pod, container, ids }]
      }),
    )
  } catch {
    return undefined // what it knows is for people to read; the plugin works without
  } finally {
    client.close()
  }
}

interface ListResponse {
  readonly podResources: readonly {
    readonly name: string
    readonly namespace: string
    readonly containers: readonly {
      readonly name: string
      readonly devices: readonly { readonly resourceName: string; readonly deviceIds: readonly string[] }[]
    }[]
  }[]
}
