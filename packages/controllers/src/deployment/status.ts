import { formatTime, parseTime } from '@centaurus/api'
import type { Deployment, DeploymentCondition, DeploymentStatus } from '@centaurus/api/apps/v1'
import { progressDeadlineSeconds, rolloutLimits } from './limits.ts'
import { sumStatus, totalReplicas, type PlannedSet } from './sets.ts'

export const NEW_SET_AVAILABLE = 'NewReplicaSetAvailable'
export const TIMED_OUT = 'ProgressDeadlineExceeded'

export interface ConditionInit {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

/** Source: SetDeploymentCondition v1.37: the same status and reason change nothing, the same status keeps its transition time. */
export function setDeploymentCondition(
  conditions: readonly DeploymentCondition[],
  init: ConditionInit & { readonly lastTransitionTime?: string | undefined },
  nowMs: number,
): DeploymentCondition[] {
  const old = conditions.find((condition) => condition.type === init.type)
  if (old !== undefined && old.status === init.status && old.reason === init.reason) return [...conditions]
  const now = formatTime(nowMs)
  const lastTransitionTime = old?.status === init.status ? old.lastTransitionTime : now
  return [
    ...removeCondition(conditions, init.type),
    { lastUpdateTime: now, ...init, lastTransitionTime: init.lastTransitionTime ?? lastTransitionTime },
  ]
}

export function removeCondition(conditions: readonly DeploymentCondition[], type: string): DeploymentCondition[] {
  return conditions.filter((condition) => condition.type !== type)
}

export function progressingOf(conditions: readonly DeploymentCondition[]): DeploymentCondition | undefined {
  return conditions.find((condition) => condition.type === 'Progressing')
}

export interface StatusInput {
  readonly deployment: Deployment
  readonly newSet: PlannedSet | undefined
  readonly oldSets: readonly PlannedSet[]
  /** As they were before, with what this plan has found already. */
  readonly conditions: readonly DeploymentCondition[]
  readonly nowMs: number
}

/** Counts, and whether the Deployment is available. Source: calculateStatus, deployment/sync.go v1.37. */
export function planStatus({ deployment, newSet, oldSets, conditions, nowMs }: StatusInput): DeploymentStatus {
  const all = newSet === undefined ? oldSets : [...oldSets, newSet]
  const { replicas, maxUnavailable } = rolloutLimits(deployment)
  const available = sumStatus(all, 'availableReplicas')
  const isAvailable = available >= replicas - maxUnavailable
  const availability: ConditionInit = isAvailable
    ? {
        type: 'Available',
        status: 'True',
        reason: 'MinimumReplicasAvailable',
        message: 'Deployment has minimum availability.',
      }
    : {
        type: 'Available',
        status: 'False',
        reason: 'MinimumReplicasUnavailable',
        message: 'Deployment does not have minimum availability.',
      }
  const { collisionCount } = deployment.status ?? {}
  const { generation } = deployment.metadata
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    replicas: sumStatus(all, 'replicas'),
    updatedReplicas: newSet === undefined ? 0 : sumStatus([newSet], 'replicas'),
    readyReplicas: sumStatus(all, 'readyReplicas'),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, totalReplicas(all) - available),
    terminatingReplicas: sumStatus(all, 'terminatingReplicas'),
    ...(collisionCount === undefined ? {} : { collisionCount }),
    conditions: setDeploymentCondition(conditions, availability, nowMs),
  }
}

/** As {@link planStatus}, with how the rollout goes. Source: syncRolloutStatus, deployment/progress.go v1.37. */
export function planRolloutStatus(input: StatusInput): DeploymentStatus {
  const status = planStatus(input)
  let conditions = status.conditions ?? []
  const current = progressingOf(conditions)
  const deadline = progressDeadlineSeconds(input.deployment)
  if (deadline === undefined) conditions = removeCondition(conditions, 'Progressing')
  const isSettled = status.replicas === status.updatedReplicas && current?.reason === NEW_SET_AVAILABLE
  if (deadline !== undefined && !isSettled) conditions = planProgress(input, { ...status, conditions }, deadline)
  return { ...status, conditions: withReplicaFailure(input, conditions) }
}

function planProgress(input: StatusInput, status: DeploymentStatus, deadlineSeconds: number): DeploymentCondition[] {
  const { deployment, newSet, nowMs } = input
  const conditions = status.conditions ?? []
  const current = progressingOf(conditions)
  const subject = newSet === undefined ? `Deployment "${deployment.metadata.name}"` : `ReplicaSet "${newSet.name}"`
  const condition = (value: string, reason: string, what: string): ConditionInit => ({
    type: 'Progressing',
    status: value,
    reason,
    message: `${subject} ${what}.`,
  })
  if (isComplete(deployment, status)) {
    return setDeploymentCondition(
      conditions,
      condition('True', NEW_SET_AVAILABLE, 'has successfully progressed'),
      nowMs,
    )
  }
  if (isProgressing(deployment, status)) {
    const init = condition('True', 'ReplicaSetUpdated', 'is progressing')
    const lastTransitionTime = current?.status === 'True' ? current.lastTransitionTime : undefined
    // Removed first: each step forward renews the time from which the deadline counts.
    return setDeploymentCondition(removeCondition(conditions, 'Progressing'), { ...init, lastTransitionTime }, nowMs)
  }
  if (isTimedOut(current, deadlineSeconds, nowMs)) {
    return setDeploymentCondition(conditions, condition('False', TIMED_OUT, 'has timed out progressing'), nowMs)
  }
  return conditions
}

/** Every pod is of the newest template and available. Source: DeploymentComplete v1.37. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const { replicas } = rolloutLimits(deployment)
  return (
    status.updatedReplicas === replicas &&
    status.replicas === replicas &&
    status.availableReplicas === replicas &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  )
}

function isProgressing({ status: old = {} }: Deployment, status: DeploymentStatus): boolean {
  const outdated = (counts: DeploymentStatus): number => (counts.replicas ?? 0) - (counts.updatedReplicas ?? 0)
  return (
    (status.updatedReplicas ?? 0) > (old.updatedReplicas ?? 0) ||
    outdated(status) < outdated(old) ||
    (status.readyReplicas ?? 0) > (old.readyReplicas ?? 0) ||
    (status.availableReplicas ?? 0) > (old.availableReplicas ?? 0)
  )
}

function isTimedOut(current: DeploymentCondition | undefined, deadlineSeconds: number, nowMs: number): boolean {
  if (current === undefined || current.reason === NEW_SET_AVAILABLE) return false
  if (current.reason === TIMED_OUT) return true
  const fromMs = parseTime(current.lastUpdateTime ?? '')
  return fromMs !== undefined && fromMs + deadlineSeconds * 1000 < nowMs
}

/** When to look whether the deadline has passed; undefined when nothing is to be expected. Source: requeueStuckDeployment v1.37. */
export function planProgressCheckMs(
  deployment: Deployment,
  status: DeploymentStatus,
  nowMs: number,
): number | undefined {
  const deadline = progressDeadlineSeconds(deployment)
  const current = progressingOf(status.conditions ?? [])
  if (deadline === undefined || current === undefined || current.reason === TIMED_OUT) return undefined
  if (isComplete(deployment, status)) return undefined
  const fromMs = parseTime(current.lastUpdateTime ?? '') ?? nowMs
  return Math.max(1000, fromMs + deadline * 1000 - nowMs + 1000)
}

function withReplicaFailure(
  { newSet, oldSets }: StatusInput,
  conditions: readonly DeploymentCondition[],
): DeploymentCondition[] {
  const others = removeCondition(conditions, 'ReplicaFailure')
  const sets = newSet === undefined ? oldSets : [newSet, ...oldSets]
  for (const { set } of sets) {
    const failure = set?.status?.conditions?.find((condition) => condition.type === 'ReplicaFailure')
    if (failure === undefined) continue
    const known = conditions.find((condition) => condition.type === 'ReplicaFailure')
    if (known !== undefined && known.status === failure.status && known.reason === failure.reason)
      return [...conditions]
    return [...others, { ...failure, lastUpdateTime: failure.lastTransitionTime }]
  }
  return others
}
