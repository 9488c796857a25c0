import type { Pod, PodStatus } from '@centaurus/api/core/v1'

import { mergeConditions, planConditions, type PodPhase } from './conditions.ts'
import { containerStatuses, formatTime, type ContainerStatusContext } from './container-status.ts'
import { podPhase } from './phase.ts'
import { podQosClass } from './resources.ts'
import { checkSandbox, isHostNetwork, type PodRuntimeState } from './runtime-state.ts'

/** Why the agent itself ended a pod. */
export interface PodFailure {
  readonly reason: string
  readonly message: string
  /** The node needed the room: controllers that replace the pod may not count it as its own failure. */
  readonly isDisruption?: boolean | undefined
  /** The pod was not let in: it has no containers that could have a status, and kubectl shows the reason. */
  readonly isRejection?: boolean | undefined
}

/** A resize that is not done, as a condition tells it. */
export interface PodResizeState {
  readonly type: 'PodResizePending' | 'PodResizeInProgress'
  readonly reason: string
  readonly message: string
}

export interface PodStatusContext extends ContainerStatusContext {
  readonly nowMs: number
  readonly hostIps: readonly string[]
  /** Nothing will be started again: the pod ends or has ended. */
  readonly terminal: boolean
  /** Why the agent itself ended the pod: a deadline, an eviction, a refusal. */
  readonly failure?: PodFailure | undefined
  readonly resize?: PodResizeState | undefined
}

/**
 * Status of a pod from its spec, its last status and what the runtime says. Pure. Terminal phases never change back; conditions of others
 * (scheduler, readiness gates) are kept. Source: kubelet generateAPIPodStatus, v1.37.
 */
export function podStatus(pod: Pod, state: PodRuntimeState, context: PodStatusContext): PodStatus {
  const previous = pod.status ?? {}
  const spec = pod.spec
  const now = formatTime(context.nowMs)
  const containers = containerStatuses(pod, spec?.containers ?? [], state, { ...context, isInit: false })
  const initContainers = containerStatuses(pod, spec?.initContainers ?? [], state, { ...context, isInit: true })
  const ephemeral = containerStatuses(pod, spec?.ephemeralContainers ?? [], state, { ...context, isInit: false })
  const computed = podPhase(pod, [...containers, ...initContainers], { terminal: context.terminal })
  const phase = choosePhase(previous.phase, context.failure === undefined ? computed : 'Failed')
  const sandboxMessage = checkSandbox(pod, state).message
  const disruption = { type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet' } as const
  const planned = [
    ...(context.resize === undefined ? [] : [{ status: 'True' as const, ...context.resize }]),
    ...planConditions(pod, { phase, containers, initContainers, sandboxMessage }),
    ...(context.failure?.isDisruption === true ? [{ ...disruption, message: context.failure.message }] : []),
  ]
  const status: PodStatus = {
    ...previous,
    phase,
    conditions: mergeConditions(previous, planned, { now, generation: pod.metadata.generation }),
    startTime: previous.startTime ?? now,
    qosClass: previous.qosClass ?? podQosClass(pod),
    ...(context.failure?.isRejection === true ? {} : { containerStatuses: containers }),
    ...addressesOf(pod, state, context),
  }
  if (pod.metadata.generation !== undefined) status.observedGeneration = pod.metadata.generation
  if (context.failure?.isRejection === true)
    return { ...status, reason: context.failure.reason, message: context.failure.message }
  if (initContainers.length > 0) status.initContainerStatuses = initContainers
  if (ephemeral.length > 0) status.ephemeralContainerStatuses = ephemeral.map((entry) => ({ ...entry, ready: false }))
  if (context.failure !== undefined) {
    status.reason = context.failure.reason
    status.message = context.failure.message
  } else if (phase !== previous.phase) {
    delete status.reason
    delete status.message
  }
  return status
}

function choosePhase(previous: string | undefined, next: PodPhase): PodPhase {
  return previous === 'Failed' || previous === 'Succeeded' ? previous : next
}

function addressesOf(pod: Pod, state: PodRuntimeState, { hostIps }: PodStatusContext): Partial<PodStatus> {
  const addresses: Partial<PodStatus> = {}
  if (hostIps.length > 0) {
    addresses.hostIP = hostIps[0]
    addresses.hostIPs = hostIps.map((ip) => ({ ip }))
  }
  const ips = isHostNetwork(pod)
    ? hostIps
    : (state.sandboxes.find(({ ready }) => ready)?.ips ?? state.sandboxes[0]?.ips ?? [])
  if (ips.length > 0) {
    addresses.podIP = ips[0]
    addresses.podIPs = ips.map((ip) => ({ ip }))
  }
  return addresses
}
