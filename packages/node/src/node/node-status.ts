import { isDeepStrictEqual } from 'node:util'

import { formatQuantity, parseQuantity, quantityOfMillis, quantityOfUnits } from '@centaurus/api'
import type { ContainerImage, Node, NodeCondition, NodeStatus } from '@centaurus/api/core/v1'
import { GPU_COMPUTE, GPU_MEMORY } from '@centaurus/api/gpu'

import type { NodeAgentConfig } from '../agent/config.ts'
import type { DeviceCapacity } from '../devices/device-inventory.ts'
import type { HostFacts } from '../host/node-host.ts'
import type { PressureType } from '../pod/pressure.ts'
import { measure } from '../pod/resources.ts'
import type { RuntimeImage, RuntimeStatus, RuntimeVersion } from '../runtime/container-runtime.ts'

/** The release whose behaviour the agent follows; what `kubectl get nodes` shows. */
export const KUBELET_VERSION = 'v1.37.2'
/** Source: kubelet nodeStatusMaxImages. */
const IMAGES_MAX = 50
const IMAGE_NAMES_MAX = 5

export interface NodeStatusInput {
  readonly config: NodeAgentConfig
  readonly facts: HostFacts
  readonly underPressure: ReadonlySet<PressureType>
  readonly version: RuntimeVersion
  readonly runtime: RuntimeStatus
  readonly images: readonly RuntimeImage[]
  /** Undefined: the node has none. */
  readonly devices?: DeviceCapacity | undefined
  /** Heartbeat, as the API's time. */
  readonly now: string
}

/** Capacity as quantities. */
export function nodeCapacity(facts: HostFacts, podsMax: number): Record<string, string> {
  const hugepages = Object.entries(facts.hugepages).map(([name, bytes]) => [name, formatBytes(bytes)])
  return {
    cpu: formatQuantity(quantityOfMillis(facts.cpuMillicores)),
    'ephemeral-storage': formatBytes(facts.ephemeralStorageBytes),
    ...Object.fromEntries(hugepages),
    memory: formatBytes(facts.memoryBytes),
    pods: String(podsMax),
  }
}

/** Resources whose both lists the plugin of GPUs writes: of a GPU that is ill there is capacity, and nothing to allocate. */
const WRITTEN_BY_PLUGINS: ReadonlySet<string> = new Set([GPU_MEMORY, GPU_COMPUTE])

/** Capacity less what is kept back and what eviction guards. Source: kubelet cm GetNodeAllocatableReservation, v1.37. */
export function nodeAllocatable(
  capacity: Readonly<Record<string, string>>,
  config: NodeAgentConfig,
): Record<string, string> {
  const guarded: Record<string, number> = {
    memory: config.evictionMemoryBytesMin,
    'ephemeral-storage': Math.ceil(
      (measure('ephemeral-storage', capacity['ephemeral-storage'] ?? '0') * config.evictionDiskPercentMin) / 100,
    ),
  }
  return Object.fromEntries(
    Object.entries(capacity).map(([name, quantity]) => {
      const reserved = config.reserved[name] === undefined ? 0 : measure(name, config.reserved[name])
      const left = Math.max(0, measure(name, quantity) - reserved - (guarded[name] ?? 0))
      return [
        name,
        name === 'cpu' ? formatQuantity(quantityOfMillis(left)) : name === 'pods' ? String(left) : formatBytes(left),
      ]
    }),
  )
}

/** Labels that every node has. */
export function nodeLabels(facts: HostFacts, config: NodeAgentConfig): Record<string, string> {
  const { architecture, operatingSystem } = facts.nodeInfo
  return {
    'beta.kubernetes.io/arch': architecture,
    'beta.kubernetes.io/os': operatingSystem,
    'kubernetes.io/arch': architecture,
    'kubernetes.io/hostname': config.nodeName,
    'kubernetes.io/os': operatingSystem,
    ...config.labels,
  }
}

/** Status of the node; condition times carry over from `previous` where nothing changed. Source: kubelet nodestatus/setters.go, v1.37. */
export function planNodeStatus(input: NodeStatusInput, previous: NodeStatus | undefined): NodeStatus {
  const { config, facts, version, runtime, images } = input
  const capacity = {
    ...previous?.capacity,
    ...nodeCapacity(facts, config.podsMax),
    ...countsOf(input.devices?.capacity),
  }
  const judged = Object.entries(capacity).filter(([name]) => !WRITTEN_BY_PLUGINS.has(name))
  return {
    addresses: [
      ...config.hostIps.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: config.nodeName },
    ],
    capacity,
    allocatable: {
      ...previous?.allocatable,
      ...nodeAllocatable(Object.fromEntries(judged), config),
      ...countsOf(input.devices?.allocatable),
    },
    conditions: planNodeConditions(input, previous?.conditions ?? []),
    ...(config.kubeletPort === 0 ? {} : { daemonEndpoints: { kubeletEndpoint: { Port: config.kubeletPort } } }),
    images: listImages(images),
    nodeInfo: {
      ...facts.nodeInfo,
      containerRuntimeVersion: `${version.name}://${version.version}`,
      kubeletVersion: KUBELET_VERSION,
      kubeProxyVersion: '',
    },
    ...(runtime.handlers.length === 0
      ? {}
      : {
          runtimeHandlers: runtime.handlers.map((name) => ({
            name,
            features: { recursiveReadOnlyMounts: false, userNamespaces: false },
          })),
        }),
  }
}

function countsOf(counts: ReadonlyMap<string, number> | undefined): Record<string, string> {
  return Object.fromEntries([...(counts ?? [])].map(([name, count]) => [name, String(count)]))
}

interface Judgement {
  readonly type: string
  readonly bad: boolean
  readonly reasons: readonly [good: string, bad: string]
  readonly messages: readonly [good: string, bad: string]
}

function planNodeConditions(
  { underPressure, runtime, now }: NodeStatusInput,
  previous: readonly NodeCondition[],
): NodeCondition[] {
  const pressures: Judgement[] = [
    {
      type: 'MemoryPressure',
      bad: underPressure.has('MemoryPressure'),
      reasons: ['KubeletHasSufficientMemory', 'KubeletHasInsufficientMemory'],
      messages: ['kubelet has sufficient memory available', 'kubelet has insufficient memory available'],
    },
    {
      type: 'DiskPressure',
      bad: underPressure.has('DiskPressure'),
      reasons: ['KubeletHasNoDiskPressure', 'KubeletHasDiskPressure'],
      messages: ['kubelet has no disk pressure', 'kubelet has disk pressure'],
    },
    {
      type: 'PIDPressure',
      bad: underPressure.has('PIDPressure'),
      reasons: ['KubeletHasSufficientPID', 'KubeletHasInsufficientPID'],
      messages: ['kubelet has sufficient PID available', 'kubelet has insufficient PID available'],
    },
  ]
  const ready = runtime.ready && runtime.networkReady
  const conditions = pressures.map(({ type, bad, reasons, messages }) => ({
    type,
    status: bad ? 'True' : 'False',
    reason: reasons[bad ? 1 : 0],
    message: messages[bad ? 1 : 0],
  }))
  const readiness = {
    type: 'Ready',
    status: ready ? 'True' : 'False',
    reason: ready ? 'KubeletReady' : 'KubeletNotReady',
    message: ready ? 'kubelet is posting ready status' : `container runtime network not ready: ${runtime.message}`,
  }
  const ours = [...conditions, readiness].map((condition): NodeCondition => {
    const old = previous.find(({ type }) => type === condition.type)
    const lastTransitionTime =
      old?.status === condition.status && old.lastTransitionTime !== undefined ? old.lastTransitionTime : now
    return { ...condition, lastHeartbeatTime: now, lastTransitionTime }
  })
  const types = new Set(ours.map(({ type }) => type))
  return [...previous.filter(({ type }) => !types.has(type)), ...ours]
}

/** Largest first, digests before tags. */
function listImages(images: readonly RuntimeImage[]): ContainerImage[] {
  return images
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes)
    .slice(0, IMAGES_MAX)
    .map(({ repoDigests, repoTags, sizeBytes }) => ({
      names: [...repoDigests, ...repoTags].slice(0, IMAGE_NAMES_MAX),
      sizeBytes,
    }))
}

/**
 * Whether `before`, as the API server has it, says all that `after` says; heartbeats do not count, nor what the server or others add
 * (`daemonEndpoints`, attached volumes).
 */
export function isSameNodeStatus(before: NodeStatus | undefined, after: NodeStatus): boolean {
  const known = Object.fromEntries(Object.entries(before ?? {}).filter(([name]) => name in after))
  return isDeepStrictEqual(withoutHeartbeats(known), withoutHeartbeats(after))
}

function withoutHeartbeats(status: NodeStatus): NodeStatus {
  if (status.conditions === undefined) return status
  const conditions = status.conditions
    .map((condition) => ({ ...condition, lastHeartbeatTime: undefined }))
    .toSorted((x, y) => (x.type < y.type ? -1 : 1))
  return { ...status, conditions }
}

/**
 * What of `after` the API server does not have yet, as it is written: top-level fields, but of quantities only those that differ, so that what others wrote meanwhile stays.
 * Conditions always. Pure.
 */
export function changedStatus(before: NodeStatus | undefined, after: NodeStatus): Partial<NodeStatus> {
  const old = before as Record<string, unknown> | undefined
  const changed = Object.entries(after).filter(
    ([key, value]) => key === 'conditions' || JSON.stringify(old?.[key]) !== JSON.stringify(value),
  )
  const quantities = (['capacity', 'allocatable'] as const).map((key) => [
    key,
    Object.fromEntries(Object.entries(after[key] ?? {}).filter(([name, value]) => before?.[key]?.[name] !== value)),
  ])
  return { ...Object.fromEntries(changed), ...Object.fromEntries(quantities) }
}

/** The Node object of a first registration. */
export function makeNode(facts: HostFacts, config: NodeAgentConfig, status: NodeStatus): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: config.nodeName, labels: nodeLabels(facts, config) },
    spec: config.registerTaints.length === 0 ? {} : { taints: [...config.registerTaints] },
    status,
  }
}

/** In the form that the API server keeps, so that the two can be compared. */
function formatBytes(bytes: number): string {
  const isWhole = bytes % 1024 === 0 && bytes > 0
  return formatQuantity(isWhole ? parseQuantity(`${bytes / 1024}Ki`) : quantityOfUnits(Math.floor(bytes)))
}
