import {
  controllerOf,
  formatKey,
  formatTime,
  isConditionTrue,
  isPodTerminal,
  objectKey,
  parseTime,
  podCondition,
  podRequests,
  tenantOfViewed,
  type KubeObject,
  type Stored,
} from '@centaurus/api'
import { compileRequiredNodes, findUntolerated } from '@centaurus/api/scheduling'
import { GPU_SHARE_RESOURCES } from '@centaurus/api/gpu'
import type { QueuedWorkload } from '@centaurus/api/centaurus/v1'
import type { Node, Pod } from '@centaurus/api/core/v1'
import type { ReconcileResult } from '@centaurus/client'
import { planConsolidation, type ConsolidationNode, type ConsolidationPod, type Movable } from './core/consolidate.ts'
import { readAmounts } from './requests.ts'
import { ownName } from './own-name.ts'
import { BY_TENANT, writeStatus, type SyncDeps } from './sync-deps.ts'
import { isLeaving, isMoving, stateOf } from './workload-status.ts'

/** A workload whose pods have had no node for so long has others moved. */
export const CONSOLIDATE_AFTER_MS = 30_000
/** One that was moved stays where it is for so long. */
const MOVED_REST_MS = 600_000
/** One that is moved starts again after so long, wherever the one is that it made room for. */
const MOVE_MS_MAX = 120_000
const LOOK_AGAIN_MS = 1_000

/**
 * Makes contiguous room: for an admitted workload whose pods no node has room for, though all together have, others of the tenant are stopped and started elsewhere,
 * if all of them fit again beside what is seen here; pods of other partitions are not. Only who can be started again, may be preempted and has no higher priority is moved; quota stays theirs.
 */
export async function consolidate(tenant: string, deps: SyncDeps): Promise<ReconcileResult> {
  const { workloadInformer, clock, events, consolidateAfterMs } = deps
  const all = workloadInformer.byIndex(BY_TENANT, tenant)
  if (all.some(isMoving)) return undefined // one move at a time
  const nowMs = clock.now()
  const waiting = all
    .filter(
      (workload) =>
        stateOf(workload).type === 'admitted' && !isLeaving(workload) && workload.status?.nodes !== undefined,
    )
    .toSorted((a, b) => (b.spec.priority ?? 0) - (a.spec.priority ?? 0))
  for (const workload of waiting) {
    const lost = podsOf(workload, deps).filter((pod) => !pod.spec?.nodeName && !isPodTerminal(pod))
    const sinceMs = Math.max(
      ...lost.map((pod) => parseTime(podCondition(pod, 'PodScheduled')?.lastTransitionTime ?? '') ?? nowMs),
    )
    if (lost.length === 0 || !lost.every(isPlain)) continue
    if (nowMs - sinceMs < consolidateAfterMs) return { requeueAfterMs: sinceMs + consolidateAfterMs - nowMs }
    const nodes = freeNodes(deps)
    const movable = all
      .filter((one) => one !== workload && mayMove(one, workload, { deps, nowMs }))
      .map((one) => toMovable(one, deps))
    const moves = planConsolidation(
      nodes,
      lost.map((pod) => toPod(pod, deps)),
      movable,
    )
    if (moves === undefined || moves.length === 0) continue
    for (const id of moves) {
      const moved = workloadInformer.get(id)
      if (moved === undefined) continue
      const move = { for: ownName(objectKey(workload)), time: formatTime(nowMs), isOver: false }
      const written = await writeStatus(moved, { ...moved.status, move }, deps)
      if (written === undefined) return { requeueAfterMs: LOOK_AGAIN_MS } // it has changed: what was moved already starts again
      const message = `Stopped, to start again on other nodes: ${move.for} needs the room in one place`
      events.record({ ...written, apiVersion: 'centaurus.io/v1', kind: 'QueuedWorkload' } as KubeObject, {
        type: 'Normal',
        reason: 'Moved',
        message,
      })
    }
    return undefined
  }
  return undefined
}

/** Ends a move: once the one that it was for has nodes, or takes too long. Undefined: it goes on, to be looked at again. */
export async function endMove(workload: Stored<QueuedWorkload>, deps: SyncDeps): Promise<ReconcileResult> {
  const { clock, workloadInformer } = deps
  const { move } = workload.status ?? {}
  if (move === undefined) return undefined
  const tenant = tenantOfViewed(workload)
  const other = workloadInformer.byIndex(BY_TENANT, tenant).find((one) => ownName(objectKey(one)) === move.for)
  const needsRoom =
    other !== undefined &&
    stateOf(other).type === 'admitted' &&
    !isLeaving(other) &&
    podsOf(other, deps).some((pod) => !pod.spec?.nodeName && !isPodTerminal(pod))
  const isLate = clock.now() - (parseTime(move.time) ?? 0) > MOVE_MS_MAX
  if (needsRoom && !isLate) return { requeueAfterMs: LOOK_AGAIN_MS }
  await writeStatus(workload, { ...workload.status, move: { ...move, isOver: true } }, deps)
  return undefined
}

function mayMove(
  one: Stored<QueuedWorkload>,
  by: Stored<QueuedWorkload>,
  { deps, nowMs }: { readonly deps: SyncDeps; readonly nowMs: number },
): boolean {
  const { spec, status } = one
  const kind = deps.kinds.find((each) => each.kind === controllerOf(one)?.kind)
  if (stateOf(one).type !== 'admitted' || isLeaving(one) || spec.preemptible === false || kind?.isRestartable !== true)
    return false
  if ((spec.priority ?? 0) > (by.spec.priority ?? 0)) return false
  if (status?.move !== undefined && nowMs - (parseTime(status.move.time) ?? 0) < MOVED_REST_MS) return false
  const own = podsOf(one, deps).filter((pod) => !isPodTerminal(pod))
  return (
    own.length > 0 &&
    own.every((pod) => Boolean(pod.spec?.nodeName) && pod.metadata.deletionTimestamp === undefined && isPlain(pod))
  )
}

/** Where it may run depends on the node alone, and room on what its nodes count. */
function isPlain({ spec }: Readonly<Pod>): boolean {
  const { affinity, topologySpreadConstraints, volumes = [], resourceClaims = [], containers = [] } = spec ?? {}
  const isShare = containers.some(({ resources }) =>
    Object.keys(resources?.limits ?? {}).some((name) => GPU_SHARE_RESOURCES.has(name)),
  )
  const hasPorts = containers.some(({ ports = [] }) => ports.some(({ hostPort }) => hostPort !== undefined))
  const isBoundToOthers = affinity?.podAffinity !== undefined || affinity?.podAntiAffinity !== undefined
  const hasClaims = volumes.some(
    ({ persistentVolumeClaim, ephemeral }) => persistentVolumeClaim !== undefined || ephemeral !== undefined,
  )
  return (
    !isShare &&
    !hasPorts &&
    !isBoundToOthers &&
    !hasClaims &&
    resourceClaims.length === 0 &&
    (topologySpreadConstraints ?? []).length === 0
  )
}

function podsOf(workload: Stored<QueuedWorkload>, { kinds }: SyncDeps): readonly Stored<Pod>[] {
  const reference = controllerOf(workload)
  const kind = kinds.find((each) => each.kind === reference?.kind)
  const owner = kind?.informer.get(formatKey(workload.metadata.namespace ?? '', reference?.name ?? ''))
  return kind === undefined || owner === undefined ? [] : kind.podsOf(owner)
}

function toMovable(workload: Stored<QueuedWorkload>, deps: SyncDeps): Movable {
  const own = podsOf(workload, deps).filter((pod) => !isPodTerminal(pod))
  return {
    id: objectKey(workload),
    priority: workload.spec.priority ?? 0,
    pods: own.map((pod) => ({ ...toPod(pod, deps), node: pod.spec!.nodeName! })),
  }
}

function toPod(pod: Stored<Pod>, { nodeInformer }: SyncDeps): ConsolidationPod {
  const required = compileRequiredNodes(pod.spec!)
  return {
    request: requestOf(pod),
    mayRun(name) {
      const node = nodeInformer.get(name)
      const isAllowed = required?.matches(node?.metadata.labels ?? {}, name) ?? true
      return node !== undefined && isAllowed && tolerates(pod, node)
    },
  }
}

function tolerates({ spec }: Readonly<Pod>, { spec: node }: Readonly<Node>): boolean {
  if (node?.unschedulable === true) return false
  return (
    findUntolerated(node?.taints ?? [], spec?.tolerations ?? [], { effects: ['NoSchedule', 'NoExecute'] }) === undefined
  )
}

function requestOf({ spec }: Readonly<Pod>): ReadonlyMap<string, number> {
  return new Map([...Object.entries(podRequests(spec!)), ['pods', 1]])
}

/** Nodes that are ready, with what no pod of any tenant has. Costs as much as there are pods. */
function freeNodes({ nodeInformer, podInformer }: SyncDeps): ConsolidationNode[] {
  const free = new Map<string, Map<string, number>>()
  for (const { metadata, status } of nodeInformer.list())
    if (isConditionTrue(status?.conditions, 'Ready')) free.set(metadata.name, new Map(readAmounts(status?.allocatable)))
  for (const pod of podInformer.list()) {
    const left = free.get(pod.spec?.nodeName ?? '')
    if (left === undefined || isPodTerminal(pod)) continue
    for (const [resource, amount] of requestOf(pod)) left.set(resource, (left.get(resource) ?? 0) - amount)
  }
  return [...free].map(([name, amounts]) => ({ name, free: amounts }))
}
