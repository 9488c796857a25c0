import type { Pod, PodStatus, Service } from '@centaurus/api/core/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { Client, EventInit } from '@centaurus/client'

import type { DeviceManager } from '../devices/device-manager.ts'
import type { NodeHost } from '../host/node-host.ts'
import type { Admission } from '../pod/admit-pod.ts'
import type { WaitingReason } from '../pod/container-status.ts'
import type { DownwardContext } from '../pod/downward.ts'
import { podStatus, type PodFailure, type PodResizeState } from '../pod/pod-status.ts'
import type { RestartBackoff } from '../pod/restart-policy.ts'
import { RESIZE_CONDITIONS } from '../pod/conditions.ts'
import type { PodRuntimeState } from '../pod/runtime-state.ts'
import type { PodProbes } from '../probes/pod-probes.ts'
import type { ContainerRuntime } from '../runtime/container-runtime.ts'
import { ANNOTATION_TERMINATION_PATH, ANNOTATION_TERMINATION_POLICY } from '../runtime/labels.ts'
import type { TokenCache } from '../volumes/token-cache.ts'
import type { NodeAgentConfig } from './config.ts'
import type { Grace } from './grace.ts'
import type { ImagePuller } from './images.ts'
import type { ObjectCache } from './object-cache.ts'
import type { ObjectWatches } from './object-watches.ts'
import type { RuntimeCache } from './runtime-cache.ts'
import type { StatusWriter } from './status-writer.ts'

/** What all pods of one agent share. */
export interface PodDeps {
  readonly config: NodeAgentConfig
  readonly client: Client
  readonly runtime: ContainerRuntime
  readonly cache: RuntimeCache
  readonly host: NodeHost
  /** Undefined: this node has no devices for pods. */
  readonly devices: DeviceManager | undefined
  readonly status: StatusWriter
  readonly images: ImagePuller
  readonly objects: ObjectCache
  readonly watches: ObjectWatches | undefined
  readonly tokens: TokenCache
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly recordEvent: (pod: Pod, event: EventInit) => void
  readonly services: () => readonly Service[]
  readonly admit: (pod: Pod) => Admission
  /** What the node has, and the pods that take of it beside this one. */
  readonly roomBeside: (pod: Pod) => NodeRoom
  readonly node: () => NodeState
  /** The pod is gone from the API, the runtime and the disk. */
  readonly onRemoved: (podUid: string) => void
}

export interface NodeRoom {
  readonly allocatable: Readonly<Record<string, string>>
  readonly others: readonly Pod[]
}

/** What pods need to know of the node, at this moment. */
export interface NodeState {
  readonly runtimeName: string
  readonly networkReady: boolean
  readonly networkMessage: string
  readonly memoryCapacityBytes: number
  readonly diskCapacityBytes: number
  readonly allocatable: ReadonlyMap<string, number>
}

/** What the agent remembers of one pod; all of it may be lost with the process. */
export interface PodMemory {
  readonly backoffs: Map<string, RestartBackoff>
  readonly waiting: Map<string, WaitingReason>
  /** Containers that could not be started, by name: not tried again with that image before this time (milliseconds since the epoch). */
  readonly retries: Map<string, { readonly untilMs: number; readonly image: string | undefined }>
  /** Termination messages by container id. */
  readonly messages: Map<string, string>
  /** Until when a CrashLoopBackOff was told, by container name. */
  readonly announced: Map<string, number>
  /** Of what is being stopped right now. */
  readonly graces: Set<Grace>
  failure: PodFailure | undefined
  /** A resize that waits, or went wrong. */
  resize: PodResizeState | undefined
  /** Ids of containers that a resize restarts. */
  readonly restart: Set<string>
}

export function createPodMemory(): PodMemory {
  return {
    backoffs: new Map(),
    waiting: new Map(),
    retries: new Map(),
    messages: new Map(),
    announced: new Map(),
    graces: new Set(),
    failure: undefined,
    resize: undefined,
    restart: new Set(),
  }
}

/** The pod with the newest status that we know: our own where we made one, others' conditions from the API. */
export function withLatestStatus(pod: Pod, latest: PodStatus | undefined): Pod {
  if (latest === undefined) return pod
  const foreign = (pod.status?.conditions ?? []).filter(({ type }) => !OWN_CONDITIONS.has(type))
  const kept = (latest.conditions ?? []).filter(
    ({ type }) => OWN_CONDITIONS.has(type) || !foreign.some((other) => other.type === type),
  )
  return { ...pod, status: { ...pod.status, ...latest, conditions: [...foreign, ...kept] } }
}

const OWN_CONDITIONS = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
  ...RESIZE_CONDITIONS,
])

export interface ReportOptions {
  readonly terminal: boolean
}

/** Computes the status and hands it to the writer. */
export function reportStatus(
  pod: Pod,
  state: PodRuntimeState,
  { memory, probes, terminal }: ReportOptions & { readonly memory: PodMemory; readonly probes: PodProbes },
  deps: PodDeps,
): PodStatus {
  const status = podStatus(withLatestStatus(pod, deps.status.latest(pod.metadata.uid ?? '')), state, {
    nowMs: deps.clock.now(),
    hostIps: deps.config.hostIps,
    terminal,
    failure: memory.failure,
    resize: memory.resize,
    verdicts: probes.verdicts,
    waiting: memory.waiting,
    runtimeName: deps.node().runtimeName,
    messages: memory.messages,
    deviceHealth: (container) => deps.devices?.healthOf(pod.metadata.uid ?? '', container) ?? [],
  })
  deps.status.set(pod, status)
  return status
}

/** Reads the last words of containers that ended since. Source: kuberuntime getTerminationMessage, v1.37. */
export async function readMessages(state: PodRuntimeState, memory: PodMemory, deps: PodDeps): Promise<void> {
  for (const container of state.containers) {
    if (container.phase !== 'exited' || memory.messages.has(container.id)) continue
    let message = ''
    if (container.annotations[ANNOTATION_TERMINATION_PATH] !== '') {
      message = await deps.host.files.readTerminationFile(container.podUid, container.name, container.attempt)
    }
    const fallback =
      container.annotations[ANNOTATION_TERMINATION_POLICY] === 'FallbackToLogsOnError' && container.exitCode !== 0
    if (message === '' && fallback) message = await deps.host.files.readLogTail(container.logPath)
    memory.messages.set(container.id, message === '' ? container.message : message)
  }
  const ids = new Set(state.containers.map(({ id }) => id))
  for (const id of memory.messages.keys()) if (!ids.has(id)) memory.messages.delete(id)
}

export function downwardContext(pod: Pod, podIps: readonly string[], deps: PodDeps): DownwardContext {
  return {
    podIps: pod.spec?.hostNetwork === true ? deps.config.hostIps : podIps,
    hostIps: deps.config.hostIps,
    nodeName: deps.config.nodeName,
    allocatable: deps.node().allocatable,
  }
}
