import { isPodReady, type Stored } from '@centaurus/api'
import type { DaemonSet, DaemonSetStatus } from '@centaurus/api/apps/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { isPodAvailable, nextAvailableInMs } from '../frame/pods.ts'
import { scaledValue } from '../frame/rounding.ts'
import { daemonTolerations, fitNode, isUpdated, targetNode, type NodeFit } from './pod.ts'
import { isGoing, type DaemonNode, type DaemonSetPlanInput } from './input.ts'
import { planRollingUpdate } from './rolling.ts'

/** Source: BurstReplicas, pkg/controller/daemon v1.37. */
const BURST_PODS = 250

export interface PodRemoval {
  readonly pod: Stored<Pod>
  /** Told in an event: the pod ended although it should not. */
  readonly ended?: 'failed' | 'succeeded' | undefined
}

export interface DaemonSetPlan {
  /** Names of nodes that need a pod. */
  readonly create: readonly string[]
  readonly remove: readonly PodRemoval[]
  readonly status: DaemonSetStatus
  readonly requeueAfterMs: number | undefined
}

/** Which nodes get a daemon, which daemons go, and how it stands. Source: pkg/controller/daemon/daemon_controller.go v1.37. */
export function planDaemonSet(input: DaemonSetPlanInput): DaemonSetPlan {
  const { daemonSet, nowMs } = input
  const nodes = describeNodes(input)
  const placed = planPlacement(input, nodes)
  const isRolling = daemonSet.spec.updateStrategy?.type !== 'OnDelete'
  // What placement changes comes first; the update looks at what results from it.
  const update =
    isRolling && placed.create.length + placed.remove.length === 0
      ? planRollingUpdate(input, nodes)
      : { create: [], remove: [] }
  const minReadySeconds = daemonSet.spec.minReadySeconds ?? 0
  const waits = [
    placed.retryMs,
    minReadySeconds === 0 ? undefined : nextAvailableInMs(input.pods, minReadySeconds, nowMs),
  ]
  return {
    create: [...placed.create, ...update.create].slice(0, BURST_PODS),
    remove: [...placed.remove, ...update.remove.map((pod) => ({ pod }))].slice(0, BURST_PODS),
    status: planStatus(input, nodes),
    requeueAfterMs: waits.reduce(
      (least, wait) => (wait === undefined ? least : Math.min(least ?? wait, wait)),
      undefined,
    ),
  }
}

function describeNodes({ daemonSet, nodes, pods }: DaemonSetPlanInput): DaemonNode[] {
  const byNode = Map.groupBy(pods, targetNode)
  const tolerations = daemonTolerations(daemonSet.spec.template.spec!)
  const known = nodes.map((node): DaemonNode => {
    const { name } = node.metadata
    return { name, fit: fitNode(daemonSet, tolerations, node), pods: sortPods(byNode.get(name) ?? []) }
  })
  const names = new Set(known.map(({ name }) => name))
  const gone = [...byNode].filter(([name]) => !names.has(name))
  return [...known, ...gone.map(([name, own]): DaemonNode => ({ name, fit: GONE, pods: sortPods(own) }))]
}

const GONE: NodeFit = { shouldRun: false, shouldContinueRunning: false }

function sortPods(pods: readonly Stored<Pod>[]): Stored<Pod>[] {
  return pods.toSorted(
    (a, b) =>
      Number(Boolean(b.spec?.nodeName)) - Number(Boolean(a.spec?.nodeName)) ||
      compareText(a.metadata.creationTimestamp, b.metadata.creationTimestamp) ||
      compareText(a.metadata.name, b.metadata.name),
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

interface Placement {
  readonly create: string[]
  readonly remove: PodRemoval[]
  retryMs: number | undefined
}

function planPlacement(input: DaemonSetPlanInput, nodes: readonly DaemonNode[]): Placement {
  const placement: Placement = { create: [], remove: [], retryMs: undefined }
  const exists = new Set(input.nodes.map(({ metadata }) => metadata.name))
  for (const node of nodes) {
    if (exists.has(node.name)) placeOn(node, input, placement)
    // A pod that waits for a node that is gone would wait for ever; one that ran there is the pod collector's.
    else if (input.isNodeListComplete)
      for (const pod of node.pods) if (!pod.spec?.nodeName && !isGoing(pod)) placement.remove.push({ pod })
  }
  return placement
}

function placeOn(node: DaemonNode, input: DaemonSetPlanInput, placement: Placement): void {
  const { shouldRun, shouldContinueRunning } = node.fit
  if (shouldRun && node.pods.length === 0) return void placement.create.push(node.name)
  if (!shouldContinueRunning) {
    for (const pod of node.pods) if (!isGoing(pod) && input.isNodeKnown(pod)) placement.remove.push({ pod })
    return
  }
  const running: Stored<Pod>[] = []
  for (const pod of node.pods) {
    if (isGoing(pod)) continue
    const phase = pod.status?.phase
    if (phase === 'Succeeded') placement.remove.push({ pod, ended: 'succeeded' })
    else if (phase !== 'Failed') running.push(pod)
    else {
      const waitMs = input.backoffMs(node.name)
      if (waitMs === 0) placement.remove.push({ pod, ended: 'failed' })
      else placement.retryMs = Math.min(placement.retryMs ?? waitMs, waitMs)
    }
  }
  if (!allowsSurge(input.daemonSet)) placement.remove.push(...running.slice(1).map((pod) => ({ pod })))
  else if (running.length === 0 && shouldRun) placement.create.push(node.name)
  else placement.remove.push(...planSurplus(running, input).map((pod) => ({ pod })))
}

/** With surge a node may have one old and one new pod; the old goes when the new is available, or when it does not serve anyway. */
function planSurplus(running: readonly Stored<Pod>[], { daemonSet, hash, nowMs }: DaemonSetPlanInput): Stored<Pod>[] {
  if (running.length <= 1) return []
  const isNew = (pod: Pod): boolean => pod.metadata.labels?.['controller-revision-hash'] === hash
  const newest = running.find(isNew)
  const old = running.find((pod) => !isNew(pod))
  const surplus = running.filter((pod) => pod !== newest && pod !== old)
  if (newest === undefined || old === undefined) return surplus
  const isReplaced = !isPodReady(old) || isPodAvailable(newest, daemonSet.spec.minReadySeconds ?? 0, nowMs)
  return isReplaced ? [...surplus, old] : surplus
}

function allowsSurge({ spec }: DaemonSet): boolean {
  if (spec.updateStrategy?.type === 'OnDelete') return false
  return scaledValue(spec.updateStrategy?.rollingUpdate?.maxSurge, 1, { round: 'up' }) > 0
}

function planStatus({ daemonSet, hash, nowMs }: DaemonSetPlanInput, nodes: readonly DaemonNode[]): DaemonSetStatus {
  const { collisionCount, conditions } = daemonSet.status ?? {}
  const { generation } = daemonSet.metadata
  const desired = nodes.filter(({ fit }) => fit.shouldRun)
  const first = desired.flatMap(({ pods }) => pods[0] ?? [])
  const available = first.filter((pod) => isPodAvailable(pod, daemonSet.spec.minReadySeconds ?? 0, nowMs)).length
  return {
    currentNumberScheduled: first.length,
    numberMisscheduled: nodes.filter(({ fit, pods }) => !fit.shouldRun && fit !== GONE && pods.length > 0).length,
    desiredNumberScheduled: desired.length,
    numberReady: first.filter((pod) => isPodReady(pod)).length,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    updatedNumberScheduled: first.filter((pod) => isUpdated(daemonSet, pod, hash)).length,
    numberAvailable: available,
    numberUnavailable: desired.length - available,
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(conditions === undefined ? {} : { conditions }),
  }
}
