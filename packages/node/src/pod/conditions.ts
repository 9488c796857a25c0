import type { Container, ContainerStatus, Pod, PodCondition, PodStatus } from '@centaurus/api/core/v1'

import { isSidecar } from './runtime-state.ts'

export type PodPhase = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown'

export interface ConditionInput {
  readonly phase: PodPhase
  /** Regular, init. */
  readonly containers: readonly ContainerStatus[]
  readonly initContainers: readonly ContainerStatus[]
  /** Why no sandbox is usable; '' when one is. */
  readonly sandboxMessage: string
}

type Verdict = Pick<PodCondition, 'status' | 'reason' | 'message'>

/** Conditions that the node agent owns, without times. Source: kubelet status/generate.go, v1.37. */
export function planConditions(pod: Pod, input: ConditionInput): (Verdict & { type: string })[] {
  const containersReady = judgeContainersReady(pod, input)
  return [
    { type: 'PodReadyToStartContainers', ...judgeSandbox(input.sandboxMessage) },
    { type: 'Initialized', ...judgeInitialized(pod, input) },
    { type: 'Ready', ...judgeReady(pod, containersReady) },
    { type: 'ContainersReady', ...containersReady },
    { type: 'PodScheduled', status: 'True' },
  ]
}

/** Merges what was planned into what is there: others' conditions stay, times move only with the status. */
export const RESIZE_CONDITIONS: ReadonlySet<string> = new Set(['PodResizePending', 'PodResizeInProgress'])

export function mergeConditions(
  previous: PodStatus | undefined,
  planned: readonly (Verdict & { type: string })[],
  { now, generation }: { readonly now: string; readonly generation: number | undefined },
): PodCondition[] {
  const old = previous?.conditions ?? []
  const ours = planned.map((verdict): PodCondition => {
    const before = old.find(({ type }) => type === verdict.type)
    if (verdict.type === 'PodScheduled' && before !== undefined) return before
    const condition: PodCondition = { type: verdict.type, status: verdict.status, lastProbeTime: undefined }
    if (generation !== undefined) condition.observedGeneration = generation
    if (verdict.reason !== undefined) condition.reason = verdict.reason
    if (verdict.message !== undefined) condition.message = verdict.message
    condition.lastTransitionTime =
      before?.status === verdict.status && before.lastTransitionTime !== undefined ? before.lastTransitionTime : now
    return condition
  })
  const names = new Set(planned.map(({ type }) => type))
  return [...old.filter(({ type }) => !names.has(type) && !RESIZE_CONDITIONS.has(type)), ...ours]
}

function judgeSandbox(message: string): Verdict {
  return message === '' ? { status: 'True' } : { status: 'False', reason: 'PodSandboxNotReady', message }
}

function judgeInitialized(pod: Pod, { phase, containers, initContainers }: ConditionInput): Verdict {
  const inits = pod.spec?.initContainers ?? []
  const unknown = inits.filter(({ name }) => find(initContainers, name) === undefined)
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'True', reason: 'PodCompleted' }
  if (
    containers.some(
      (status) =>
        status.started === true || status.state?.running !== undefined || status.state?.terminated !== undefined,
    )
  )
    return { status: 'True' }
  const incomplete = inits.filter((container) => {
    const status = find(initContainers, container.name)
    return status !== undefined && !(isSidecar(container) ? status.started === true : status.ready)
  })
  const messages = [
    ...nameAll('containers with unknown status', unknown),
    ...nameAll('containers with incomplete status', incomplete),
  ]
  return messages.length === 0
    ? { status: 'True' }
    : { status: 'False', reason: 'ContainersNotInitialized', message: messages.join(', ') }
}

function judgeContainersReady(pod: Pod, { phase, containers, initContainers }: ConditionInput): Verdict {
  const wanted = [...(pod.spec?.initContainers ?? []).filter(isSidecar), ...(pod.spec?.containers ?? [])]
  const all = [...initContainers, ...containers]
  const unknown = wanted.filter(({ name }) => find(all, name) === undefined)
  const unready = wanted.filter(({ name }) => find(all, name)?.ready === false)
  if (phase === 'Succeeded' && unknown.length === 0) return { status: 'False', reason: 'PodCompleted' }
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' }
  const messages = [
    ...nameAll('containers with unknown status', unknown),
    ...nameAll('containers with unready status', unready),
  ]
  return messages.length === 0
    ? { status: 'True' }
    : { status: 'False', reason: 'ContainersNotReady', message: messages.join(', ') }
}

function judgeReady(pod: Pod, containersReady: Verdict): Verdict {
  if (containersReady.status !== 'True') return containersReady
  const messages = (pod.spec?.readinessGates ?? []).flatMap(({ conditionType }) => {
    const condition = pod.status?.conditions?.find(({ type }) => type === conditionType)
    if (condition === undefined)
      return [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`]
    if (condition.status === 'True') return []
    return [`the status of pod readiness gate "${conditionType}" is not "True", but ${condition.status}`]
  })
  return messages.length === 0
    ? { status: 'True' }
    : { status: 'False', reason: 'ReadinessGatesNotReady', message: messages.join(', ') }
}

function nameAll(what: string, containers: readonly Container[]): string[] {
  return containers.length === 0 ? [] : [`${what}: [${containers.map(({ name }) => name).join(' ')}]`]
}

function find(statuses: readonly ContainerStatus[], name: string): ContainerStatus | undefined {
  return statuses.find((status) => status.name === name)
}
