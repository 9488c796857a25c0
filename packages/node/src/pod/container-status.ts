import type { Container, ContainerState, ContainerStatus, Pod } from '@centaurus/api/core/v1'

import type { ContainerDetail } from '../runtime/container-runtime.ts'
import type { ProbeVerdicts } from './plan-pod.ts'
import { shouldStart } from './restart-policy.ts'
import { findContainer, isSidecar, restartCountOf, type PodRuntimeState } from './runtime-state.ts'

export interface WaitingReason {
  readonly reason: string
  readonly message: string
}

export interface ContainerStatusContext {
  readonly verdicts: ProbeVerdicts
  /** Why a container that should run doesn't, by name: `ImagePullBackOff`, `CrashLoopBackOff` … */
  readonly waiting: ReadonlyMap<string, WaitingReason>
  /** Name of the runtime, the scheme of container ids: `containerd`. */
  readonly runtimeName: string
  /** What is known of a container that ended, by id: its termination message. */
  readonly messages: ReadonlyMap<string, string>
  /** Of the devices that a container has, by its name; default: none has any. */
  readonly deviceHealth?: ((container: string) => NonNullable<ContainerStatus['allocatedResourcesStatus']>) | undefined
}

/** Statuses of `containers` in their order. Source: kubelet convertToAPIContainerStatuses, v1.37. */
export function containerStatuses(
  pod: Pod,
  containers: readonly Container[],
  state: PodRuntimeState,
  context: ContainerStatusContext & { readonly isInit: boolean },
): ContainerStatus[] {
  const previous = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  return containers.map((container) => {
    const old = previous.find(({ name }) => name === container.name)
    const found = state.containers.filter(({ name }) => name === container.name)
    const status =
      found.length === 0 ? absentStatus(pod, container, old) : presentStatus(container, found, old, context)
    const after =
      finishedInit(pod, container, state, status, context.isInit) ??
      applyWaiting(pod, container, state, status, context)
    return withReadiness(withDevices(after, context), container, found[0], context)
  })
}

/** Of main containers alone, as upstream. */
function withDevices(
  status: ContainerStatus,
  { deviceHealth, isInit }: ContainerStatusContext & { readonly isInit: boolean },
): ContainerStatus {
  const health = isInit ? [] : (deviceHealth?.(status.name) ?? [])
  return health.length === 0 ? status : { ...status, allocatedResourcesStatus: health }
}

function absentStatus(pod: Pod, container: Container, old: ContainerStatus | undefined): ContainerStatus {
  if (old?.state?.terminated !== undefined) return { ...old }
  const status: ContainerStatus = {
    name: container.name,
    image: container.image ?? '',
    imageID: '',
    ready: false,
    restartCount: old?.restartCount ?? 0,
    state: {
      waiting: { reason: (pod.spec?.initContainers?.length ?? 0) > 0 ? 'PodInitializing' : 'ContainerCreating' },
    },
    lastState: old?.lastState ?? {},
  }
  if (old?.state?.running === undefined || old.lastState?.terminated !== undefined) return status
  const message = 'The container could not be located when the pod was deleted.  The container used to be Running'
  status.lastState = { terminated: { reason: 'ContainerStatusUnknown', message, exitCode: 137 } }
  if (pod.metadata.deletionTimestamp === undefined) status.restartCount += 1
  return status
}

function presentStatus(
  container: Container,
  found: readonly ContainerDetail[],
  old: ContainerStatus | undefined,
  context: ContainerStatusContext,
): ContainerStatus {
  const latest = found[0]!
  const before = found[1]
  const status: ContainerStatus = {
    name: container.name,
    image: latest.image === '' ? (container.image ?? '') : latest.image,
    imageID: latest.imageId,
    containerID: formatContainerId(latest, context),
    ready: false,
    restartCount: restartCountOf(latest),
    state: toApiState(latest, context),
    lastState: before === undefined ? (lastStateOf(latest, old, context) ?? {}) : toApiState(before, context),
  }
  if (latest.phase === 'created') status.state = { waiting: { reason: 'ContainerCreating' } }
  if (latest.phase === 'unknown') status.state = unknownState(latest, old, context)
  if (latest.user !== undefined && latest.phase === 'running')
    status.user = { linux: { ...latest.user, supplementalGroups: [...latest.user.supplementalGroups] } }
  if (container.resources !== undefined) {
    status.resources = container.resources
    if (container.resources.requests !== undefined) status.allocatedResources = container.resources.requests
  }
  const mounts = container.volumeMounts ?? []
  if (mounts.length > 0) status.volumeMounts = mounts.map(toMountStatus)
  return status
}

/** The one before was removed from the runtime: the API still knows how it ended. */
function lastStateOf(
  latest: ContainerDetail,
  old: ContainerStatus | undefined,
  context: ContainerStatusContext,
): ContainerState | undefined {
  if (old === undefined) return undefined
  if (old.containerID === formatContainerId(latest, context)) return old.lastState
  return old.state?.terminated === undefined ? old.lastState : { terminated: old.state.terminated }
}

function toMountStatus(
  mount: NonNullable<Container['volumeMounts']>[number],
): NonNullable<ContainerStatus['volumeMounts']>[number] {
  const status = { name: mount.name, mountPath: mount.mountPath }
  return mount.readOnly === true ? { ...status, readOnly: true, recursiveReadOnly: 'Disabled' } : status
}

function unknownState(
  latest: ContainerDetail,
  old: ContainerStatus | undefined,
  context: ContainerStatusContext,
): ContainerState {
  if (old?.state?.running === undefined) return { waiting: { reason: 'ContainerCreating' } }
  const message = 'The container could not be located when the pod was terminated'
  return {
    terminated: {
      reason: 'ContainerStatusUnknown',
      message,
      exitCode: 137,
      containerID: formatContainerId(latest, context),
    },
  }
}

function toApiState(container: ContainerDetail, context: ContainerStatusContext): ContainerState {
  if (container.phase === 'running') return { running: { startedAt: formatTime(container.startedAtMs) } }
  const message = context.messages.get(container.id) ?? container.message
  return {
    terminated: {
      exitCode: container.exitCode,
      reason: container.reason === '' ? (container.exitCode === 0 ? 'Completed' : 'Error') : container.reason,
      ...(message === '' ? {} : { message }),
      startedAt: formatTime(container.startedAtMs),
      finishedAt: formatTime(container.finishedAtMs),
      containerID: formatContainerId(container, context),
    },
  }
}

/** An ended init container that won't run again stays as it ended. Undefined when that does not apply. */
function finishedInit(
  pod: Pod,
  container: Container,
  state: PodRuntimeState,
  status: ContainerStatus,
  isInit: boolean,
): ContainerStatus | undefined {
  if (!isInit) return undefined
  const last = findContainer(state, container.name)
  if (last?.phase === 'exited' && last.exitCode === 0 && !isSidecar(container)) return status
  const started = (pod.spec?.containers ?? []).some(({ name }) => findContainer(state, name) !== undefined)
  if (last !== undefined || isSidecar(container) || !started || status.state?.waiting === undefined) return undefined
  const message =
    'Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally'
  return { ...status, state: { terminated: { reason: 'Completed', message, exitCode: 0 } } }
}

/** What will start again is waiting, and says for what. */
function applyWaiting(
  pod: Pod,
  container: Container,
  state: PodRuntimeState,
  status: ContainerStatus,
  context: ContainerStatusContext,
): ContainerStatus {
  const waiting = context.waiting.get(container.name)
  if (waiting === undefined || !shouldStart(container, pod, state)) return status
  const lastState = status.state?.terminated === undefined ? status.lastState : { terminated: status.state.terminated }
  return {
    ...status,
    lastState,
    state: { waiting: waiting.message === '' ? { reason: waiting.reason } : { ...waiting } },
  }
}

/** Source: kubelet prober UpdatePodStatus, v1.37. */
function withReadiness(
  status: ContainerStatus,
  container: Container,
  latest: ContainerDetail | undefined,
  context: ContainerStatusContext & { readonly isInit: boolean },
): ContainerStatus {
  if (context.isInit && !isSidecar(container)) {
    const ended = status.state?.terminated
    return { ...status, ready: ended?.exitCode === 0, started: status.state?.running !== undefined }
  }
  if (status.state?.running === undefined || latest === undefined) return { ...status, ready: false, started: false }
  const { startup, readiness } = context.verdicts
  const started = container.startupProbe === undefined || startup.get(latest.id) === 'success'
  const ready = started && (container.readinessProbe === undefined || readiness.get(latest.id) === 'success')
  return { ...status, started, ready }
}

function formatContainerId(container: ContainerDetail, { runtimeName }: ContainerStatusContext): string {
  return `${runtimeName}://${container.id}`
}

/** Seconds, as the API's Time. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}
