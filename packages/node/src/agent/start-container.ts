import type { Container, Pod, Service } from '@centaurus/api/core/v1'
import type { Logger } from '@centaurus/base'

import { NO_CONTAINER_DEVICES } from '../devices/container-devices.ts'
import type { DeviceManager } from '../devices/device-manager.ts'
import type { NodeHost } from '../host/node-host.ts'
import type { DownwardContext } from '../pod/downward.ts'
import { ContainerConfigError, makeEnvironment } from '../pod/environment.ts'
import type { StartAction } from '../pod/plan-pod.ts'
import { findContainer, podKey, type PodRuntimeState } from '../pod/runtime-state.ts'
import type { SandboxConfig } from '../runtime/config.ts'
import type { ContainerRuntime } from '../runtime/container-runtime.ts'
import type { VolumePaths } from '../volumes/pod-volumes.ts'
import type { NodeAgentConfig } from './config.ts'
import { makeContainerConfig } from './container-config.ts'
import { runHook, type HookDeps } from './hooks.ts'
import { StartError, type ImagePuller } from './images.ts'
import { loadEnvironment } from './pod-sources.ts'
import type { ObjectCache } from './object-cache.ts'
import { containerFieldPath, type PodEvent } from './pod-events.ts'

export interface StartDeps extends HookDeps {
  readonly runtime: ContainerRuntime
  readonly host: NodeHost
  readonly images: ImagePuller
  readonly objects: ObjectCache
  readonly devices: DeviceManager | undefined
  readonly services: () => readonly Service[]
  readonly config: NodeAgentConfig
  readonly logger: Logger
  readonly event: (event: PodEvent) => void
  readonly memoryCapacityBytes: number
}

export interface StartInput {
  readonly sandboxId: string
  readonly sandbox: SandboxConfig
  readonly podIps: readonly string[]
  /** Where this host reaches it. */
  readonly hostAddress: string
  readonly state: PodRuntimeState
  readonly volumes: VolumePaths
  readonly hostsFile: string | undefined
  readonly downward: DownwardContext
  /** Aborts when the pod is to end: a pull or a hook is then no longer waited for. */
  readonly signal: AbortSignal
}

/** A postStart hook may take this long; upstream sets no limit of its own. */
const POST_START_TIMEOUT_MS = 3_600_000

/**
 * Image, environment, create, start, postStart, each with its event. Returns the container's id; throws {@link StartError} whose reason is
 * what the status shows. Source: kuberuntime startContainer, v1.37.
 */
export async function startContainer(
  pod: Pod,
  action: StartAction,
  input: StartInput,
  deps: StartDeps,
): Promise<string> {
  const { container } = action
  const fieldPath = containerFieldPath(pod, container)
  const event = (init: PodEvent): void => deps.event({ ...init, fieldPath })
  const failed = (reason: string, cause: unknown): StartError => {
    const message = cause instanceof Error ? cause.message : String(cause)
    event({ type: 'Warning', reason: 'Failed', message: `Error: ${message}` })
    return new StartError(reason, message, { cause })
  }
  const ensured = deps.images.ensure(pod, container, { sandbox: input.sandbox, event })
  const found = await untilAborted(ensured, input.signal).catch((error: unknown) => {
    if (error instanceof StartError) event({ type: 'Warning', reason: 'Failed', message: `Error: ${error.reason}` })
    throw error
  })
  const config = await makeConfig(pod, action, { ...input, ...found }, deps).catch((error: unknown) => {
    throw failed('CreateContainerConfigError', error)
  })
  await deps.host.files.prepareLogs(input.sandbox.logDirectory, container.name)
  const containerId = await deps.runtime
    .createContainer(input.sandboxId, config, input.sandbox)
    .catch((error: unknown) => {
      throw failed('CreateContainerError', error)
    })
  event({ type: 'Normal', reason: 'Created', message: 'Container created' })
  await deps.runtime.startContainer(containerId).catch((error: unknown) => {
    throw failed('RunContainerError', error)
  })
  event({ type: 'Normal', reason: 'Started', message: 'Container started' })
  await untilAborted(runPostStart(pod, container, { containerId, podIp: input.hostAddress, event }, deps), input.signal)
  return containerId
}

async function makeConfig(
  pod: Pod,
  { container, attempt }: StartAction,
  input: StartInput & Awaited<ReturnType<ImagePuller['ensure']>>,
  deps: StartDeps,
): Promise<Awaited<ReturnType<typeof makeContainerConfig>>> {
  const sources = await loadEnvironment(pod, container, {
    objects: deps.objects,
    services: deps.services(),
    downward: input.downward,
  })
  const targetName = (container as { targetContainerName?: string }).targetContainerName
  const target = targetName === undefined || targetName === '' ? undefined : findContainer(input.state, targetName)
  if (targetName !== undefined && targetName !== '' && target === undefined)
    throw new ContainerConfigError(`unable to find target container ${targetName}`)
  return makeContainerConfig(pod, container, {
    attempt,
    imageRef: input.ref,
    image: input.image,
    environment: makeEnvironment(pod, container, sources),
    volumes: input.volumes,
    devices: (await deps.devices?.prepare(pod, container)) ?? NO_CONTAINER_DEVICES,
    hostsFile: input.hostsFile,
    host: deps.host,
    seccompDir: deps.config.seccompDir,
    memoryCapacityBytes: deps.memoryCapacityBytes,
    targetId: target?.id,
  })
}

async function runPostStart(
  pod: Pod,
  container: Container,
  {
    containerId,
    podIp,
    event,
  }: { readonly containerId: string; readonly podIp: string; readonly event: (event: PodEvent) => void },
  deps: StartDeps,
): Promise<void> {
  const handler = container.lifecycle?.postStart
  if (handler === undefined) return
  try {
    await runHook(handler, { container, containerId, podIp, timeoutMs: POST_START_TIMEOUT_MS }, deps)
  } catch (cause) {
    deps.logger.warn('Could not run postStart hook', { pod: podKey(pod), container: container.name, error: cause })
    event({ type: 'Warning', reason: 'FailedPostStartHook', message: 'PostStartHook failed' })
    event({ type: 'Normal', reason: 'Killing', message: 'FailedPostStartHook' })
    await deps.runtime.stopContainer(containerId, pod.spec?.terminationGracePeriodSeconds ?? 30)
    throw new StartError('PostStartHookError', cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  let onAbort = (): void => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
