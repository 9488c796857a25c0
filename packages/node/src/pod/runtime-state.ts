import type { Container, Pod } from '@centaurus/api/core/v1'

import type { ContainerDetail, SandboxDetail } from '../runtime/container-runtime.ts'
import { ANNOTATION_RESTART_COUNT } from '../runtime/labels.ts'

/** All that the runtime knows of one pod, newest first. */
export interface PodRuntimeState {
  readonly sandboxes: readonly SandboxDetail[]
  /** Those of older sandboxes too. */
  readonly containers: readonly ContainerDetail[]
}

export const EMPTY_RUNTIME_STATE: PodRuntimeState = { sandboxes: [], containers: [] }

/** Sorts newest first, as {@link PodRuntimeState} must be. */
export function createRuntimeState(
  sandboxes: readonly SandboxDetail[],
  containers: readonly ContainerDetail[],
): PodRuntimeState {
  const newest = (a: { createdAtMs: number; attempt: number }, b: { createdAtMs: number; attempt: number }): number =>
    b.createdAtMs - a.createdAtMs || b.attempt - a.attempt
  return { sandboxes: sandboxes.toSorted(newest), containers: containers.toSorted(newest) }
}

/** Newest container of that name. */
export function findContainer(state: PodRuntimeState, name: string): ContainerDetail | undefined {
  return state.containers.find((container) => container.name === name)
}

/** Newest container of that name in the given sandbox. */
export function findActiveContainer(
  state: PodRuntimeState,
  sandboxId: string,
  name: string,
): ContainerDetail | undefined {
  return state.containers.find((container) => container.name === name && container.sandboxId === sandboxId)
}

/** How often the container was started again, from its own annotation. */
export function restartCountOf(container: ContainerDetail): number {
  return Number(container.annotations[ANNOTATION_RESTART_COUNT] ?? '0') || 0
}

/** A sidecar: an init container that runs beside the others. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always'
}

/** `name_namespace(uid)`. Source: kubelet util/format.Pod. */
export function formatPod(pod: Pod): string {
  return `${pod.metadata.name ?? ''}_${pod.metadata.namespace ?? ''}(${pod.metadata.uid ?? ''})`
}

/** `namespace/name`, for logs. */
export function podKey(pod: Pod): string {
  return `${pod.metadata.namespace ?? ''}/${pod.metadata.name ?? ''}`
}

export function isHostNetwork(pod: Pod): boolean {
  return pod.spec?.hostNetwork === true
}

export interface SandboxCheck {
  /** True: the newest sandbox can't be used (or there is none). */
  readonly changed: boolean
  readonly attempt: number
  /** '' when there is none. */
  readonly sandboxId: string
  readonly message: string
}

/** Whether a new sandbox is needed. Source: kubelet kuberuntime/util.PodSandboxChanged, v1.37. */
export function checkSandbox(pod: Pod, state: PodRuntimeState): SandboxCheck {
  const newest = state.sandboxes[0]
  if (newest === undefined) return { changed: true, attempt: 0, sandboxId: '', message: 'no pod sandbox exists' }
  const renew = (message: string): SandboxCheck => ({
    changed: true,
    // one whose network failed has no time of creation in containerd, and keeps its name as long as it is there
    attempt: Math.max(...state.sandboxes.map(({ attempt }) => attempt)) + 1,
    sandboxId: newest.id,
    message,
  })
  if (state.sandboxes.filter(({ ready }) => ready).length > 1)
    return renew('multiple pod sandboxes are ready and need to be reconciled')
  if (!newest.ready) return renew('pod sandbox is not ready')
  if (!isHostNetwork(pod) && newest.ips.length === 0) return renew('pod sandbox has no IP address')
  return { changed: false, attempt: newest.attempt, sandboxId: newest.id, message: '' }
}
