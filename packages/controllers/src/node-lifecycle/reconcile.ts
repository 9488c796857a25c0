import { formatKey, isStatus, type Stored } from '@centaurus/api'
import { leases, type Lease } from '@centaurus/api/coordination/v1'
import { nodes, type Node, type NodeCondition } from '@centaurus/api/core/v1'
import {
  compareResourceVersions,
  type EventRecorder,
  type Informer,
  type ReconcileResult,
  type RunningController,
} from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { planUnknownConditions, readyStatus, type GracePeriods } from './health.ts'
import { planNodeLabels } from './labels.ts'
import { NodeMemory } from './lifecycle.ts'
import { planNodeTaints, type EvictionMode } from './taints.ts'
import type { ZoneRates } from './zones.ts'

const LEASE_NAMESPACE = 'kube-node-lease'
/** Keys that are not nodes; no object's key starts with a slash. */
const MONITOR_KEY = '/monitor'
const EVICT_KEY = '/evict'

/** Source of the defaults: pkg/controller/nodelifecycle/config/v1alpha1 and cmd/kube-controller-manager options v1.37. */
const DEFAULTS = {
  monitorPeriodMs: 5_000,
  monitorGraceMs: 50_000,
  startupGraceMs: 60_000,
  evictionsPerSecond: 0.1,
  secondaryEvictionsPerSecond: 0.01,
  largeZoneNodes: 50,
  unhealthyZoneThreshold: 0.55,
}

export interface NodeLifecycleOptions extends ControllerDeps, Partial<GracePeriods & ZoneRates> {
  /** Between two looks at all nodes. */
  readonly monitorPeriodMs?: number | undefined
}

interface Lifecycle {
  readonly nodeCache: Informer<Node>
  readonly leaseCache: Informer<Lease>
  readonly memory: NodeMemory
  readonly monitorPeriodMs: number
  /** A version of a lease that the server has and the cache has not: until then silence means nothing. */
  awaitedVersion: string | undefined
  /** When this controller last did anything, on the monotonic clock. */
  awakeMs: number | undefined
}

/** Watches the nodes' signs of life: tells who is silent, taints nodes by their conditions, and starts evictions zone by zone. */
export function startNodeLifecycleController(options: NodeLifecycleOptions): RunningController {
  const settings = { ...DEFAULTS, ...options }
  const lifecycle: Lifecycle = {
    nodeCache: options.informers.informer(nodes),
    leaseCache: options.informers.informer(leases, { namespace: LEASE_NAMESPACE }),
    memory: new NodeMemory(settings),
    monitorPeriodMs: settings.monitorPeriodMs ?? DEFAULTS.monitorPeriodMs,
    awaitedVersion: undefined,
    awakeMs: undefined,
  }
  const { nodeCache, leaseCache, memory } = lifecycle
  return startReconciler(options, {
    name: 'node-lifecycle-controller',
    component: 'node-controller',
    workers: 8,
    informer: nodeCache,
    needs: [leaseCache],
    watch: ({ queue, clock, events }) => {
      queue.add(MONITOR_KEY)
      const observe = (name: string): void => observeNode(name, lifecycle, clock.monotonicMs())
      const onNode = ({ metadata }: Stored<Node>): void => {
        observe(metadata.name)
        queue.add(metadata.name)
      }
      const onNodeGone = (node: Stored<Node>): void => {
        const { name } = node.metadata
        if (memory.knows(name)) recordNode(events, node, 'RemovingNode', `Removing Node ${name} from Controller`)
        memory.forget(name)
        queue.add(name)
      }
      const onLease = ({ metadata }: Stored<Lease>): void => observe(metadata.name)
      return [
        nodeCache.addHandler({ onAdd: onNode, onUpdate: onNode, onDelete: onNodeGone }),
        leaseCache.addHandler({ onAdd: onLease, onUpdate: onLease }),
      ]
    },
    reconcile(key, context) {
      excuseAbsence(lifecycle, context.clock.monotonicMs())
      if (key === MONITOR_KEY) return monitor(context, lifecycle)
      return key === EVICT_KEY ? evict(context, lifecycle) : reconcileNode(key, context, lifecycle)
    },
  })
}

/** A sign of life counts when it arrives. */
function observeNode(name: string, { nodeCache, leaseCache, memory }: Lifecycle, nowMs: number): void {
  const node = nodeCache.get(name)
  if (node !== undefined && memory.knows(name)) {
    memory.observe(node, leaseCache.get(formatKey(LEASE_NAMESPACE, name)), nowMs)
  }
}

/**
 * A process that was frozen for a while wakes up with nodes that it has not heard for as long, and would evict the pods of the first one before
 * the second has renewed its lease. It looks at nodes each period: what is much longer is its own silence.
 */
function excuseAbsence(lifecycle: Lifecycle, nowMs: number): void {
  const { awakeMs = nowMs, memory, monitorPeriodMs } = lifecycle
  lifecycle.awakeMs = nowMs
  const absentMs = nowMs - awakeMs - monitorPeriodMs
  if (absentMs > monitorPeriodMs) memory.excuse(absentMs, nowMs)
}

/** A look at all nodes, in memory: who became silent, and what state the zones are in. */
async function monitor({ queue, clock, events }: ReconcilerContext, lifecycle: Lifecycle): Promise<ReconcileResult> {
  const { nodeCache, leaseCache, memory, monitorPeriodMs } = lifecycle
  const nowMs = clock.monotonicMs()
  const all = nodeCache.list()
  for (const node of all) {
    const { name } = node.metadata
    if (!memory.knows(name)) recordNode(events, node, 'RegisteredNode', `Registered Node ${name} in Controller`)
    memory.observe(node, leaseCache.get(formatKey(LEASE_NAMESPACE, name)), nowMs)
    if (memory.isSilent(name, nowMs)) queue.add(name)
  }
  if (memory.judgeZones(all, nowMs)) for (const node of all) queue.add(node.metadata.name)
  queue.add(EVICT_KEY)
  return { requeueAfterMs: monitorPeriodMs }
}

/** Gives nodes their NoExecute taint as fast as their zones allow. A node that fails has lost its turn, and waits for the next. */
async function evict(context: ReconcilerContext, { nodeCache, memory }: Lifecycle): Promise<ReconcileResult> {
  const { due, waitMs } = memory.takeTurns((name) => nodeCache.get(name), context.clock.monotonicMs())
  for (const name of due) {
    const node = nodeCache.get(name)
    if (node !== undefined) await writeTaints(context, node, { nodeCache, mode: 'add' })
  }
  return waitMs === undefined ? undefined : { requeueAfterMs: waitMs }
}

async function reconcileNode(name: string, context: ReconcilerContext, lifecycle: Lifecycle): Promise<ReconcileResult> {
  const { nodeCache, memory, monitorPeriodMs } = lifecycle
  const cached = nodeCache.get(name)
  if (cached === undefined) return context.writes.forget(name)
  let node = cached
  const isSilent = memory.isSilent(name, context.clock.monotonicMs())
  const conditions = isSilent ? planUnknownConditions(node, context.clock.now()) : undefined
  if (conditions !== undefined) {
    if (!(await isCacheCurrent(name, context, lifecycle))) return { requeueAfterMs: monitorPeriodMs }
    node = await writeConditions(context, node, { conditions, nodeCache }).catch((error: unknown) => {
      // What can't be written now, as when the store is full, nodes can't write either.
      if (!isStatus(error, 'Conflict') && !isStatus(error, 'NotFound')) {
        memory.excuse(Number.POSITIVE_INFINITY, context.clock.monotonicMs())
      }
      throw error
    })
  }
  const mode = memory.isAllDown ? 'remove' : 'keep'
  node = await writeTaints(context, node, { nodeCache, mode })
  const labels = planNodeLabels(node)
  if (labels !== undefined) {
    const body = { metadata: { labels } }
    context.writes.wrote(name, nodeCache, await context.client.patch(nodes, { name }, { type: 'merge', body }))
  }
  if (!memory.isAllDown) memory.wait(node)
  return undefined
}

/**
 * Silence means something only when the cache has heard all there was. Asks the server for the lease before a node is called silent, and
 * trusts no silence until the cache has what the server has; an error is no answer.
 * Source: NodeControllerLeaseCircuitBreaker, node_lifecycle_controller.go v1.37.
 */
async function isCacheCurrent(name: string, { client }: ReconcilerContext, lifecycle: Lifecycle): Promise<boolean> {
  const { leaseCache, awaitedVersion } = lifecycle
  if (awaitedVersion !== undefined && compareResourceVersions(leaseCache.resourceVersion, awaitedVersion) < 0)
    return false
  lifecycle.awaitedVersion = undefined
  const cached = leaseCache.get(formatKey(LEASE_NAMESPACE, name))
  try {
    const { metadata } = await client.get(leases, { namespace: LEASE_NAMESPACE, name })
    if (metadata.resourceVersion === cached?.metadata.resourceVersion) return true
    lifecycle.awaitedVersion = metadata.resourceVersion
    return false
  } catch (error) {
    if (isStatus(error, 'NotFound')) return true
    throw error
  }
}

/** Tells that the agent is silent. Fails with a conflict when it was not, after all. */
async function writeConditions(
  { client, events, writes }: ReconcilerContext,
  node: Stored<Node>,
  { conditions, nodeCache }: { readonly conditions: NodeCondition[]; readonly nodeCache: Informer<Node> },
): Promise<Stored<Node>> {
  const written = await client.updateStatus(nodes, { ...node, status: { ...node.status, conditions } })
  writes.wrote(node.metadata.name, nodeCache, written)
  if (readyStatus(node) === 'True') {
    const message = `Node ${node.metadata.name} status is now: NodeNotReady`
    events.record(node, { type: 'Normal', reason: 'NodeNotReady', message })
  }
  return written
}

async function writeTaints(
  { client, clock, writes }: ReconcilerContext,
  node: Stored<Node>,
  { nodeCache, mode }: { readonly nodeCache: Informer<Node>; readonly mode: EvictionMode },
): Promise<Stored<Node>> {
  const taints = planNodeTaints(node, mode, clock.now())
  if (taints === undefined) return node
  const { name, resourceVersion } = node.metadata
  // The list is replaced as a whole: the version keeps a taint that someone else adds meanwhile.
  const body = { metadata: { resourceVersion }, spec: { taints } }
  const written = await client.patch(nodes, { name }, { type: 'merge', body })
  writes.wrote(name, nodeCache, written)
  return written
}

function recordNode(events: EventRecorder, node: Stored<Node>, reason: string, text: string): void {
  events.record(node, { type: 'Normal', reason, message: `Node ${node.metadata.name} event: ${text}` })
}
