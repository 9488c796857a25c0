import { isStatus, type Stored } from '@centaurus/api'
import { nodes, pods, type Node, type Pod } from '@centaurus/api/core/v1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { addNodeIndex, podsOnNode } from '../endpoint-slice/reconcile.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { createLocalNodeAuthority, resourcePartitionOf, type NodeAuthority } from '../frame/node-authority.ts'
import { readyStatus } from '../node-lifecycle/health.ts'
import { planNotReadyPod } from './plan.ts'

/** A pod that came to a silent node meanwhile is looked at after this. Source: NodeMonitorPeriod, nodelifecycle v1.37. */
const RECHECK_MS = 5_000

interface Caches {
  readonly podCache: Informer<Pod>
  readonly nodeCache: Informer<Node>
  readonly authority: NodeAuthority
}

/**
 * Takes readiness from the pods of nodes that are silent, so that Services leave them out. Upstream's node lifecycle controller does
 * this as well; here pods and nodes may belong to different partitions. A partition that can't be asked changes nothing.
 */
export function startPodReadinessController(deps: ControllerDeps): RunningController {
  const caches: Caches = {
    podCache: deps.informers.informer(pods),
    nodeCache: deps.informers.informer(nodes),
    authority: deps.nodeAuthority ?? createLocalNodeAuthority(deps.client),
  }
  const { podCache, nodeCache } = caches
  addNodeIndex(podCache)
  return startReconciler(deps, {
    name: 'pod-readiness-controller',
    component: 'node-controller',
    informer: nodeCache,
    needs: [podCache],
    watch({ queue }) {
      const onNode = (node: Stored<Node>): void => {
        if (readyStatus(node) === 'Unknown') queue.add(node.metadata.name)
      }
      return [nodeCache.addHandler({ onAdd: onNode, onUpdate: onNode })]
    },
    reconcile: (name, context) => reconcileNodePods(name, context, caches),
  })
}

async function reconcileNodePods(
  name: string,
  context: ReconcilerContext,
  { podCache, nodeCache, authority }: Caches,
): Promise<ReconcileResult> {
  const node = nodeCache.get(name)
  if (node === undefined || readyStatus(node) !== 'Unknown') return
  for (const pod of podsOnNode(podCache, name)) {
    if (authority.isAuthoritative(resourcePartitionOf(pod))) await markNotReady(context, pod)
  }
  return { requeueAfterMs: RECHECK_MS }
}

async function markNotReady({ client, clock, events }: ReconcilerContext, pod: Stored<Pod>): Promise<void> {
  const conditions = planNotReadyPod(pod, clock.now())
  if (conditions === undefined) return
  try {
    await client.updateStatus(pods, { ...pod, status: { ...pod.status, conditions } })
    events.record(pod, { type: 'Warning', reason: 'NodeNotReady', message: 'Node is not ready' })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
