/** CRI responses as proto-loader gives them (camel case, numbers for 64-bit integers, names for enums), and how they become ours. */
import type {
  ContainerDetail,
  ContainerPhase,
  ContainerStats,
  ContainerSummary,
  RuntimeImage,
  SandboxDetail,
  SandboxSummary,
} from '../runtime/container-runtime.ts'
import { LABEL_CONTAINER_NAME, LABEL_POD_NAME, LABEL_POD_NAMESPACE, LABEL_POD_UID } from '../runtime/labels.ts'

const NANOS_PER_MS = 1_000_000

interface Labelled {
  labels: Record<string, string>
  annotations: Record<string, string>
}

export interface CriSandbox extends Labelled {
  id: string
  metadata: { name: string; uid: string; namespace: string; attempt: number } | null
  state: string
  createdAt: number
}

export interface CriSandboxStatus extends CriSandbox {
  network: { ip: string; additionalIps: { ip: string }[] } | null
}

export interface CriContainer extends Labelled {
  id: string
  podSandboxId: string
  metadata: { name: string; attempt: number } | null
  state: string
  createdAt: number
}

export interface CriContainerStatus extends Labelled {
  id: string
  metadata: { name: string; attempt: number } | null
  state: string
  createdAt: number
  startedAt: number
  finishedAt: number
  exitCode: number
  image: { image: string; userSpecifiedImage: string } | null
  imageRef: string
  imageId: string
  reason: string
  message: string
  logPath: string
  user: { linux: { uid: number; gid: number; supplementalGroups: number[] } | null } | null
}

export interface CriImage {
  id: string
  repoTags: string[]
  repoDigests: string[]
  size: number
  uid: { value: number } | null
  username: string
  pinned: boolean
}

interface CriValue {
  value: number
}

export interface CriContainerStats {
  attributes: { id: string; metadata: { name: string } | null; labels: Record<string, string> } | null
  cpu: { timestamp: number; usageCoreNanoSeconds: CriValue | null; usageNanoCores: CriValue | null } | null
  memory: { workingSetBytes: CriValue | null; usageBytes: CriValue | null; rssBytes: CriValue | null } | null
  writableLayer: { usedBytes: CriValue | null } | null
}

export function readSandbox(sandbox: CriSandbox): SandboxSummary {
  return {
    id: sandbox.id,
    podUid: sandbox.labels[LABEL_POD_UID] ?? sandbox.metadata?.uid ?? '',
    podName: sandbox.labels[LABEL_POD_NAME] ?? sandbox.metadata?.name ?? '',
    podNamespace: sandbox.labels[LABEL_POD_NAMESPACE] ?? sandbox.metadata?.namespace ?? '',
    attempt: sandbox.metadata?.attempt ?? 0,
    ready: sandbox.state === 'SANDBOX_READY',
    createdAtMs: toMs(sandbox.createdAt),
    labels: sandbox.labels,
    annotations: sandbox.annotations,
  }
}

export function readSandboxStatus(status: CriSandboxStatus): SandboxDetail {
  const ips =
    status.network === null || status.network.ip === ''
      ? []
      : [status.network.ip, ...status.network.additionalIps.map(({ ip }) => ip)]
  return { ...readSandbox(status), ips }
}

export function readContainer(container: CriContainer): ContainerSummary {
  return { ...readCommon(container), sandboxId: container.podSandboxId }
}

/** CRI's status does not say which sandbox: the caller's summary does. */
export function readContainerStatus(status: CriContainerStatus): ContainerDetail {
  const linux = status.user?.linux
  return {
    ...readCommon(status),
    sandboxId: '',
    startedAtMs: toMs(status.startedAt),
    finishedAtMs: toMs(status.finishedAt),
    exitCode: status.exitCode,
    reason: status.reason,
    message: status.message,
    image: status.image?.userSpecifiedImage || status.image?.image || '',
    imageId: status.imageRef || status.imageId,
    logPath: status.logPath,
    user: linux ? { uid: linux.uid, gid: linux.gid, supplementalGroups: linux.supplementalGroups } : undefined,
  }
}

export function readImage(image: CriImage): RuntimeImage {
  return {
    id: image.id,
    repoTags: image.repoTags,
    repoDigests: image.repoDigests,
    sizeBytes: image.size,
    uid: image.uid?.value,
    username: image.username,
    pinned: image.pinned,
  }
}

export function readStats(stats: CriContainerStats): ContainerStats {
  return {
    containerId: stats.attributes?.id ?? '',
    podUid: stats.attributes?.labels[LABEL_POD_UID] ?? '',
    name: stats.attributes?.metadata?.name ?? '',
    timestampMs: toMs(stats.cpu?.timestamp ?? 0),
    cpuUsageCoreNanos: stats.cpu?.usageCoreNanoSeconds?.value ?? 0,
    // containerd says 0 when it has looked only once
    cpuUsageNanoCores: stats.cpu?.usageNanoCores?.value || undefined,
    memoryWorkingSetBytes: stats.memory?.workingSetBytes?.value ?? 0,
    memoryUsageBytes: stats.memory?.usageBytes?.value ?? 0,
    memoryRssBytes: stats.memory?.rssBytes?.value ?? 0,
    writableLayerBytes: stats.writableLayer?.usedBytes?.value ?? 0,
  }
}

function readCommon(container: Omit<CriContainer, 'podSandboxId'>): Omit<ContainerSummary, 'sandboxId'> {
  return {
    id: container.id,
    podUid: container.labels[LABEL_POD_UID] ?? '',
    name: container.labels[LABEL_CONTAINER_NAME] ?? container.metadata?.name ?? '',
    attempt: container.metadata?.attempt ?? 0,
    phase: PHASES[container.state] ?? 'unknown',
    createdAtMs: toMs(container.createdAt),
    labels: container.labels,
    annotations: container.annotations,
  }
}

const PHASES: Record<string, ContainerPhase> = {
  CONTAINER_CREATED: 'created',
  CONTAINER_RUNNING: 'running',
  CONTAINER_EXITED: 'exited',
}

/** containerd writes Go's zero time as a negative number. */
function toMs(nanos: number): number {
  return nanos <= 0 ? 0 : nanos / NANOS_PER_MS
}
