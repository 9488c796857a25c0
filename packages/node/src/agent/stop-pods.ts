import type { Clock, Logger } from '@centaurus/base'

import { systemDialer } from '../host/dialer.ts'
import type { Dialer } from '../host/node-host.ts'
import type { ContainerRuntime, ContainerSummary, SandboxSummary } from '../runtime/container-runtime.ts'
import {
  ANNOTATION_POD_GRACE,
  ANNOTATION_POD_PRIORITY,
  ANNOTATION_PRE_STOP,
  ANNOTATION_ROLE,
} from '../runtime/labels.ts'
import { createGrace, type Grace } from './grace.ts'
import type { LifecycleHandler } from './hooks.ts'
import { runPreStop, secondsLeft } from './stop-containers.ts'

const GRACE_SECONDS_DEFAULT = 30

export interface StopPodsDeps {
  readonly runtime: ContainerRuntime
  readonly clock: Clock
  readonly logger: Logger
  /** For preStop hooks by HTTP; default: this machine's sockets. */
  readonly dialer?: Dialer | undefined
}

export interface StopPodsOptions {
  /** Longest time that all of it may take, hooks included; pods with more grace are cut short. */
  readonly graceSecondsMax: number
}

/** One pod as the runtime alone knows it. */
export interface StoppablePod {
  readonly sandbox: SandboxSummary
  /** Running ones only. */
  readonly containers: readonly ContainerSummary[]
}

/**
 * Stops every pod of the runtime without asking the API: preStop, stop signal, grace, as annotated on sandboxes and containers when they were
 * made. Least important pods first, one priority after the other; within a pod sidecars last. Records stay, for the next agent to see.
 * Returns how many pods were stopped. Source of the order: kubelet nodeshutdown, v1.37.
 */
export async function stopAllPods(deps: StopPodsDeps, { graceSecondsMax }: StopPodsOptions): Promise<number> {
  const { runtime, clock } = deps
  const [sandboxes, containers] = await Promise.all([runtime.listSandboxes(), runtime.listContainers()])
  const running = containers.filter(({ phase }) => phase === 'running' || phase === 'unknown')
  const endMs = clock.monotonicMs() + graceSecondsMax * 1000
  let stopped = 0
  for (const group of groupByPriority(sandboxes, running)) {
    const left = Math.max(0, Math.ceil((endMs - clock.monotonicMs()) / 1000))
    await Promise.all(group.map((pod) => stopKnownPod(pod, left, deps)))
    stopped += group.length
  }
  return stopped
}

/** Groups of equal priority, the lowest first. Pure. */
export function groupByPriority(
  sandboxes: readonly SandboxSummary[],
  running: readonly ContainerSummary[],
): readonly (readonly StoppablePod[])[] {
  const groups = new Map<number, StoppablePod[]>()
  for (const sandbox of sandboxes) {
    const containers = running.filter(({ sandboxId }) => sandboxId === sandbox.id)
    if (!sandbox.ready && containers.length === 0) continue
    const priority = Number(sandbox.annotations[ANNOTATION_POD_PRIORITY] ?? '0') || 0
    groups.set(priority, [...(groups.get(priority) ?? []), { sandbox, containers }])
  }
  return [...groups].toSorted(([a], [b]) => a - b).map(([, group]) => group)
}

/** Stops one pod by what its annotations say, within `graceSecondsMax`, and its sandbox in any case. */
export async function stopKnownPod(pod: StoppablePod, graceSecondsMax: number, deps: StopPodsDeps): Promise<void> {
  const { sandbox, containers } = pod
  const graceSeconds = Math.min(readGrace(sandbox), graceSecondsMax)
  const isSidecar = (container: ContainerSummary): boolean => container.annotations[ANNOTATION_ROLE] === 'sidecar'
  const grace = createGrace(deps.clock, graceSeconds)
  const podIp = containers.some(hasHttpHook) ? ((await deps.runtime.sandboxStatus(sandbox.id))?.ips[0] ?? '') : ''
  const stop = async (container: ContainerSummary): Promise<void> => {
    await stopKnownContainer(container, { grace, podIp }, deps).catch((error: unknown) =>
      deps.logger.warn('Could not stop container', { pod: keyOf(sandbox), container: container.name, error }),
    )
  }
  await Promise.all(containers.filter((container) => !isSidecar(container)).map(stop))
  for (const sidecar of containers.filter(isSidecar).toSorted((a, b) => b.createdAtMs - a.createdAtMs))
    await stop(sidecar)
  await deps.runtime.stopSandbox(sandbox.id)
}

async function stopKnownContainer(
  container: ContainerSummary,
  { grace, podIp }: { readonly grace: Grace; readonly podIp: string },
  { runtime, clock, logger, dialer = systemDialer }: StopPodsDeps,
): Promise<void> {
  const preStop = readPreStop(container)
  const hasHook = preStop !== undefined && grace.remainingMs() > 0
  if (hasHook) {
    const target = {
      container: { name: container.name },
      containerId: container.id,
      podIp,
      timeoutMs: grace.remainingMs(),
    }
    await runPreStop(preStop, target, grace, { runtime, clock, dialer }).catch((error: unknown) =>
      logger.warn('Could not run preStop hook', { container: container.name, error }),
    )
  }
  await runtime.stopContainer(container.id, secondsLeft(grace, { hasHook }))
}

function readGrace({ annotations }: SandboxSummary): number {
  const seconds = Number(annotations[ANNOTATION_POD_GRACE] ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : GRACE_SECONDS_DEFAULT
}

function readPreStop({ annotations }: ContainerSummary): LifecycleHandler | undefined {
  const text = annotations[ANNOTATION_PRE_STOP]
  return text === undefined ? undefined : (JSON.parse(text) as LifecycleHandler)
}

function hasHttpHook(container: ContainerSummary): boolean {
  return readPreStop(container)?.httpGet !== undefined
}

function keyOf({ podNamespace, podName }: SandboxSummary): string {
  return `${podNamespace}/${podName}`
}
