import type { Node, Taint, Toleration } from '@centaurus/api/core/v1'
import { tolerates } from '@centaurus/api/scheduling'

export interface EvictionInput {
  /** Taints of the pod's node with effect NoExecute. */
  readonly taints: readonly Taint[]
  readonly tolerations: readonly Toleration[]
  /** When the pod is to go by an earlier plan; undefined when it was to stay. */
  readonly scheduledMs: number | undefined
  /** Of a clock that does not go back. */
  readonly nowMs: number
}

/**
 * When the pod has to leave its node: now or earlier when a taint is not tolerated, after the shortest `tolerationSeconds` of the
 * tolerations that are needed, undefined when it may stay. What was planned before is moved forward, never put off, as long as taints stay.
 * Source: processPodOnNode, pkg/controller/tainteviction/taint_eviction.go v1.37.
 */
export function planEviction({ taints, tolerations, scheduledMs, nowMs }: EvictionInput): number | undefined {
  let delayMs = Number.POSITIVE_INFINITY
  for (const taint of taints) {
    const used = tolerations.find((toleration) => tolerates(toleration, taint))
    if (used === undefined) return nowMs
    if (used.tolerationSeconds !== undefined) delayMs = Math.min(delayMs, Math.max(0, used.tolerationSeconds) * 1000)
  }
  if (delayMs === Number.POSITIVE_INFINITY) return undefined
  return Math.min(scheduledMs ?? Number.POSITIVE_INFINITY, nowMs + delayMs)
}

export function noExecuteTaints(node: Readonly<Node> | undefined): readonly Taint[] {
  return (node?.spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute')
}
