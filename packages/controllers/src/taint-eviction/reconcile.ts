import { deepEqual, isDeleting, objectKey, type Stored } from '@centaurus/api'
import { nodes, pods, type Node, type Pod } from '@centaurus/api/core/v1'
import type { Informer, ReconcileResult, RunningController, WorkQueue } from '@centaurus/client'
import { addNodeIndex, podsOnNode } from '../endpoint-slice/reconcile.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { deleteDisrupted } from '../frame/disruption.ts'
import {
  AUTHORITY_RECHECK_MS,
  createLocalNodeAuthority,
  resourcePartitionOf,
  type NodeAuthority,
} from '../frame/node-authority.ts'
import { noExecuteTaints, planEviction } from './plan.ts'

const TARGET = { reason: 'DeletionByTaintManager', message: 'Taint manager: deleting due to NoExecute taint' }

interface Eviction {
  readonly pod: Stored<Pod>
  readonly atMs: number
}

interface Evictor {
  readonly podCache: Informer<Pod>
  readonly nodeCache: Informer<Node>
  readonly authority: NodeAuthority
  /** Pods that will have to go, by key. After a restart their time starts anew, as upstream's. */
  readonly scheduled: Map<string, Eviction>
}

/**
 * Deletes pods from nodes whose NoExecute taints they do not tolerate, or no longer. A node whose partition can't be asked may have
 * lost its taint long ago: its pods stay until it can.
 */
export function startTaintEvictionController(deps: ControllerDeps): RunningController {
  const evictor: Evictor = {
    podCache: deps.informers.informer(pods),
    nodeCache: deps.informers.informer(nodes),
    authority: deps.nodeAuthority ?? createLocalNodeAuthority(deps.client),
    scheduled: new Map(),
  }
  addNodeIndex(evictor.podCache)
  return startReconciler(deps, {
    name: 'taint-eviction-controller',
    workers: 8,
    informer: evictor.podCache,
    needs: [evictor.nodeCache],
    watch: ({ queue }) => watchTaints(evictor, queue),
    reconcile: (key, context) => reconcileEviction(key, context, evictor),
  })
}

/** Pods of nodes without such taints cost nothing. */
function watchTaints({ podCache, nodeCache, scheduled }: Evictor, queue: WorkQueue): (() => void)[] {
  const onPod = (pod: Stored<Pod>): void => {
    const key = objectKey(pod)
    const isTainted = noExecuteTaints(nodeCache.get(pod.spec?.nodeName ?? '')).length > 0
    if (isTainted || scheduled.has(key)) queue.add(key)
  }
  const onNode = (node: Stored<Node>): void => {
    for (const pod of podsOnNode(podCache, node.metadata.name)) queue.add(objectKey(pod))
  }
  return [
    podCache.addHandler({
      onAdd: onPod,
      onUpdate(pod, old) {
        const isSame = pod.spec?.nodeName === old.spec?.nodeName && isDeleting(pod) === isDeleting(old)
        if (!isSame || !deepEqual(pod.spec?.tolerations, old.spec?.tolerations)) onPod(pod)
      },
      onDelete: onPod,
    }),
    nodeCache.addHandler({
      onAdd(node) {
        if (noExecuteTaints(node).length > 0) onNode(node)
      },
      onUpdate(node, old) {
        if (!deepEqual(noExecuteTaints(node), noExecuteTaints(old))) onNode(node)
      },
    }),
  ]
}

async function reconcileEviction(
  key: string,
  context: ReconcilerContext,
  { podCache, nodeCache, scheduled, authority }: Evictor,
): Promise<ReconcileResult> {
  const pod = podCache.get(key)
  const known = scheduled.get(key)
  const old = known?.pod.metadata.uid === pod?.metadata.uid ? known : undefined
  if (known !== undefined && old === undefined) cancel(key, context, { scheduled, known })
  if (pod === undefined || isDeleting(pod)) return void scheduled.delete(key)
  const nowMs = context.clock.monotonicMs()
  const atMs = planEviction({
    taints: noExecuteTaints(nodeCache.get(pod.spec?.nodeName ?? '')),
    tolerations: pod.spec?.tolerations ?? [],
    scheduledMs: old?.atMs,
    nowMs,
  })
  if (atMs === undefined) {
    if (old !== undefined) cancel(key, context, { scheduled, known: old })
    return undefined
  }
  if (atMs > nowMs) {
    scheduled.set(key, { pod, atMs })
    return { requeueAfterMs: atMs - nowMs }
  }
  if (!authority.isAuthoritative(resourcePartitionOf(pod))) {
    scheduled.set(key, { pod, atMs })
    return { requeueAfterMs: AUTHORITY_RECHECK_MS }
  }
  scheduled.set(key, { pod, atMs }) // kept until the server has taken it, so that a retry is not put off
  record(context, pod, `Marking for deletion Pod ${key}`)
  await deleteDisrupted(context, pod, { target: TARGET, isLost: false })
  return void scheduled.delete(key)
}

function cancel(
  key: string,
  context: ReconcilerContext,
  { scheduled, known }: { readonly scheduled: Map<string, Eviction>; readonly known: Eviction },
): void {
  scheduled.delete(key)
  record(context, known.pod, `Cancelling deletion of Pod ${key}`)
}

function record({ events }: ReconcilerContext, pod: Stored<Pod>, message: string): void {
  events.record(pod, { type: 'Normal', reason: 'TaintManagerEviction', message })
}
