import { isPodReady, isPodTerminal, type Stored } from '@centaurus/api'
import type { ControllerRevision, StatefulSet, StatefulSetStatus } from '@centaurus/api/apps/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { isPodAvailable, nextAvailableInMs } from '../frame/pods.ts'
import { templateOfRevision } from '../frame/revisions.ts'
import { scaledValue } from '../frame/rounding.ts'
import { isInRange, ordinalOf, podRevision, startOrdinal, type StatefulPodInit } from './pod.ts'

/** Pods changed in one step of a parallel set. */
const BURST_PODS = 500

export interface StatefulSetPlanInput {
  readonly set: Stored<StatefulSet>
  /** All it controls. */
  readonly pods: readonly Stored<Pod>[]
  /** The template that pods below the partition keep; may be the newest. */
  readonly currentRevision: ControllerRevision
  /** The newest. */
  readonly updateRevision: ControllerRevision
  readonly collisionCount: number
  readonly nowMs: number
}

export interface StatefulSetPlan {
  readonly create: readonly StatefulPodInit[]
  readonly remove: readonly Stored<Pod>[]
  readonly status: StatefulSetStatus
  readonly requeueAfterMs: number | undefined
}

/** One step of a stateful set: one pod at a time in order, or all at once when parallel. Source: updateStatefulSet, stateful_set_control.go v1.37. */
export function planStatefulSet(input: StatefulSetPlanInput): StatefulSetPlan {
  const { set, pods, nowMs } = input
  const changes = set.metadata.deletionTimestamp === undefined ? planPods(input) : NOTHING
  const minReadySeconds = set.spec.minReadySeconds ?? 0
  return {
    create: changes.create.slice(0, BURST_PODS),
    remove: changes.remove.slice(0, BURST_PODS),
    status: planStatus(input, changes),
    requeueAfterMs: minReadySeconds === 0 ? undefined : nextAvailableInMs(pods, minReadySeconds, nowMs),
  }
}

interface Changes {
  readonly create: readonly StatefulPodInit[]
  readonly remove: readonly Stored<Pod>[]
}

const NOTHING: Changes = { create: [], remove: [] }

interface Replica {
  readonly ordinal: number
  readonly pod: Stored<Pod> | undefined
}

function planPods(input: StatefulSetPlanInput): Changes {
  const { set } = input
  const { replicas, condemned } = sortReplicas(input)
  const isOrdered = set.spec.podManagementPolicy !== 'Parallel'
  const strategy = set.spec.updateStrategy?.type
  if (strategy === 'Recreate') {
    const old = [...replicas, ...condemned].flatMap(({ pod }) =>
      pod !== undefined && podRevision(pod) !== nameOfRevision(input.updateRevision) ? [pod] : [],
    )
    if (old.length > 0) return { create: [], remove: old.filter((pod) => !isGoing(pod)) }
  }
  const placed = isOrdered ? placeInOrder(input, replicas, condemned) : placeAtOnce(input, replicas, condemned)
  if (placed !== undefined) return placed
  return strategy === 'OnDelete' || strategy === 'Recreate'
    ? NOTHING
    : { create: [], remove: planUpdate(input, replicas) }
}

function sortReplicas({ set, pods }: StatefulSetPlanInput): { replicas: Replica[]; condemned: Replica[] } {
  const byOrdinal = new Map<number, Stored<Pod>>()
  const condemned: Replica[] = []
  for (const pod of pods) {
    const ordinal = ordinalOf(set, pod)
    if (ordinal === undefined) continue
    if (isInRange(set, ordinal)) byOrdinal.set(ordinal, pod)
    else condemned.push({ ordinal, pod })
  }
  const start = startOrdinal(set)
  const replicas = Array.from({ length: set.spec.replicas ?? 1 }, (_, i): Replica => ({
    ordinal: start + i,
    pod: byOrdinal.get(start + i),
  }))
  return { replicas, condemned: condemned.toSorted((a, b) => b.ordinal - a.ordinal) }
}

/** The first thing that is not as it should be; undefined when all pods are there and available, and none too many. */
function placeInOrder(
  input: StatefulSetPlanInput,
  replicas: readonly Replica[],
  condemned: readonly Replica[],
): Changes | undefined {
  for (const replica of replicas) {
    const { pod } = replica
    if (pod === undefined) return { create: [podInit(input, replica.ordinal)], remove: [] }
    if (isPodTerminal(pod)) return { create: [], remove: isGoing(pod) ? [] : [pod] }
    if (isGoing(pod) || !isAvailable(input, pod)) return NOTHING
  }
  const firstUnavailable = [...replicas, ...condemned.toReversed()].find(
    ({ pod }) => pod !== undefined && (isGoing(pod) || !isAvailable(input, pod)),
  )
  const last = condemned[0]?.pod
  if (last === undefined) return undefined
  if (isGoing(last)) return NOTHING
  // One that is not available waits for the others, unless it is the only trouble.
  const mayGo = isAvailable(input, last) || firstUnavailable?.pod === last
  return mayGo ? { create: [], remove: [last] } : NOTHING
}

function placeAtOnce(
  input: StatefulSetPlanInput,
  replicas: readonly Replica[],
  condemned: readonly Replica[],
): Changes | undefined {
  const create = replicas.filter(({ pod }) => pod === undefined).map(({ ordinal }) => podInit(input, ordinal))
  const ended = replicas.flatMap(({ pod }) => (pod !== undefined && isPodTerminal(pod) && !isGoing(pod) ? [pod] : []))
  const surplus = condemned.flatMap(({ pod }) => (pod !== undefined && !isGoing(pod) ? [pod] : []))
  const remove = [...ended, ...surplus]
  return create.length + remove.length === 0 ? undefined : { create, remove }
}

function podInit({ set, currentRevision, updateRevision }: StatefulSetPlanInput, ordinal: number): StatefulPodInit {
  const rolling = set.spec.updateStrategy?.rollingUpdate
  const isRolling = (set.spec.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate'
  const kept = rolling === undefined ? (isRolling ? (set.status?.currentReplicas ?? 0) : 0) : (rolling.partition ?? 0)
  const revision = ordinal < startOrdinal(set) + kept ? currentRevision : updateRevision
  return { ordinal, template: templateOfRevision(revision), revision: nameOfRevision(revision) }
}

/** Pods of older templates from the last ordinal down to the partition, never more unavailable at once than allowed. */
function planUpdate(input: StatefulSetPlanInput, replicas: readonly Replica[]): Stored<Pod>[] {
  const { set, updateRevision } = input
  const rolling = set.spec.updateStrategy?.rollingUpdate
  const allowed = Math.max(1, scaledValue(rolling?.maxUnavailable ?? 1, replicas.length, { round: 'up' }))
  const isBad = ({ pod }: Replica): boolean => pod === undefined || isGoing(pod) || !isAvailable(input, pod)
  const unavailable = replicas.filter(isBad).length
  const isOutdated = ({ pod }: Replica): boolean =>
    pod !== undefined && !isGoing(pod) && podRevision(pod) !== nameOfRevision(updateRevision)
  const outdated = replicas
    .slice(rolling?.partition ?? 0)
    .filter(isOutdated)
    .toReversed()
  const isParallel = set.spec.podManagementPolicy === 'Parallel'
  const broken = isParallel ? outdated.filter(isBad) : []
  const healthy = isParallel ? outdated.filter((replica) => !isBad(replica)) : outdated
  return [...broken, ...healthy.slice(0, Math.max(0, allowed - unavailable))].map(({ pod }) => pod!)
}

function isGoing(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined
}

function isAvailable({ set, nowMs }: StatefulSetPlanInput, pod: Pod): boolean {
  return isPodAvailable(pod, set.spec.minReadySeconds ?? 0, nowMs)
}

export function nameOfRevision(revision: ControllerRevision): string {
  return revision.metadata.name ?? ''
}

function planStatus(input: StatefulSetPlanInput, { create, remove }: Changes): StatefulSetStatus {
  const { set, pods, currentRevision, updateRevision, collisionCount } = input
  const current = nameOfRevision(currentRevision)
  const update = nameOfRevision(updateRevision)
  const standing = pods.filter((pod) => !isGoing(pod) && !remove.includes(pod)).map(podRevision)
  const revisions = [...standing, ...create.map(({ revision }) => revision)]
  const ready = pods.filter((pod) => pod.status?.phase === 'Running' && isPodReady(pod))
  const count = (name: string): number => revisions.filter((revision) => revision === name).length
  const { conditions } = set.status ?? {}
  const status: StatefulSetStatus = {
    ...(set.metadata.generation === undefined ? {} : { observedGeneration: set.metadata.generation }),
    replicas: pods.length + create.length,
    readyReplicas: ready.length,
    availableReplicas: ready.filter((pod) => isAvailable(input, pod)).length,
    currentReplicas: count(current),
    updatedReplicas: count(update),
    currentRevision: current,
    updateRevision: update,
    collisionCount,
    ...(conditions === undefined ? {} : { conditions }),
  }
  return completeUpdate(set, status)
}

/** The newest template becomes the current one when all pods have it and are ready. Source: completeUpdate v1.37. */
function completeUpdate({ spec }: StatefulSet, status: StatefulSetStatus): StatefulSetStatus {
  const type = spec.updateStrategy?.type ?? 'RollingUpdate'
  const isComplete =
    status.updatedReplicas === status.replicas && status.readyReplicas === status.replicas && type !== 'OnDelete'
  return isComplete
    ? { ...status, currentReplicas: status.updatedReplicas, currentRevision: status.updateRevision }
    : status
}
