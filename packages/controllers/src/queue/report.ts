import {
  controllerOf,
  deepEqual,
  formatKey,
  formatTime,
  isDeleting,
  isStatus,
  objectKey,
  setCondition,
  tenantOfViewed,
  type Stored,
} from '@centaurus/api'
import {
  QUEUE_FINALIZER,
  queues,
  type NodesStatus,
  type PendingStatus,
  type Queue,
  type QueuedWorkload,
  type QueueStatus,
} from '@centaurus/api/centaurus/v1'
import type { ReconcileResult } from '@centaurus/client'
import { explain, positionsOf, type KnownReasons } from './core/explain.ts'
import type { QueueNode } from './core/queue-node.ts'
import { unschedulableMessage } from './job-owner.ts'
import { formatAmount } from './requests.ts'
import { ownName } from './own-name.ts'
import { BY_TENANT, writeStatus, type Sweep, type SyncDeps } from './sync-deps.ts'
import { stateOf } from './workload-status.ts'

const REPORTS_AT_ONCE = 16
/** Workloads that are looked at in one go, before others of the process get their turn. */
const LOOKED_MAX = 500
/** Exact positions, and the step of those beyond. */
const EXACT_POSITIONS = 100
/** Between two of these, and between a queue and the one that it is in. */
const NEXT_MS = 20
const AGAIN_MS = 1_000

/** Who only moved up is told so this often. */
const POSITIONS_MS = 10_000

/** Tells workloads of a tenant why they wait, and why their pods have no node; a part of them in each call, until all have been looked at. */
export async function reportWorkloads(tenant: string, deps: SyncDeps): Promise<ReconcileResult> {
  const { workloadInformer } = deps
  const sweep = sweepOf(tenant, deps)
  const known: KnownReasons = new Map()
  const stale: { readonly workload: Stored<QueuedWorkload>; readonly status: QueuedWorkload['status'] }[] = []
  for (const id of sweep.ids.slice(sweep.next, sweep.next + LOOKED_MAX)) {
    const workload = workloadInformer.get(id)
    if (workload === undefined) continue
    const status = reportedStatus(workload, { sweep, known, deps })
    if (status?.nodes !== undefined) deps.queue.addAfter(`consolidate ${tenant}`, deps.consolidateAfterMs)
    if (!isTold(workload.status, status, sweep)) stale.push({ workload, status })
  }
  sweep.next += LOOKED_MAX
  for (let i = 0; i < stale.length; i += REPORTS_AT_ONCE)
    await Promise.all(
      stale.slice(i, i + REPORTS_AT_ONCE).map(({ workload, status }) => writeStatus(workload, status!, deps)),
    )
  if (sweep.next < sweep.ids.length) return { requeueAfterMs: NEXT_MS }
  deps.sweeps.delete(tenant)
  return sweep.isFull ? undefined : { requeueAfterMs: POSITIONS_MS }
}

function sweepOf(tenant: string, { workloadInformer, sweeps, fullSweepsMs, clock }: SyncDeps): Sweep {
  const known = sweeps.get(tenant)
  if (known !== undefined) return known
  const nowMs = clock.monotonicMs()
  const isFull = nowMs - (fullSweepsMs.get(tenant) ?? -POSITIONS_MS) >= POSITIONS_MS
  if (isFull) fullSweepsMs.set(tenant, nowMs)
  const ids = workloadInformer.byIndex(BY_TENANT, tenant).map(objectKey)
  const sweep = { ids, isFull, positions: new Map(), next: 0 }
  sweeps.set(tenant, sweep)
  return sweep
}

function isTold(old: QueuedWorkload['status'], now: QueuedWorkload['status'], { isFull }: Sweep): boolean {
  if (isFull || old?.pending === undefined || now?.pending === undefined) return deepEqual(now, old ?? {})
  const { position } = old.pending
  return deepEqual({ ...now, pending: { ...now.pending, position } }, { ...old, pending: { ...old.pending, position } })
}

interface Report {
  readonly sweep: Sweep
  readonly known: KnownReasons
  readonly deps: SyncDeps
}

function reportedStatus(workload: Stored<QueuedWorkload>, report: Report): QueuedWorkload['status'] {
  const { pending: _, nodes: __, ...rest } = workload.status ?? {}
  const pending = pendingOf(workload, report)
  const nodes = nodesOf(workload, report.deps)
  return { ...rest, ...(pending === undefined ? {} : { pending }), ...(nodes === undefined ? {} : { nodes }) }
}

function positionOf(id: string, { positions }: Sweep, leaf: QueueNode | undefined): number | undefined {
  if (leaf === undefined) return undefined
  if (!positions.has(leaf)) positions.set(leaf, positionsOf(leaf))
  return positions.get(leaf)!.get(id)
}

function pendingOf(workload: Stored<QueuedWorkload>, { sweep, known, deps }: Report): PendingStatus | undefined {
  const state = stateOf(workload)
  if (state.type === 'inactive') return { reason: 'Inactive', message: 'It is not active: spec.active is false' }
  if (state.type !== 'waiting') return undefined
  const core = deps.tenantOf(tenantOfViewed(workload)).queues
  const id = objectKey(workload)
  const position = positionOf(id, sweep, core.forest.queueOfPending.get(id))
  const found = explain(core, id, { format: formatAmount, nameOf: ownName, position, known })
  if (found === undefined) {
    if (core.isRunning(id)) return workload.status?.pending
    return { reason: 'BackOff', message: `It was evicted, and waits until ${formatTime(state.atMs)}` }
  }
  const { reason, message, lacks, ends } = found
  return {
    reason,
    message,
    ...(position === undefined ? {} : { position: coarse(position) }),
    ...(lacks.length === 0
      ? {}
      : {
          lacks: lacks.map(({ queue, resource, needed, available, limit }) => ({
            queue: ownName(queue),
            resource,
            needed: formatAmount(resource, needed),
            available: formatAmount(resource, available),
            limit: formatAmount(resource, limit),
          })),
        }),
    ...(ends.length === 0 ? {} : { ends: ends.map(ownName) }),
  }
}

/** So that one admission does not have all of a long queue written again. */
function coarse(position: number): number {
  return position <= EXACT_POSITIONS ? position : Math.ceil(position / EXACT_POSITIONS) * EXACT_POSITIONS
}

/** Of an admitted workload: its pods that the scheduler found no node for. */
function nodesOf(workload: Stored<QueuedWorkload>, { kinds }: SyncDeps): NodesStatus | undefined {
  if (stateOf(workload).type !== 'admitted') return undefined
  const reference = controllerOf(workload)
  const kind = kinds.find((each) => each.kind === reference?.kind)
  const owner = kind?.informer.get(formatKey(workload.metadata.namespace ?? '', reference?.name ?? ''))
  if (kind === undefined || owner === undefined) return undefined
  const messages = kind.podsOf(owner).flatMap((pod) => unschedulableMessage(pod) ?? [])
  // Of a gang, those for which there would be a node are only told that others have none.
  const message = messages.find((each) => parseNodeReasons(each).length > 0) ?? messages[0]
  if (message === undefined) return undefined
  const reasons = parseNodeReasons(message)
  return { pods: messages.length, message, ...(reasons.length === 0 ? {} : { reasons }) }
}

/** Of a message such as `0/5 nodes are available: 3 Insufficient cpu, 2 node(s) were unschedulable. preemption: …`. */
export function parseNodeReasons(message: string): { reason: string; nodes: number }[] {
  const list = /\d+ nodes are available: (.*?)\.(?: preemption:|$| )/.exec(message)?.[1] ?? ''
  return list.split(', ').flatMap((part) => {
    const [, count, reason] = /^(\d+) (.+)$/.exec(part) ?? []
    return count === undefined || reason === undefined ? [] : [{ reason, nodes: Number(count) }]
  })
}

/** Tells a queue what is in it, and lets it go when it is deleted and nothing that it admitted runs. */
export async function reportQueue(name: string, deps: SyncDeps): Promise<ReconcileResult> {
  const { queueInformer, tenantOf, client, clock } = deps
  const queue = queueInformer.get(name)
  if (queue === undefined) return undefined
  const { forest } = tenantOf(tenantOfViewed(queue)).queues
  const node = forest.anyNodes.get(name)
  const status = statusOf(queue, { node, problem: forest.problems.get(name), nowMs: clock.now() })
  const isFree = isDeleting(queue) && (node === undefined || running(node) === 0)
  try {
    if (isFree && queue.metadata.finalizers?.includes(QUEUE_FINALIZER) === true) {
      const finalizers = queue.metadata.finalizers.filter((finalizer) => finalizer !== QUEUE_FINALIZER)
      await client.update(queues, { ...queue, metadata: { ...queue.metadata, finalizers } })
    } else if (!deepEqual(queue.status ?? {}, status)) await client.updateStatus(queues, { ...queue, status })
  } catch (error) {
    if (!isStatus(error, 'Conflict') && !isStatus(error, 'NotFound')) throw error // its event comes
  }
  if (node?.parent !== undefined) deps.queue.addAfter(`queue ${node.parent.name}`, AGAIN_MS)
  return undefined
}

function statusOf(
  queue: Stored<Queue>,
  {
    node,
    problem,
    nowMs,
  }: { readonly node: QueueNode | undefined; readonly problem: string | undefined; readonly nowMs: number },
): QueueStatus {
  const levels = node === undefined ? [] : [...node.levels].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const resources = levels.map(([resource, { subtree, usage, reserved }]) => ({
    name: resource,
    nominal: formatAmount(resource, subtree),
    used: formatAmount(resource, usage - reserved),
    borrowed: formatAmount(resource, Math.max(0, usage - reserved - subtree)),
  }))
  const [reason, message] = activity(queue, node, problem)
  const status = reason === 'Ready' ? 'True' : 'False'
  const condition = { type: 'Active', status, reason, message, lastTransitionTime: formatTime(nowMs) }
  return {
    pendingWorkloads: node === undefined ? 0 : pendingBelow(node),
    admittedWorkloads: node === undefined ? 0 : running(node),
    used: resources.map(({ name, used, nominal }) => `${name} ${used}/${nominal}`).join(', '),
    resources,
    conditions: setCondition(queue.status?.conditions, condition, nowMs),
  }
}

function activity(queue: Stored<Queue>, node: QueueNode | undefined, problem: string | undefined): [string, string] {
  if (isDeleting(queue)) return ['Terminating', 'It is deleted when nothing that it admitted runs']
  if (problem !== undefined) return ['Invalid', `It admits nothing: ${problem}`]
  if (node?.isStopped === true) return ['Stopped', 'It, or a queue that it is in, has a stopPolicy']
  return ['Ready', 'It admits workloads']
}

function pendingBelow(node: QueueNode): number {
  return node.children.reduce((sum, child) => sum + pendingBelow(child), node.pending.size)
}

function running(node: QueueNode): number {
  return node.children.reduce((sum, child) => sum + running(child), node.running.size)
}
