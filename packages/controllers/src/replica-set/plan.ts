import type { ReplicaSetCondition, ReplicaSetStatus } from '@centaurus/api/apps/v1'
import { formatTime, isPodReady, selectorFromLabels, type Stored } from '@centaurus/api'
import type { Pod, PodTemplateSpec } from '@centaurus/api/core/v1'
import { isPodAvailable, nextAvailableInMs, readySinceMs, timeMs } from '../frame/pods.ts'

/** Pods created or deleted in one go. Source: BurstReplicas, pkg/controller/replicaset v1.37. */
const BURST_PODS = 500
const DELETION_COST_ANNOTATION = 'controller.kubernetes.io/pod-deletion-cost'
const NANOS_PER_MS = 1e6

/** What replica sets and replication controllers have in common. */
export interface ReplicaPlanInput {
  readonly replicas: number
  /** Neither ended nor being deleted. */
  readonly activePods: readonly Stored<Pod>[]
  /** Active pods of all siblings (same controller): deletions prefer the node where most of them are. */
  readonly relatedPods: readonly Pod[]
  readonly nowMs: number
}

export interface ReplicaPlan {
  readonly create: number
  readonly remove: readonly Stored<Pod>[]
}

/** How many pods are missing, or which are too many. */
export function planReplicas({ replicas, activePods, relatedPods, nowMs }: ReplicaPlanInput): ReplicaPlan {
  const missing = replicas - activePods.length
  if (missing >= 0) return { create: Math.min(missing, BURST_PODS), remove: [] }
  return {
    create: 0,
    remove: choosePodsToDelete(activePods, { relatedPods, count: Math.min(-missing, BURST_PODS), nowMs }),
  }
}

/**
 * The pods that are missed least: not scheduled, not running, not ready, cheap by annotation, on a crowded node, ready for less time
 * (in steps of powers of two), restarted more, younger. Source: ActivePodsWithRanks, pkg/controller/controller_utils.go v1.37.
 */
export function choosePodsToDelete(
  active: readonly Stored<Pod>[],
  {
    relatedPods,
    count,
    nowMs,
  }: { readonly relatedPods: readonly Pod[]; readonly count: number; readonly nowMs: number },
): Stored<Pod>[] {
  if (count >= active.length) return [...active]
  const podsOnNode = new Map<string, number>()
  for (const pod of relatedPods) {
    const node = pod.spec?.nodeName ?? ''
    podsOnNode.set(node, (podsOnNode.get(node) ?? 0) + 1)
  }
  const rank = (pod: Pod): number => podsOnNode.get(pod.spec?.nodeName ?? '') ?? 0
  return active.toSorted((a, b) => comparePods(a, b, { rank, nowMs })).slice(0, count)
}

const PHASE_ORDER: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 }

function comparePods(
  a: Stored<Pod>,
  b: Stored<Pod>,
  { rank, nowMs }: { rank: (pod: Pod) => number; nowMs: number },
): number {
  const ready = isPodReady(a)
  return (
    Number(Boolean(a.spec?.nodeName)) - Number(Boolean(b.spec?.nodeName)) ||
    (PHASE_ORDER[a.status?.phase ?? ''] ?? 0) - (PHASE_ORDER[b.status?.phase ?? ''] ?? 0) ||
    Number(ready) - Number(isPodReady(b)) ||
    deletionCost(a) - deletionCost(b) ||
    rank(b) - rank(a) ||
    (ready ? compareAges(readySinceMs(a), readySinceMs(b), { a, b, nowMs }) : 0) ||
    maxRestarts(b) - maxRestarts(a) ||
    compareAges(timeMs(a.metadata.creationTimestamp), timeMs(b.metadata.creationTimestamp), { a, b, nowMs })
  )
}

function compareAges(
  aMs: number | undefined,
  bMs: number | undefined,
  { a, b, nowMs }: { readonly a: Stored<Pod>; readonly b: Stored<Pod>; readonly nowMs: number },
): number {
  if (aMs === bMs) return 0
  if (aMs === undefined) return -1
  if (bMs === undefined) return 1
  const difference = logarithmicAge(aMs, nowMs) - logarithmicAge(bMs, nowMs)
  if (difference !== 0) return difference
  return a.metadata.uid < b.metadata.uid ? -1 : 1
}

function logarithmicAge(sinceMs: number, nowMs: number): number {
  const nanos = (nowMs - sinceMs) * NANOS_PER_MS
  return nanos <= 0 ? -1 : Math.floor(Math.log2(nanos))
}

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[DELETION_COST_ANNOTATION]
  return text !== undefined && /^(0|-?[1-9]\d*)$/.test(text) ? Number(text) : 0
}

function maxRestarts(pod: Pod): number {
  return Math.max(0, ...(pod.status?.containerStatuses ?? []).map((status) => status.restartCount ?? 0))
}

export interface ReplicaStatusInput {
  readonly old: ReplicaSetStatus
  readonly replicas: number
  readonly minReadySeconds: number
  readonly template: PodTemplateSpec | undefined
  readonly generation: number | undefined
  readonly activePods: readonly Pod[]
  /** Undefined where the kind does not count them. */
  readonly terminatingPods: number | undefined
  /** What went wrong when pods were created or deleted. */
  readonly failure: string | undefined
  readonly nowMs: number
}

/** Source: calculateStatus, pkg/controller/replicaset/replica_set_utils.go v1.37. */
export function planReplicaStatus(input: ReplicaStatusInput): ReplicaSetStatus {
  const { activePods, minReadySeconds, nowMs, terminatingPods } = input
  const templateLabels = selectorFromLabels(input.template?.metadata?.labels)
  const conditions = planFailureCondition(input)
  const { conditions: _old, ...rest } = input.old
  return {
    ...rest,
    replicas: activePods.length,
    fullyLabeledReplicas: activePods.filter((pod) => templateLabels.matches(pod.metadata.labels)).length,
    readyReplicas: activePods.filter((pod) => isPodReady(pod)).length,
    availableReplicas: activePods.filter((pod) => isPodAvailable(pod, minReadySeconds, nowMs)).length,
    ...(terminatingPods === undefined ? {} : { terminatingReplicas: terminatingPods }),
    ...(conditions.length === 0 ? {} : { conditions }),
    ...(input.generation === undefined ? {} : { observedGeneration: input.generation }),
  }
}

/** When a ready pod will have been ready for long enough; undefined when none waits for it. */
export function planAvailabilityCheck(
  activePods: readonly Pod[],
  minReadySeconds: number,
  nowMs: number,
): number | undefined {
  return minReadySeconds === 0 ? undefined : nextAvailableInMs(activePods, minReadySeconds, nowMs)
}

function planFailureCondition({
  old,
  failure,
  activePods,
  replicas,
  nowMs,
}: ReplicaStatusInput): ReplicaSetCondition[] {
  const others = (old.conditions ?? []).filter((condition) => condition.type !== 'ReplicaFailure')
  const known = (old.conditions ?? []).find((condition) => condition.type === 'ReplicaFailure')
  if (failure === undefined) return others
  if (known !== undefined) return old.conditions ?? []
  const reason = activePods.length < replicas ? 'FailedCreate' : 'FailedDelete'
  return [
    ...others,
    { type: 'ReplicaFailure', status: 'True', lastTransitionTime: formatTime(nowMs), reason, message: failure },
  ]
}
