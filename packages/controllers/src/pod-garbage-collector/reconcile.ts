import { isDeleting, objectKey, type Stored } from '@centaurus/api'
import { nodes, pods, type Node, type Pod } from '@centaurus/api/core/v1'
import type { Informer, ReconcileResult, RunningController, WorkQueue } from '@centaurus/client'
import { addNodeIndex, podsOnNode } from '../endpoint-slice/reconcile.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { deleteDisrupted, type Disruption } from '../frame/disruption.ts'
import {
  AUTHORITY_RECHECK_MS,
  createLocalNodeAuthority,
  resourcePartitionOf,
  type NodeAuthority,
} from '../frame/node-authority.ts'
import { isAbandoned, isOutOfService, planTerminatedPods, terminatedIndexValues } from './plan.ts'

/** Source: quarantineTime and gcCheckPeriod, pkg/controller/podgc/gc_controller.go v1.37. */
const NODE_QUARANTINE_MS = 40_000
const TERMINATED_CHECK_MS = 20_000
/** Source: TerminatedPodGCThreshold, pkg/controller/podgc/config v1.37. */
const TERMINATED_PODS_MAX = 12_500
/** Pods removed at the same time. */
const REMOVALS_MAX = 20
/** Keys that are not pods; no object's key starts with a slash. */
const NODE_PREFIX = '/node/'
const TERMINATED_KEY = '/terminated'
const TERMINATED_INDEX = 'terminated'

const LOST: Disruption = { target: undefined, isLost: true }
const ORPHANED: Disruption = {
  target: { reason: 'DeletionByPodGC', message: 'PodGC: node no longer exists' },
  isLost: true,
}

export interface PodGarbageCollectorOptions extends ControllerDeps {
  /** A node that was not seen for this long is asked for at the server, and its pods go when it is gone. */
  readonly nodeQuarantineMs?: number | undefined
  /** Ended pods that are kept. */
  readonly terminatedPodsMax?: number | undefined
}

interface Collector {
  readonly podCache: Informer<Pod>
  readonly nodeCache: Informer<Node>
  readonly authority: NodeAuthority
  readonly nodeQuarantineMs: number
  readonly terminatedPodsMax: number
}

/** Removes pods that no node will end: of nodes that are gone or out of service, never scheduled, or beyond the ended pods that are kept. */
export function startPodGarbageCollector(options: PodGarbageCollectorOptions): RunningController {
  const collector: Collector = {
    podCache: options.informers.informer(pods),
    nodeCache: options.informers.informer(nodes),
    authority: options.nodeAuthority ?? createLocalNodeAuthority(options.client),
    nodeQuarantineMs: options.nodeQuarantineMs ?? NODE_QUARANTINE_MS,
    terminatedPodsMax: options.terminatedPodsMax ?? TERMINATED_PODS_MAX,
  }
  const { podCache, nodeCache } = collector
  addNodeIndex(podCache)
  podCache.addIndex(TERMINATED_INDEX, terminatedIndexValues)
  return startReconciler(options, {
    name: 'pod-garbage-collector-controller',
    informer: podCache,
    needs: [nodeCache],
    watch: ({ queue }) => watchLost(collector, queue),
    reconcile(key, context) {
      if (key === TERMINATED_KEY) return collectTerminated(context, collector)
      if (key.startsWith(NODE_PREFIX)) return collectOrphans(key.slice(NODE_PREFIX.length), context, collector)
      return collectAbandoned(key, context, collector)
    },
  })
}

/** A missing node is looked at once for all its pods. */
function watchLost({ podCache, nodeCache, nodeQuarantineMs }: Collector, queue: WorkQueue): (() => void)[] {
  queue.add(TERMINATED_KEY)
  const quarantine = (node: string): void => queue.addAfter(NODE_PREFIX + node, nodeQuarantineMs)
  const onPod = (pod: Stored<Pod>): void => {
    const node = pod.spec?.nodeName ?? ''
    if (node !== '' && nodeCache.get(node) === undefined) quarantine(node)
    else if (isAbandoned(pod, nodeCache.get(node))) queue.add(objectKey(pod))
  }
  const onNode = (node: Stored<Node>): void => {
    if (!isOutOfService(node)) return
    for (const pod of podsOnNode(podCache, node.metadata.name)) if (isDeleting(pod)) queue.add(objectKey(pod))
  }
  return [
    podCache.addHandler({ onAdd: onPod, onUpdate: onPod }),
    nodeCache.addHandler({ onAdd: onNode, onUpdate: onNode, onDelete: ({ metadata }) => quarantine(metadata.name) }),
  ]
}

async function collectTerminated(
  context: ReconcilerContext,
  { podCache, terminatedPodsMax }: Collector,
): Promise<ReconcileResult> {
  await removeAll(
    context,
    planTerminatedPods(podCache.byIndex(TERMINATED_INDEX, 'terminated'), terminatedPodsMax),
    LOST,
  )
  return { requeueAfterMs: TERMINATED_CHECK_MS }
}

/**
 * Only the word of the node's own partition makes a node gone: a cache may be behind, and an error is no word. A partition that can't be
 * asked keeps all its pods.
 */
async function collectOrphans(
  name: string,
  context: ReconcilerContext,
  { podCache, nodeCache, authority }: Collector,
): Promise<ReconcileResult> {
  if (nodeCache.get(name) !== undefined) return
  let isUnknown = false
  for (const [partition, list] of Map.groupBy(podsOnNode(podCache, name), resourcePartitionOf)) {
    if (!authority.isAuthoritative(partition)) isUnknown = true
    else if (await authority.isNodeGone(name, partition)) await removeAll(context, list, ORPHANED)
  }
  return isUnknown ? { requeueAfterMs: AUTHORITY_RECHECK_MS } : undefined
}

async function collectAbandoned(
  key: string,
  context: ReconcilerContext,
  { podCache, nodeCache, authority }: Collector,
): Promise<ReconcileResult> {
  const pod = podCache.get(key)
  if (pod === undefined || !isAbandoned(pod, nodeCache.get(pod.spec?.nodeName ?? ''))) return
  // Whether a node is out of service is its partition's to say; a pod without a node concerns nobody else.
  if (pod.spec?.nodeName && !authority.isAuthoritative(resourcePartitionOf(pod))) {
    return { requeueAfterMs: AUTHORITY_RECHECK_MS }
  }
  await deleteDisrupted(context, pod, LOST)
}

/** Stops after a batch with a failure, and throws it. */
async function removeAll(
  context: ReconcilerContext,
  list: readonly Stored<Pod>[],
  disruption: Disruption,
): Promise<void> {
  for (let at = 0; at < list.length; at += REMOVALS_MAX) {
    const batch = list.slice(at, at + REMOVALS_MAX)
    const results = await Promise.allSettled(batch.map((pod) => deleteDisrupted(context, pod, disruption)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
}
