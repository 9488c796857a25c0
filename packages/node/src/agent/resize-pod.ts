import type { Pod } from '@centaurus/api/core/v1'

import { containerResources } from '../pod/resources.ts'
import { planResize, resizeMessage, type ContainerResize } from '../pod/resize.ts'
import { findContainer, type PodRuntimeState } from '../pod/runtime-state.ts'
import type { PodDeps, PodMemory } from './pod-context.ts'
import { findSpec } from './stop-containers.ts'

/** A resize that did not fit, or failed, is tried again after this. */
const RETRY_MS = 10_000

export interface ResizeResult {
  /** The pod with what its containers may have from now on. */
  readonly pod: Pod
  readonly retryAtMs: number | undefined
}

/**
 * Gives running containers the resources that the spec asks for by now, when the node has them; else says in the pod's conditions why not.
 * Containers whose policy asks for it are restarted, by the plan that follows. Source: kubelet allocation manager and doPodResizeAction, v1.37.
 */
export async function resizePod(
  desired: Pod,
  allocated: Pod,
  { state, memory, deps }: { readonly state: PodRuntimeState; readonly memory: PodMemory; readonly deps: PodDeps },
): Promise<ResizeResult> {
  const decision = planResize(desired, allocated, deps.roomBeside(desired))
  if (decision.kind === 'none') {
    if (memory.resize?.type === 'PodResizePending') memory.resize = undefined
    return { pod: desired, retryAtMs: undefined }
  }
  const event = (type: 'Normal' | 'Warning', reason: string, message: string): void =>
    deps.recordEvent(desired, { type, reason, message })
  if (decision.kind === 'pending') {
    const { reason, message } = decision
    const told = memory.resize
    memory.resize = { type: 'PodResizePending', reason, message }
    if (told?.reason !== reason || told.message !== message)
      event('Warning', `Resize${reason}`, resizeMessage(desired, `Pod resize ${reason}`, message))
    return { pod: allocated, retryAtMs: reason === 'Deferred' ? deps.clock.now() + RETRY_MS : undefined }
  }
  if (memory.resize?.type !== 'PodResizeInProgress')
    event('Normal', 'ResizeStarted', resizeMessage(desired, 'Pod resize started', ''))
  try {
    await applyChanges(desired, decision.changes, { state, memory, deps })
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    memory.resize = { type: 'PodResizeInProgress', reason: 'Error', message }
    event('Warning', 'ResizeError', resizeMessage(desired, 'Pod resize error', message))
    return { pod: allocated, retryAtMs: deps.clock.now() + RETRY_MS }
  }
  memory.resize = undefined
  event('Normal', 'ResizeCompleted', resizeMessage(desired, 'Pod resize completed', ''))
  return { pod: desired, retryAtMs: undefined }
}

async function applyChanges(
  pod: Pod,
  changes: readonly ContainerResize[],
  { state, memory, deps }: { readonly state: PodRuntimeState; readonly memory: PodMemory; readonly deps: PodDeps },
): Promise<void> {
  for (const { name, restart } of changes) {
    const running = findContainer(state, name)
    const container = findSpec(pod, name)
    if (running?.phase !== 'running' || container === undefined) continue
    if (restart) memory.restart.add(running.id)
    else {
      const resources = containerResources(pod, container, deps.node().memoryCapacityBytes)
      await deps.runtime.updateContainerResources(running.id, resources)
    }
  }
}
