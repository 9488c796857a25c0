import { TENANT_ANNOTATION } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { FitFailure } from '../core/decide.ts'

/**
 * Why a pod's volumes keep it from every node.
 * Source of the form: framework.FitError.Error, v1.37: what refuses the pod before nodes are looked at has no count.
 */
export function formatVolumeRefusal(
  nodeCount: number,
  refusal: { type: 'waiting'; message: string } | { type: 'refused'; reason: string },
): string {
  if (nodeCount === 0) return 'no nodes available to schedule pods'
  const head = `0/${nodeCount} nodes are available: `
  const why = refusal.type === 'waiting' ? refusal.message : `${nodeCount} ${refusal.reason}`
  return `${head}${why}. preemption: ${head}${nodeCount} Preemption is not helpful for scheduling.`
}

/** Why removing other pods did not help, as kube-scheduler appends it. */
export function formatPreemptionFailure({ nodeCount, resolvable }: FitFailure): string {
  if (nodeCount === 0) return ''
  const hopeless = nodeCount - resolvable.length
  const parts = [
    resolvable.length > 0 ? `${resolvable.length} No preemption victims found for incoming pod` : '',
    hopeless > 0 ? `${hopeless} Preemption is not helpful for scheduling` : '',
  ]
  return ` preemption: 0/${nodeCount} nodes are available: ${parts.filter((part) => part !== '').join(', ')}.`
}

/** What a victim is told: which pod took its place, unless that is another tenant's, or another partition's (undefined). Source: kubernetes preemption/executor.go, v1.37. */
export function formatPreempted(
  victim: Pick<Pod, 'metadata'>,
  pod: { readonly metadata: Pod['metadata'] & { readonly uid: string } } | undefined,
  nodeName: string,
): string {
  const tenantOf = ({ metadata }: Pick<Pod, 'metadata'>): string | undefined =>
    metadata.annotations?.[TENANT_ANNOTATION]
  const isOfTenant = pod !== undefined && tenantOf(victim) === tenantOf(pod)
  return `Preempted by ${isOfTenant ? `pod ${pod.metadata.uid}` : 'a pod'} on node ${nodeName}`
}
