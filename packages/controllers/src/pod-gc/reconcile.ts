import { formatTime, isPodTerminal, isStatus, objectKey, type Stored } from '@centaurus/api'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import type { RunningController } from '@centaurus/client'
import { addNodeIndex, podsOnNode } from '../endpoint-slice/reconcile.ts'
import { nameOf } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { planPodCollection, planTerminatedPods, type CollectReason } from './plan.ts'

/** Source: quarantineTime and TerminatedPodGCThreshold, pkg/controller/podgc v1.37. */
const NODE_QUARANTINE_MS = 40_000
const TERMINATED_PODS_MAX = 12_500
const TERMINATED_CHECK_MS = 20_000
/** Key of the check of all ended pods; no pod has it, as names can't be empty. */
const TERMINATED_KEY = '/terminated'

/** Removes pods that no node will finish: of nodes that are gone, never scheduled, or beyond the number of ended pods that are kept. */
export function startPodGarbageCollector(deps: ControllerDeps): RunningController {
  const podCache = deps.informers.informer(pods)
  const nodeCache = deps.informers.informer(nodes)
  addNodeIndex(podCache)
  return startReconciler(deps, {
    name: 'pod-garbage-collector-controller',
    informer: podCache,
    needs: [nodeCache],
    watch({ queue }) {
      queue.addAfter(TERMINATED_KEY, TERMINATED_CHECK_MS)
      const onPod = (pod: Stored<Pod>): void => {
        const node = pod.spec?.nodeName ?? ''
        if (pod.metadata.deletionTimestamp !== undefined) queue.add(objectKey(pod))
        else if (node !== '' && nodeCache.synced && nodeCache.get(node) === undefined)
          queue.addAfter(objectKey(pod), NODE_QUARANTINE_MS)
      }
      const enqueuePodsOf = (name: string, delayMs: number): void => {
        for (const pod of podsOnNode(podCache, name)) queue.addAfter(objectKey(pod), delayMs)
      }
      return [
        podCache.addHandler({ onAdd: onPod, onUpdate: onPod }),
        nodeCache.addHandler({
          onUpdate: (node) => {
            if (node.spec?.taints?.some(({ key }) => key === 'node.kubernetes.io/out-of-service'))
              enqueuePodsOf(node.metadata.name, 0)
          },
          onDelete: (node) => enqueuePodsOf(node.metadata.name, NODE_QUARANTINE_MS),
        }),
      ]
    },
    async reconcile(key, context) {
      if (key === TERMINATED_KEY) {
        for (const pod of planTerminatedPods(podCache.list(), TERMINATED_PODS_MAX))
          await removeByForce(context, pod, undefined)
        return { requeueAfterMs: TERMINATED_CHECK_MS }
      }
      const pod = podCache.get(key)
      if (pod === undefined) return undefined
      const nodeName = pod.spec?.nodeName ?? ''
      const node = nodeCache.get(nodeName)
      const isNodeGone = nodeName !== '' && node === undefined && (await isGone(context, nodeName))
      const reason = planPodCollection(pod, { node, isNodeGone })
      if (reason !== undefined) await removeByForce(context, pod, reason)
      return undefined
    },
  })
}

/** The server's word: a cache may not have the node yet. */
async function isGone({ client }: ReconcilerContext, name: string): Promise<boolean> {
  try {
    await client.get(nodes, { name })
    return false
  } catch (error) {
    if (isStatus(error, 'NotFound')) return true
    throw error
  }
}

async function removeByForce(
  { client, clock }: ReconcilerContext,
  pod: Stored<Pod>,
  reason: CollectReason | undefined,
): Promise<void> {
  const { uid } = pod.metadata
  try {
    if (!isPodTerminal(pod)) {
      const condition = {
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'DeletionByPodGC',
        message: 'PodGC: node no longer exists',
        lastTransitionTime: formatTime(clock.now()),
      }
      const conditions = reason === 'orphaned' ? { conditions: [condition] } : {}
      const body = { metadata: { uid }, status: { phase: 'Failed', ...conditions } }
      await client.patch(pods, nameOf(pod), { type: 'strategic', body }, { subresource: 'status' })
    }
    await client.delete(pods, nameOf(pod), { gracePeriodSeconds: 0, preconditions: { uid } })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
