import { formatTime, isStatus, type Stored } from '@centaurus/api'
import { leases, type Lease } from '@centaurus/api/coordination/v1'
import { nodes, pods, type Node, type Pod } from '@centaurus/api/core/v1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { addNodeIndex, podsOnNode } from '../endpoint-slice/reconcile.ts'
import { nameOf } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { graceMs, needsEviction, planTaints, planUnknownConditions, readyStatus, type EvictionPolicy } from './plan.ts'
import { Zones, zoneOf } from './zones.ts'

const LEASE_NAMESPACE = 'kube-node-lease'

/** Signs of life of one node, timed by our own clock: clocks of nodes are not to be trusted. */
interface Health {
  seenAtMs: number
  renewTime: string
  heartbeat: string
}

/** Finds out which nodes are silent, says so in their conditions, taints them, and marks their pods as not ready. */
export function startNodeLifecycleController(deps: ControllerDeps): RunningController {
  const nodeCache = deps.informers.informer(nodes)
  const leaseCache = deps.informers.informer(leases, { namespace: LEASE_NAMESPACE })
  const podCache = deps.informers.informer(pods)
  addNodeIndex(podCache)
  const watcher = new NodeWatcher(deps, { nodeCache, podCache })
  return startReconciler(deps, {
    name: 'node-lifecycle-controller',
    component: 'node-controller',
    informer: nodeCache,
    needs: [leaseCache, podCache],
    watch: (context) => [
      nodeCache.addHandler({
        onAdd: (node) => watcher.nodeSeen(node, context),
        onUpdate: (node) => watcher.nodeSeen(node, context),
        onDelete: (node) => watcher.nodeGone(node),
      }),
      leaseCache.addHandler({
        onAdd: (lease) => watcher.leaseSeen(lease, context),
        onUpdate: (lease) => watcher.leaseSeen(lease, context),
      }),
    ],
    reconcile: (name, context) => watcher.reconcile(name, context),
  })
}

interface Caches {
  readonly nodeCache: Informer<Node>
  readonly podCache: Informer<Pod>
}

class NodeWatcher {
  readonly #clock: ControllerDeps['clock']
  readonly #caches: Caches
  readonly #health = new Map<string, Health>()
  readonly #zones = new Zones()
  #wasEverythingDown = false

  constructor({ clock }: ControllerDeps, caches: Caches) {
    this.#clock = clock
    this.#caches = caches
  }

  nodeSeen(node: Stored<Node>, { queue }: ReconcilerContext): void {
    const { name } = node.metadata
    const heartbeat = node.status?.conditions?.find(({ type }) => type === 'Ready')?.lastHeartbeatTime ?? ''
    const health = this.#healthOf(name)
    if (health.heartbeat !== heartbeat) this.#alive(health)
    health.heartbeat = heartbeat
    this.#zones.put(name, zoneOf(node), { isReady: readyStatus(node) === 'True' })
    queue.add(name)
    this.#noticeDisruption(queue)
  }

  nodeGone(node: Stored<Node>): void {
    this.#health.delete(node.metadata.name)
    this.#zones.remove(node.metadata.name)
  }

  /** The common case costs one look-up: a renewed lease of a node that is well. */
  leaseSeen(lease: Stored<Lease>, { queue }: ReconcilerContext): void {
    const { name } = lease.metadata
    const renewTime = lease.spec?.renewTime ?? ''
    const health = this.#healthOf(name)
    if (health.renewTime === renewTime) return
    health.renewTime = renewTime
    const wasSilent = this.#clock.monotonicMs() - health.seenAtMs > 0 && this.#isUnwell(name)
    this.#alive(health)
    if (wasSilent) queue.add(name)
  }

  async reconcile(name: string, context: ReconcilerContext): Promise<ReconcileResult> {
    const node = this.#caches.nodeCache.get(name)
    if (node === undefined) return undefined
    const silentForMs = this.#clock.monotonicMs() - this.#healthOf(name).seenAtMs
    const leftMs = graceMs(node) - silentForMs
    if (leftMs <= 0) {
      const conditions = planUnknownConditions(node, formatTime(this.#clock.now()))
      if (conditions.length > 0) {
        await this.#writeConditions(node, conditions, context)
        return undefined // the written node comes back through the cache
      }
    }
    if (readyStatus(node) !== 'True') await this.#markPodsNotReady(node, context)
    const retryAfterMs = await this.#taint(node, context)
    const nextMs = Math.min(retryAfterMs ?? Infinity, leftMs > 0 ? leftMs : graceMs(node))
    return { requeueAfterMs: nextMs }
  }

  async #writeConditions(node: Stored<Node>, conditions: object[], context: ReconcilerContext): Promise<void> {
    const { name, uid } = node.metadata
    const body = { metadata: { uid }, status: { conditions } }
    const written = await context.client.patch(nodes, { name }, { type: 'strategic', body }, { subresource: 'status' })
    context.writes.wrote(name, this.#caches.nodeCache, written)
    context.events.record(node, {
      type: 'Normal',
      reason: 'NodeNotReady',
      message: `Node ${name} status is now: NodeNotReady`,
    })
    context.logger.warn('Lost contact with Node', { node: name })
  }

  /** Milliseconds after which to try again, when the zone allows no eviction now. */
  async #taint(node: Stored<Node>, context: ReconcilerContext): Promise<number | undefined> {
    const { name, resourceVersion } = node.metadata
    const { policy, retryAfterMs } = this.#evictionPolicy(node)
    const taints = planTaints(node, policy, formatTime(this.#clock.now()))
    if (taints !== undefined) {
      const body = { metadata: { resourceVersion }, spec: { taints } }
      const written = await context.client.patch(nodes, { name }, { type: 'merge', body })
      context.writes.wrote(name, this.#caches.nodeCache, written)
    }
    return retryAfterMs
  }

  #evictionPolicy(node: Stored<Node>): { policy: EvictionPolicy; retryAfterMs: number | undefined } {
    if (this.#zones.isEverythingDown && this.#caches.nodeCache.list().length > 1)
      return { policy: 'never', retryAfterMs: undefined }
    if (!needsEviction(node)) return { policy: 'allow', retryAfterMs: undefined }
    const permit = this.#zones.takePermit(zoneOf(node), this.#clock.monotonicMs())
    if (permit.granted) return { policy: 'allow', retryAfterMs: undefined }
    return { policy: 'wait', retryAfterMs: permit.retryAfterMs }
  }

  /** Services must not send to pods that nobody hears of. Source: controller/util/node MarkPodsNotReady. */
  async #markPodsNotReady(node: Stored<Node>, context: ReconcilerContext): Promise<void> {
    for (const pod of podsOnNode(this.#caches.podCache, node.metadata.name)) {
      const ready = pod.status?.conditions?.find(({ type }) => type === 'Ready')
      if (ready?.status !== 'True') continue
      const condition = { ...ready, status: 'False', lastTransitionTime: formatTime(this.#clock.now()) }
      const body = { metadata: { uid: pod.metadata.uid }, status: { conditions: [condition] } }
      await context.client
        .patch(pods, nameOf(pod), { type: 'strategic', body }, { subresource: 'status' })
        .catch((error: unknown) => {
          if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error
        })
      context.events.record(
        { apiVersion: 'v1', kind: 'Pod', ...pod },
        { type: 'Warning', reason: 'NodeNotReady', message: 'Node is not ready' },
      )
    }
  }

  /** When everything goes down or comes back, the taints of all nodes may have to change. */
  #noticeDisruption(queue: ReconcilerContext['queue']): void {
    const isDown = this.#zones.isEverythingDown
    if (isDown === this.#wasEverythingDown) return
    this.#wasEverythingDown = isDown
    for (const node of this.#caches.nodeCache.list()) queue.add(node.metadata.name)
  }

  #isUnwell(name: string): boolean {
    const node = this.#caches.nodeCache.get(name)
    return node !== undefined && readyStatus(node) !== 'True'
  }

  #alive(health: Health): void {
    health.seenAtMs = this.#clock.monotonicMs()
  }

  /** A node that is first seen counts as alive: after a restart of this controller nobody is evicted for our own absence. */
  #healthOf(name: string): Health {
    const known = this.#health.get(name)
    if (known !== undefined) return known
    const health = { seenAtMs: this.#clock.monotonicMs(), renewTime: '', heartbeat: '' }
    this.#health.set(name, health)
    return health
  }
}
