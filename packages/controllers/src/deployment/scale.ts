import type { Deployment } from '@centaurus/api/apps/v1'
import { rolloutLimits, type RolloutLimits } from './limits.ts'
import { DESIRED_REPLICAS_ANNOTATION, MAX_REPLICAS_ANNOTATION } from './revision.ts'
import { availableReplicas, sortByAge, sortBySize, sumStatus, totalReplicas, type PlannedSet } from './sets.ts'

/** Sets a size, and the annotations by which a later change of the Deployment's size is told from a rollout's steps. */
export function setReplicas(planned: PlannedSet, replicas: number, limits: RolloutLimits): void {
  planned.replicas = replicas
  planned.annotations[DESIRED_REPLICAS_ANNOTATION] = String(limits.replicas)
  planned.annotations[MAX_REPLICAS_ANNOTATION] = String(limits.replicas + limits.maxSurge)
}

function resize(planned: PlannedSet, replicas: number, limits: RolloutLimits): boolean {
  if (planned.replicas === replicas) return false
  setReplicas(planned, replicas, limits)
  return true
}

/** True when the Deployment's size changed since a set was last scaled. Source: isScalingEvent v1.37. */
export function isScalingEvent(deployment: Deployment, sets: readonly PlannedSet[]): boolean {
  const { replicas } = rolloutLimits(deployment)
  return sets.some(({ set, annotations }) => {
    const text = annotations[DESIRED_REPLICAS_ANNOTATION]
    return (set?.spec.replicas ?? 0) > 0 && text !== undefined && /^\d+$/.test(text) && Number(text) !== replicas
  })
}

/**
 * Changes the size outside of a rollout: the one active set gets it all; in the middle of a rollout each set keeps its proportion, and
 * what rounding leaves goes to the largest. Source: DeploymentController.scale v1.37.
 */
export function planScale(
  deployment: Deployment,
  newSet: PlannedSet | undefined,
  oldSets: readonly PlannedSet[],
): void {
  const limits = rolloutLimits(deployment)
  const all = newSet === undefined ? [...oldSets] : [...oldSets, newSet]
  const active = all.filter((planned) => planned.replicas > 0)
  const only = active.length > 1 ? undefined : (active[0] ?? newSet ?? sortByAge(oldSets).at(-1))
  if (only !== undefined) return void resize(only, limits.replicas, limits)
  if (active.length === 0) return
  if (isSaturated(deployment, newSet)) {
    for (const old of oldSets) if (old.replicas > 0) resize(old, 0, limits)
    return
  }
  if (deployment.spec.strategy?.type !== 'Recreate') scaleInProportion(deployment, active, limits)
}

function isSaturated(deployment: Deployment, newSet: PlannedSet | undefined): boolean {
  if (newSet?.set === undefined) return false
  const { replicas } = rolloutLimits(deployment)
  const isDesired = newSet.annotations[DESIRED_REPLICAS_ANNOTATION] === String(replicas)
  return newSet.replicas === replicas && isDesired && availableReplicas(newSet) === replicas
}

function scaleInProportion(deployment: Deployment, active: readonly PlannedSet[], limits: RolloutLimits): void {
  const allowed = limits.replicas > 0 ? limits.replicas + limits.maxSurge : 0
  const toAdd = allowed - totalReplicas(active)
  const sorted = sortBySize(active, { towards: toAdd < 0 ? 'down' : 'up' })
  let added = 0
  const sizes = sorted.map((planned) => {
    const share = proportion(deployment, planned, { limits, toAdd, added })
    added += share
    return planned.replicas + share
  })
  if (toAdd !== 0) sizes[0] = Math.max(0, sizes[0]! + toAdd - added)
  for (const [i, planned] of sorted.entries()) setReplicas(planned, sizes[i]!, limits)
}

function proportion(
  deployment: Deployment,
  planned: PlannedSet,
  { limits, toAdd, added }: { readonly limits: RolloutLimits; readonly toAdd: number; readonly added: number },
): number {
  if (planned.replicas === 0 || toAdd === 0 || toAdd === added) return 0
  const fraction = replicaFraction(deployment, planned, limits)
  return toAdd > 0 ? Math.min(fraction, toAdd - added) : Math.max(fraction, toAdd - added)
}

/** Source: getReplicaSetFraction v1.37. */
function replicaFraction(deployment: Deployment, planned: PlannedSet, { replicas, maxSurge }: RolloutLimits): number {
  if (replicas === 0) return -planned.replicas
  const text = planned.annotations[MAX_REPLICAS_ANNOTATION]
  const annotated = text !== undefined && /^\d+$/.test(text) ? Number(text) : 0
  const before = annotated === 0 ? (deployment.status?.replicas ?? 0) : annotated
  return before === 0 ? 0 : Math.round((planned.replicas * (replicas + maxSurge)) / before) - planned.replicas
}

/** One step of a rolling update: first more of the new, then less of the old, never beyond the limits. Source: rolling.go v1.37. */
export function planRollingStep(deployment: Deployment, newSet: PlannedSet, oldSets: readonly PlannedSet[]): void {
  const limits = rolloutLimits(deployment)
  if (resize(newSet, planNewReplicas(deployment, newSet, [...oldSets, newSet]), limits)) return
  const active = oldSets.filter((planned) => planned.replicas > 0)
  if (totalReplicas(active) === 0) return
  const minAvailable = limits.replicas - limits.maxUnavailable
  const newUnavailable = newSet.replicas - availableReplicas(newSet)
  const mayGo = totalReplicas([...oldSets, newSet]) - minAvailable - newUnavailable
  if (mayGo <= 0) return
  const oldestFirst = sortByAge(active)
  scaleDownUnhealthy(oldestFirst, mayGo, limits)
  scaleDownAvailable(oldestFirst, sumStatus([...active, newSet], 'availableReplicas') - minAvailable, limits)
}

/** As many as the surge allows, never more than wanted. Source: NewRSNewReplicas v1.37. */
export function planNewReplicas(deployment: Deployment, newSet: PlannedSet, all: readonly PlannedSet[]): number {
  const limits = rolloutLimits(deployment)
  if (deployment.spec.strategy?.type === 'Recreate' || newSet.replicas > limits.replicas) return limits.replicas
  const room = limits.replicas + limits.maxSurge - totalReplicas(all)
  if (room <= 0) return newSet.replicas
  return newSet.replicas + Math.min(room, limits.replicas - newSet.replicas)
}

/** Pods that do not serve anyway go first. */
function scaleDownUnhealthy(oldestFirst: readonly PlannedSet[], count: number, limits: RolloutLimits): void {
  let left = count
  for (const planned of oldestFirst) {
    const unhealthy = planned.replicas - availableReplicas(planned)
    const take = Math.min(left, unhealthy)
    if (take <= 0) continue
    resize(planned, planned.replicas - take, limits)
    left -= take
  }
}

function scaleDownAvailable(oldestFirst: readonly PlannedSet[], count: number, limits: RolloutLimits): void {
  let left = count
  for (const planned of oldestFirst) {
    if (left <= 0) return
    const take = Math.min(left, planned.replicas)
    resize(planned, planned.replicas - take, limits)
    left -= take
  }
}

/** Recreate: true once no old set wants pods, having set them to none. */
export function planRecreateDown(deployment: Deployment, oldSets: readonly PlannedSet[]): boolean {
  const limits = rolloutLimits(deployment)
  const active = oldSets.filter((planned) => planned.replicas > 0)
  for (const old of active) resize(old, 0, limits)
  return active.length === 0
}
