import { isPodTerminal, type Stored } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'

const OUT_OF_SERVICE_TAINT = 'node.kubernetes.io/out-of-service'

/** Why a pod that nobody will finish goes at once. */
export type CollectReason = 'unscheduled' | 'outOfService' | 'orphaned'

/**
 * Whether a pod must be removed by force: it was deleted before it was scheduled, or is deleted on a node that is out of service, or its
 * node is gone (which the caller must have asked the server about). Source: pkg/controller/podgc v1.37.
 */
export function planPodCollection(
  pod: Pod,
  { node, isNodeGone }: { readonly node: Node | undefined; readonly isNodeGone: boolean },
): CollectReason | undefined {
  const isDeleting = pod.metadata.deletionTimestamp !== undefined
  if (!pod.spec?.nodeName) return isDeleting ? 'unscheduled' : undefined
  if (isNodeGone) return 'orphaned'
  if (!isDeleting || node === undefined) return undefined
  const isReady = node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
  const isOut = node.spec?.taints?.some(({ key }) => key === OUT_OF_SERVICE_TAINT) === true
  return isOut && !isReady ? 'outOfService' : undefined
}

/** Ended pods beyond the threshold: evicted ones first, then the oldest. */
export function planTerminatedPods(list: readonly Stored<Pod>[], threshold: number): Stored<Pod>[] {
  const ended = list.filter(isPodTerminal)
  const excess = ended.length - threshold
  if (excess <= 0) return []
  const isEvicted = ({ status }: Pod): boolean => status?.phase === 'Failed' && status.reason === 'Evicted'
  const sorted = ended.toSorted(
    (a, b) =>
      Number(isEvicted(b)) - Number(isEvicted(a)) ||
      (a.metadata.creationTimestamp + a.metadata.name < b.metadata.creationTimestamp + b.metadata.name ? -1 : 1),
  )
  return sorted.slice(0, excess)
}
