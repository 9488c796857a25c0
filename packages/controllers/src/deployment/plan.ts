import { deepEqual, isPodTerminal, ownerReferenceTo, podTemplateHash, type Stored } from '@centaurus/api'
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '@centaurus/api/apps/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { progressDeadlineSeconds, rolloutLimits } from './limits.ts'
import { maxRevision, planNewSetAnnotations, REVISION_ANNOTATION, revisionOf } from './revision.ts'
import { isScalingEvent, planNewReplicas, planRecreateDown, planRollingStep, planScale, setReplicas } from './scale.ts'
import { findNewSet, plannedSet, POD_TEMPLATE_HASH_LABEL, sumStatus, type PlannedSet } from './sets.ts'
import {
  isComplete,
  planProgressCheckMs,
  planRolloutStatus,
  planStatus,
  progressingOf,
  setDeploymentCondition,
  TIMED_OUT,
} from './status.ts'

/** Names of objects have at most this many characters. */
const NAME_LENGTH_MAX = 253

export interface DeploymentPlanInput {
  readonly deployment: Stored<Deployment>
  /** Those it controls. */
  readonly replicaSets: readonly Stored<ReplicaSet>[]
  /** Pods of all its sets; only `Recreate` looks at them. */
  readonly pods: readonly Pod[]
  readonly nowMs: number
}

export interface DeploymentPlan {
  /** To be created. */
  readonly create: ReplicaSet | undefined
  /** To be written: their size, annotations or minReadySeconds differ. */
  readonly update: readonly { readonly from: Stored<ReplicaSet>; readonly to: Stored<ReplicaSet> }[]
  readonly remove: readonly Stored<ReplicaSet>[]
  readonly status: DeploymentStatus
  /** Annotations of the Deployment, which carry its revision. */
  readonly annotations: Record<string, string>
  readonly requeueAfterMs: number | undefined
}

/**
 * One step towards what the Deployment asks for; the changes it makes lead to the next. Source: syncDeployment and what it calls,
 * pkg/controller/deployment v1.37.
 */
export function planDeployment(input: DeploymentPlanInput): DeploymentPlan {
  const { deployment, nowMs } = input
  const sets = input.replicaSets.map(plannedSet)
  const newSet = findNewSet(deployment, sets)
  const oldSets = sets.filter((planned) => planned !== newSet)
  const draft: Draft = { ...input, newSet, oldSets, conditions: planPause(deployment, nowMs), remove: [] }
  if (deployment.metadata.deletionTimestamp !== undefined) return finish(draft, planStatus(draft))
  const newRevision = maxRevision(oldSets.map(({ set }) => set!)) + 1
  if (newSet !== undefined) adoptNewSet(draft, newSet, newRevision)
  if (deployment.spec.paused === true) {
    planScale(deployment, newSet, oldSets)
    draft.remove = planCleanup(deployment, oldSets)
    return finish(draft, planStatus(draft))
  }
  if (isScalingEvent(deployment, sets)) {
    planScale(deployment, newSet, oldSets)
    return finish(draft, planStatus(draft))
  }
  if (deployment.spec.strategy?.type === 'Recreate') stepRecreate(draft, newRevision)
  else stepRolling(draft, newRevision)
  if (isComplete(deployment, deployment.status ?? {})) draft.remove = planCleanup(deployment, oldSets)
  return finish(draft, planRolloutStatus(draft))
}

interface Draft extends DeploymentPlanInput {
  newSet: PlannedSet | undefined
  readonly oldSets: readonly PlannedSet[]
  conditions: readonly DeploymentCondition[]
  remove: readonly Stored<ReplicaSet>[]
}

/** A pause stops the deadline's clock. Source: checkPausedConditions v1.37. */
function planPause(deployment: Deployment, nowMs: number): readonly DeploymentCondition[] {
  const conditions = deployment.status?.conditions ?? []
  const current = progressingOf(conditions)
  if (progressDeadlineSeconds(deployment) === undefined || current?.reason === TIMED_OUT) return conditions
  if (deployment.metadata.deletionTimestamp !== undefined) return conditions
  const wasPaused = current?.reason === 'DeploymentPaused'
  if (deployment.spec.paused === true && !wasPaused) {
    const init = { type: 'Progressing', status: 'Unknown', reason: 'DeploymentPaused', message: 'Deployment is paused' }
    return setDeploymentCondition(conditions, init, nowMs)
  }
  if (deployment.spec.paused === true || !wasPaused) return conditions
  const init = { type: 'Progressing', status: 'Unknown', reason: 'DeploymentResumed', message: 'Deployment is resumed' }
  return setDeploymentCondition(conditions, init, nowMs)
}

/** The set with the newest template gets the newest revision, also when it is an old one that a rollback brought back. */
function adoptNewSet(draft: Draft, newSet: PlannedSet, newRevision: number): void {
  newSet.annotations = planNewSetAnnotations(draft.deployment, newSet.set, newRevision)
  newSet.minReadySeconds = draft.deployment.spec.minReadySeconds
  if (progressDeadlineSeconds(draft.deployment) === undefined || progressingOf(draft.conditions) !== undefined) return
  const message = `Found new replica set "${newSet.name}"`
  const init = { type: 'Progressing', status: 'True', reason: 'FoundNewReplicaSet', message }
  draft.conditions = setDeploymentCondition(draft.conditions, init, draft.nowMs)
}

function stepRolling(draft: Draft, newRevision: number): void {
  draft.newSet ??= planNewSet(draft, newRevision)
  planRollingStep(draft.deployment, draft.newSet, draft.oldSets)
}

/** New pods only when no old one runs or ends. */
function stepRecreate(draft: Draft, newRevision: number): void {
  const { deployment, oldSets } = draft
  if (!planRecreateDown(deployment, oldSets) || hasOldPods(draft)) return
  draft.newSet ??= planNewSet(draft, newRevision)
  const limits = rolloutLimits(deployment)
  if (draft.newSet.replicas !== limits.replicas) setReplicas(draft.newSet, limits.replicas, limits)
}

function hasOldPods({ newSet, oldSets, pods }: Draft): boolean {
  if (sumStatus(oldSets, 'replicas') > 0) return true
  const newUid = newSet?.set?.metadata.uid
  return pods.some(
    (pod) => !isPodTerminal(pod) && pod.metadata.ownerReferences?.find((owner) => owner.controller)?.uid !== newUid,
  )
}

function planNewSet(draft: Draft, newRevision: number): PlannedSet {
  const { deployment, oldSets, nowMs } = draft
  const name = newSetName(deployment)
  const annotations = planNewSetAnnotations(deployment, undefined, newRevision)
  const planned: PlannedSet = {
    set: undefined,
    name,
    replicas: 0,
    annotations,
    minReadySeconds: deployment.spec.minReadySeconds,
  }
  setReplicas(planned, planNewReplicas(deployment, planned, oldSets), rolloutLimits(deployment))
  if (progressDeadlineSeconds(deployment) !== undefined) {
    const init = {
      type: 'Progressing',
      status: 'True',
      reason: 'NewReplicaSetCreated',
      message: `Created new replica set "${name}"`,
    }
    draft.conditions = setDeploymentCondition(draft.conditions, init, nowMs)
  }
  return planned
}

function templateHash(deployment: Deployment): string {
  return podTemplateHash(deployment.spec.template, deployment.status?.collisionCount)
}

function newSetName(deployment: Deployment): string {
  const hash = templateHash(deployment)
  return `${(deployment.metadata.name ?? '').slice(0, NAME_LENGTH_MAX - 1 - hash.length)}-${hash}`
}

function buildNewSet(deployment: Stored<Deployment>, planned: PlannedSet): ReplicaSet {
  const hash = templateHash(deployment)
  const { template, selector } = deployment.spec
  const labels = { ...template.metadata?.labels, [POD_TEMPLATE_HASH_LABEL]: hash }
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: planned.name,
      namespace: deployment.metadata.namespace,
      labels,
      annotations: planned.annotations,
      ownerReferences: [ownerReferenceTo(deployment)],
    },
    spec: {
      replicas: planned.replicas,
      ...(planned.minReadySeconds === undefined ? {} : { minReadySeconds: planned.minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [POD_TEMPLATE_HASH_LABEL]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  }
}

/** Old sets beyond the history limit, oldest revision first; only those that are empty for sure. Source: cleanupDeployment v1.37. */
function planCleanup({ spec }: Deployment, oldSets: readonly PlannedSet[]): Stored<ReplicaSet>[] {
  const limit = spec.revisionHistoryLimit
  if (limit === undefined || limit === 2 ** 31 - 1) return []
  const alive = oldSets.map(({ set }) => set!).filter((set) => set.metadata.deletionTimestamp === undefined)
  const excess = alive.length - limit
  if (excess <= 0) return []
  const byRevision = alive.toSorted((a, b) => (revisionOf(a) ?? 0) - (revisionOf(b) ?? 0))
  return byRevision.slice(0, excess).filter((set) => {
    const isObserved = (set.metadata.generation ?? 0) <= (set.status?.observedGeneration ?? 0)
    return (set.status?.replicas ?? 0) === 0 && (set.spec.replicas ?? 1) === 0 && isObserved
  })
}

function finish(draft: Draft, status: DeploymentStatus): DeploymentPlan {
  const { deployment, newSet, oldSets, remove, nowMs } = draft
  const all = newSet === undefined ? oldSets : [newSet, ...oldSets]
  const revision = newSet?.annotations[REVISION_ANNOTATION]
  const annotations = { ...deployment.metadata.annotations }
  if (revision !== undefined) annotations[REVISION_ANNOTATION] = revision
  return {
    create: newSet !== undefined && newSet.set === undefined ? buildNewSet(deployment, newSet) : undefined,
    update: all.flatMap((planned) => planUpdate(planned)),
    remove,
    status,
    annotations,
    requeueAfterMs: planProgressCheckMs(deployment, status, nowMs),
  }
}

function planUpdate({
  set,
  replicas,
  annotations,
  minReadySeconds,
}: PlannedSet): { from: Stored<ReplicaSet>; to: Stored<ReplicaSet> }[] {
  if (set === undefined) return []
  const isSame =
    (set.spec.replicas ?? 1) === replicas &&
    (set.spec.minReadySeconds ?? 0) === (minReadySeconds ?? 0) &&
    deepEqual(set.metadata.annotations ?? {}, annotations)
  if (isSame) return []
  const to = { ...set, metadata: { ...set.metadata, annotations }, spec: { ...set.spec, replicas, minReadySeconds } }
  return [{ from: set, to }]
}
