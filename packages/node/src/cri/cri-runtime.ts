import {
  ExecTimeoutError,
  RuntimeError,
  type ContainerRuntime,
  type RuntimeFilter,
  type RuntimeStatus,
  type StreamRequest,
} from '../runtime/container-runtime.ts'
import { LABEL_POD_UID } from '../runtime/labels.ts'
import { CRI_TIMEOUT_MS, openCriChannel, type CriChannel } from './cri-channel.ts'
import {
  readContainer,
  readContainerStatus,
  readImage,
  readSandbox,
  readSandboxStatus,
  readStats,
  type CriContainer,
  type CriContainerStats,
  type CriContainerStatus,
  type CriImage,
  type CriSandbox,
  type CriSandboxStatus,
} from './cri-messages.ts'

const GRPC_DEADLINE_EXCEEDED = 4
const GRPC_NOT_FOUND = 5
/** An image may be large and the line slow; the registry's own stalls end it earlier. */
const PULL_TIMEOUT_MS = 3_600_000
/** Sandboxes make networks; slow ones deserve more than an ordinary call. Source: kubelet doubles the timeout for RunPodSandbox. */
const RUN_SANDBOX_TIMEOUT_MS = 2 * CRI_TIMEOUT_MS

export interface CriRuntimeOptions {
  /** `unix:///run/containerd/containerd.sock` */
  readonly endpoint: string
}

/**
 * A container runtime that speaks CRI v1 over gRPC: containerd 1.6 and newer, CRI-O. Connects on first use and again when the runtime
 * restarts. Calls throw `RuntimeError` with Go's rendering of the gRPC status.
 */
export function createCriRuntime({ endpoint }: CriRuntimeOptions): ContainerRuntime {
  const channel = openCriChannel(endpoint)
  return { ...sandboxCalls(channel), ...containerCalls(channel), ...imageCalls(channel), ...otherCalls(channel) }
}

type SandboxCalls = Pick<
  ContainerRuntime,
  'listSandboxes' | 'sandboxStatus' | 'runSandbox' | 'stopSandbox' | 'removeSandbox'
>

function sandboxCalls(channel: CriChannel): SandboxCalls {
  const runtime = <Out>(method: string, request: object, timeoutMs?: number): Promise<Out> =>
    channel.call('RuntimeService', method, request, timeoutMs === undefined ? {} : { timeoutMs })
  return {
    async listSandboxes(filter) {
      const { items } = await runtime<{ items: CriSandbox[] }>('ListPodSandbox', { filter: toFilter(filter) })
      return items.map(readSandbox)
    },
    sandboxStatus: (podSandboxId) =>
      unlessGone(async () => {
        const { status } = await runtime<{ status: CriSandboxStatus | null }>('PodSandboxStatus', { podSandboxId })
        return status === null ? undefined : readSandboxStatus(status)
      }),
    async runSandbox(config, runtimeHandler) {
      const answer = await runtime<{ podSandboxId: string }>(
        'RunPodSandbox',
        { config, runtimeHandler },
        RUN_SANDBOX_TIMEOUT_MS,
      )
      return answer.podSandboxId
    },
    stopSandbox: (podSandboxId) => unlessGone(() => runtime('StopPodSandbox', { podSandboxId })),
    removeSandbox: (podSandboxId) => unlessGone(() => runtime('RemovePodSandbox', { podSandboxId })),
  }
}

type ContainerCalls = Pick<
  ContainerRuntime,
  | 'listContainers'
  | 'containerStatus'
  | 'createContainer'
  | 'startContainer'
  | 'stopContainer'
  | 'removeContainer'
  | 'updateContainerResources'
  | 'reopenContainerLog'
  | 'execSync'
>

function containerCalls(channel: CriChannel): ContainerCalls {
  const runtime = <Out>(method: string, request: object, timeoutMs?: number): Promise<Out> =>
    channel.call('RuntimeService', method, request, timeoutMs === undefined ? {} : { timeoutMs })
  return {
    async listContainers(filter) {
      const { containers } = await runtime<{ containers: CriContainer[] }>('ListContainers', {
        filter: toFilter(filter),
      })
      return containers.map(readContainer)
    },
    containerStatus: (containerId) =>
      unlessGone(async () => {
        const { status } = await runtime<{ status: CriContainerStatus | null }>('ContainerStatus', { containerId })
        return status === null ? undefined : readContainerStatus(status)
      }),
    async createContainer(podSandboxId, config, sandboxConfig) {
      const envs = config.envs.map(({ key, value }) => ({ key, value: Buffer.from(value) }))
      const answer = await runtime<{ containerId: string }>('CreateContainer', {
        podSandboxId,
        config: { ...config, envs },
        sandboxConfig,
      })
      return answer.containerId
    },
    startContainer: (containerId) => runtime('StartContainer', { containerId }),
    stopContainer: (containerId, graceSeconds) =>
      unlessGone(() =>
        runtime('StopContainer', { containerId, timeout: graceSeconds }, CRI_TIMEOUT_MS + graceSeconds * 1000),
      ),
    removeContainer: (containerId) => unlessGone(() => runtime('RemoveContainer', { containerId })),
    updateContainerResources: (containerId, linux) => runtime('UpdateContainerResources', { containerId, linux }),
    reopenContainerLog: (containerId) => runtime('ReopenContainerLog', { containerId }),
    async execSync(containerId, cmd, timeout) {
      const wait = timeout === 0 ? PULL_TIMEOUT_MS : timeout * 1000 + CRI_TIMEOUT_MS
      try {
        return await runtime('ExecSync', { containerId, cmd, timeout }, wait)
      } catch (cause) {
        if (!isTimeout(cause)) throw cause
        throw new ExecTimeoutError(`command "${cmd.join(' ')}" timed out`, { cause })
      }
    },
  }
}

type ImageCalls = Pick<ContainerRuntime, 'listImages' | 'imageStatus' | 'pullImage' | 'removeImage' | 'imageFsInfo'>

function imageCalls(channel: CriChannel): ImageCalls {
  return {
    async listImages() {
      const { images } = await channel.call<{ images: CriImage[] }>('ImageService', 'ListImages', {})
      return images.map(readImage)
    },
    async imageStatus(image) {
      const answer = await channel.call<{ image: CriImage | null }>('ImageService', 'ImageStatus', { image: { image } })
      return answer.image === null ? undefined : readImage(answer.image)
    },
    async pullImage(image, auth, sandboxConfig) {
      const request = { image: { image }, auth, sandboxConfig }
      const { imageRef } = await channel.call<{ imageRef: string }>('ImageService', 'PullImage', request, {
        timeoutMs: PULL_TIMEOUT_MS,
      })
      return imageRef
    },
    removeImage: (image) => unlessGone(() => channel.call('ImageService', 'RemoveImage', { image: { image } })),
    async imageFsInfo() {
      type Answer = { imageFilesystems: { fsId: { mountpoint: string } | null; usedBytes: { value: number } | null }[] }
      const first = (await channel.call<Answer>('ImageService', 'ImageFsInfo', {})).imageFilesystems[0]
      return { mountpoint: first?.fsId?.mountpoint ?? '', usedBytes: first?.usedBytes?.value ?? 0 }
    },
  }
}

type OtherCalls = Required<
  Pick<ContainerRuntime, 'version' | 'status' | 'openStream' | 'listContainerStats' | 'subscribe' | 'close'>
>

function otherCalls(channel: CriChannel): OtherCalls {
  return {
    async version() {
      type Answer = { runtimeName: string; runtimeVersion: string }
      const { runtimeName, runtimeVersion } = await channel.call<Answer>('RuntimeService', 'Version', {})
      return { name: runtimeName, version: runtimeVersion }
    },
    status: async () => readStatus(await channel.call<CriStatus>('RuntimeService', 'Status', {})),
    async openStream(request) {
      const { method, body } = toStreamCall(request)
      const { url } = await channel.call<{ url: string }>('RuntimeService', method, body)
      return { kind: 'url', url }
    },
    async listContainerStats() {
      const { stats } = await channel.call<{ stats: CriContainerStats[] }>('RuntimeService', 'ListContainerStats', {})
      return stats.map(readStats)
    },
    subscribe(onChange, onEnd) {
      type Event = { podSandboxStatus: CriSandboxStatus | null }
      const stream = channel.stream<Event>('RuntimeService', 'GetContainerEvents', {})
      stream.onMessage(
        (event) => event.podSandboxStatus !== null && onChange(readSandbox(event.podSandboxStatus).podUid),
      )
      stream.onEnd(onEnd)
      return () => stream.cancel()
    },
    close: () => Promise.resolve(channel.close()),
  }
}

interface CriStatus {
  status: { conditions: { type: string; status: boolean; reason: string; message: string }[] } | null
  runtimeHandlers: { name: string }[]
}

function readStatus({ status, runtimeHandlers }: CriStatus): RuntimeStatus {
  const conditions = status?.conditions ?? []
  const isTrue = (type: string): boolean => conditions.some((condition) => condition.type === type && condition.status)
  const failing = conditions.filter((condition) => !condition.status)
  return {
    ready: isTrue('RuntimeReady'),
    networkReady: isTrue('NetworkReady'),
    // Source: kubelet container.RuntimeCondition.String, v1.37
    message: failing.map((c) => `${c.type}=${c.status} reason:${c.reason} message:${c.message}`).join(', '),
    handlers: runtimeHandlers.map(({ name }) => name),
  }
}

function toStreamCall(request: StreamRequest): { method: string; body: object } {
  switch (request.kind) {
    case 'exec': {
      const { containerId, command, tty, stdin, stdout, stderr } = request
      return { method: 'Exec', body: { containerId, cmd: command, tty, stdin, stdout, stderr } }
    }
    case 'attach': {
      const { containerId, tty, stdin, stdout, stderr } = request
      return { method: 'Attach', body: { containerId, tty, stdin, stdout, stderr } }
    }
    case 'portForward':
      return { method: 'PortForward', body: { podSandboxId: request.sandboxId, port: request.ports } }
  }
}

function toFilter(filter: RuntimeFilter | undefined): object | undefined {
  return filter?.podUid === undefined ? undefined : { labelSelector: { [LABEL_POD_UID]: filter.podUid } }
}

async function unlessGone<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call()
  } catch (error) {
    if (error instanceof RuntimeError && error.code === GRPC_NOT_FOUND) return undefined
    throw error
  }
}

/** containerd reports a command's timeout as Unknown with this text, others as DeadlineExceeded. */
function isTimeout(error: unknown): boolean {
  return (
    error instanceof RuntimeError &&
    (error.code === GRPC_DEADLINE_EXCEEDED || /timeout .* exceeded|context deadline exceeded/.test(error.message))
  )
}
