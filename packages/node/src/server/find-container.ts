import type { Pod } from '@centaurus/api/core/v1'

import type { PodRuntimeState } from '../pod/runtime-state.ts'
import type { ContainerDetail } from '../runtime/container-runtime.ts'

/** A refusal of the kubelet API: HTTP status and text. */
export class KubeletApiError extends Error {
  override readonly name = 'KubeletApiError'
  readonly status: number
  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.status = status
  }
}

/** The container whose log is meant. Throws in upstream's words. Source: kubelet validateContainerLogStatus, v1.37. */
export function findLogContainer(
  pod: Pod,
  name: string,
  state: PodRuntimeState,
  { previous }: { readonly previous: boolean },
): ContainerDetail {
  requireInSpec(pod, name)
  const podName = pod.metadata.name ?? ''
  const found = state.containers.filter((container) => container.name === name)
  const started = found.filter(({ phase }) => phase !== 'created')
  if (previous) {
    const ended = started.filter(({ phase }, i) => phase === 'exited' && (i > 0 || isWaitingAgain(pod, name)))
    if (ended[0] !== undefined) return ended[0]
    throw new KubeletApiError(400, `previous terminated container "${name}" in pod "${podName}" not found`)
  }
  if (started[0] !== undefined) return started[0]
  const statuses = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
    ...(pod.status?.ephemeralContainerStatuses ?? []),
  ]
  const waiting = statuses.find((status) => status.name === name)?.state?.waiting
  switch (waiting?.reason) {
    case 'ErrImagePull':
      throw new KubeletApiError(
        400,
        `container "${name}" in pod "${podName}" is waiting to start: image can't be pulled`,
      )
    case 'ImagePullBackOff':
      throw new KubeletApiError(
        400,
        `container "${name}" in pod "${podName}" is waiting to start: trying and failing to pull image`,
      )
    case undefined:
      throw new KubeletApiError(400, `container "${name}" in pod "${podName}" is not available`)
    default:
      throw new KubeletApiError(
        400,
        `container "${name}" in pod "${podName}" is waiting to start: ${waiting?.reason ?? ''}`,
      )
  }
}

/** The running container to enter. */
export function findRunningContainer(pod: Pod, name: string, state: PodRuntimeState): ContainerDetail {
  const container = state.containers.find((candidate) => candidate.name === name && candidate.phase === 'running')
  if (container === undefined) throw new KubeletApiError(500, `container not found ("${name}")`)
  return container
}

/** Waiting for its next start, the newest container is the previous one. */
function isWaitingAgain(pod: Pod, name: string): boolean {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  return statuses.find((status) => status.name === name)?.state?.waiting !== undefined
}

function requireInSpec(pod: Pod, name: string): void {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {}
  if ([...initContainers, ...containers, ...ephemeralContainers].some((container) => container.name === name)) return
  throw new KubeletApiError(404, `container "${name}" not found in pod "${pod.metadata.name ?? ''}"`)
}
