import { isPodTerminal, type Stored } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'

const OUT_OF_SERVICE_TAINT = 'node.kubernetes.io/out-of-service'

/** The node does not run, and a person says that it will not come back with its pods. Source: gcTerminating, pkg/controller/podgc v1.37. */
export function isOutOfService({ spec, status }: Readonly<Node>): boolean {
  const isReady = status?.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True')
  return isReady !== true && spec?.taints?.some(({ key }) => key === OUT_OF_SERVICE_TAINT) === true
}

/**
 * Whether a pod that is being deleted has nobody who would end it: it was never scheduled, or its node is out of service.
 * `node` is undefined when the pod has none or it is not known.
 */
export function isAbandoned(pod: Readonly<Pod>, node: Readonly<Node> | undefined): boolean {
  if (pod.metadata.deletionTimestamp === undefined) return false
  return pod.spec?.nodeName ? node !== undefined && isOutOfService(node) : true
}

/** Ended pods beyond the threshold: evicted ones first, then the oldest. Source: gcTerminated, pkg/controller/podgc v1.37. */
export function planTerminatedPods(ended: readonly Stored<Pod>[], threshold: number): Stored<Pod>[] {
  const excess = ended.length - threshold
  if (excess <= 0) return []
  const isEvicted = ({ status }: Pod): boolean => status?.phase === 'Failed' && status.reason === 'Evicted'
  return ended.toSorted((a, b) => Number(isEvicted(b)) - Number(isEvicted(a)) || compareAges(a, b)).slice(0, excess)
}

/** Index of the pods that have ended. */
export function terminatedIndexValues(pod: Readonly<Pod>): readonly string[] {
  return isPodTerminal(pod) ? ['terminated'] : []
}

function compareAges({ metadata: a }: Stored<Pod>, { metadata: b }: Stored<Pod>): number {
  if (a.creationTimestamp !== b.creationTimestamp) return a.creationTimestamp < b.creationTimestamp ? -1 : 1
  return a.name < b.name ? -1 : 1
}
