import type { Container, Pod } from '@centaurus/api/core/v1'
import type { Logger } from '@centaurus/base'

import { isSidecar, podKey } from '../pod/runtime-state.ts'
import type { ContainerDetail } from '../runtime/container-runtime.ts'
import type { Grace } from './grace.ts'
import { runHook, type HookDeps, type LifecycleHandler } from './hooks.ts'
import { containerFieldPath, type PodEvent } from './pod-events.ts'

/** The runtime always gets this long after a hook, so that a container is not killed by the way its hook spent the time. Source: kubelet minimumGracePeriodInSeconds. */
const GRACE_SECONDS_MIN = 2

export interface StopDeps extends HookDeps {
  readonly logger: Logger
  readonly event: (event: PodEvent) => void
}

export interface StopOptions {
  readonly podIp: string
  readonly grace: Grace
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
  const { grace, podIp } = options
  const container = findSpec(pod, running.name)
  const fieldPath = container === undefined ? undefined : containerFieldPath(pod, container)
  deps.event({ type: 'Normal', reason: 'Killing', message: options.message, fieldPath })
  const preStop = container?.lifecycle?.preStop
  const hasHook = preStop !== undefined && grace.remainingMs() > 0
  if (hasHook) {
    const target = { container: container!, containerId: running.id, podIp, timeoutMs: grace.remainingMs() }
    await runPreStop(preStop, target, grace, deps).catch((error: unknown) => {
      deps.logger.warn('Could not run preStop hook', { pod: podKey(pod), container: running.name, error })
      deps.event({ type: 'Warning', reason: 'FailedPreStopHook', message: 'PreStopHook failed', fieldPath })
    })
  }
  const stop = (): Promise<void> => deps.runtime.stopContainer(running.id, secondsLeft(grace, { hasHook }))
  const hurry = grace.onShortened(() => {
    stop().catch((error: unknown) =>
      deps.logger.warn('Could not stop container sooner', { pod: podKey(pod), container: running.name, error }),
    )
  })
  await stop().finally(hurry)
}

/** What the runtime is told to wait between the signal and the kill. */
export function secondsLeft(grace: Grace, { hasHook }: { readonly hasHook: boolean }): number {
  return Math.max(hasHook ? GRACE_SECONDS_MIN : 0, Math.ceil(grace.remainingMs() / 1000))
}

/** Resolves when the hook is done or the grace is over: a hook that hangs is left behind, the container's end is its end. */
export async function runPreStop(
  preStop: LifecycleHandler,
  target: Parameters<typeof runHook>[1],
  grace: Grace,
  deps: HookDeps,
): Promise<void> {
  const done = new AbortController()
  try {
    await Promise.race([runHook(preStop, target, deps), grace.whenOver(done.signal)])
  } finally {
    done.abort()
  }
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
  const sidecarNames = (pod.spec?.initContainers ?? []).filter(isSidecar).map(({ name }) => name)
  const stop = (container: ContainerDetail): Promise<void> =>
    stopContainer(pod, container, { ...options, message: `Stopping container ${container.name}` }, deps)
  await Promise.all(running.filter(({ name }) => !sidecarNames.includes(name)).map(stop))
  for (const name of sidecarNames.toReversed())
    await Promise.all(running.filter((container) => container.name === name).map(stop))
}

/** The container of that name in the spec, of any role. */
export function findSpec(pod: Pod, name: string): Container | undefined {
  const { initContainers = [], containers = [], ephemeralContainers = [] } = pod.spec ?? {}
  return [...initContainers, ...containers, ...ephemeralContainers].find((container) => container.name === name)
}
