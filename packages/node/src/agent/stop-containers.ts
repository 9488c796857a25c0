import type { Container, Pod } from '@centaurus/api/core/v1'
import type { Logger } from '@centaurus/base'

import { isSidecar, podKey } from '../pod/runtime-state.ts'
import type { ContainerDetail } from '../runtime/container-runtime.ts'
import { runHook, type HookDeps } from './hooks.ts'
import { containerFieldPath, type PodEvent } from './pod-events.ts'

/** The runtime always gets this long, so that a container is not killed by the way its hook spent the time. Source: kubelet minimumGracePeriodInSeconds. */
const GRACE_SECONDS_MIN = 2

export interface StopDeps extends HookDeps {
  readonly logger: Logger
  readonly event: (event: PodEvent) => void
}

export interface StopOptions {
  readonly podIp: string
  readonly graceSeconds: number
  /** Text of the Killing event. */
  readonly message: string
}

/** preStop, then the stop signal, then after the grace that is left, the kill. Source: kuberuntime killContainer, v1.37. */
export async function stopContainer(
  pod: Pod,
  running: ContainerDetail,
  options: StopOptions,
  deps: StopDeps,
): Promise<void> {
  const container = findSpec(pod, running.name)
  const fieldPath = container === undefined ? undefined : containerFieldPath(pod, container)
  deps.event({ type: 'Normal', reason: 'Killing', message: options.message, fieldPath })
  const startedMs = deps.clock.monotonicMs()
  const preStop = container?.lifecycle?.preStop
  if (preStop !== undefined && options.graceSeconds > 0) {
    const target = {
      container: container!,
      containerId: running.id,
      podIp: options.podIp,
      timeoutMs: options.graceSeconds * 1000,
    }
    const timeout = deps.clock.sleep(target.timeoutMs)
    try {
      await Promise.race([runHook(pod, preStop, target, deps), timeout])
    } catch (error) {
      deps.logger.warn('Could not run preStop hook', { pod: podKey(pod), container: running.name, error })
      deps.event({ type: 'Warning', reason: 'FailedPreStopHook', message: 'PreStopHook failed', fieldPath })
    }
  }
  const spentSeconds = Math.floor((deps.clock.monotonicMs() - startedMs) / 1000)
  const left =
    options.graceSeconds === 0
      ? 0
      : Math.max(options.graceSeconds - spentSeconds, Math.min(GRACE_SECONDS_MIN, options.graceSeconds))
  await deps.runtime.stopContainer(running.id, left)
}

/**
 * Stops all of a pod's containers within one grace period: the regular ones together, then sidecars, last started first.
 * Source: kubelet killContainersWithSyncResult with termination ordering, v1.37.
 */
export async function stopAllContainers(
  pod: Pod,
  running: readonly ContainerDetail[],
  options: Omit<StopOptions, 'message'>,
  deps: StopDeps,
): Promise<void> {
  const startedMs = deps.clock.monotonicMs()
  const sidecarNames = (pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name)
  const remaining = (): number => {
    const spent = Math.floor((deps.clock.monotonicMs() - startedMs) / 1000)
    return options.graceSeconds === 0 ? 0 : Math.max(1, options.graceSeconds - spent)
  }
  const stop = (container: ContainerDetail): Promise<void> =>
    stopContainer(
      pod,
      container,
      { ...options, graceSeconds: remaining(), message: `Stopping container ${container.name}` },
      deps,
    )
  await Promise.all(running.filter(({ name }) => !sidecarNames.includes(name)).map(stop))
  for (const name of sidecarNames.toReversed())
    await Promise.all(running.filter((container) => container.name === name).map(stop))
}

/** The container of that name in the spec, of any role. */
export function findSpec(pod: Pod, name: string): Container | undefined {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {}
  return [...initContainers, ...containers, ...ephemeralContainers].find((container) => container.name === name)
}
