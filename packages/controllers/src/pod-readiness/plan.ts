import { findCondition, formatTime } from '@centaurus/api'
import type { Pod, PodCondition } from '@centaurus/api/core/v1'

/** The conditions of a pod whose node is silent; undefined when it is not ready anyway. Source: MarkPodsNotReady, pkg/controller/util/node v1.37. */
export function planNotReadyPod(pod: Readonly<Pod>, nowMs: number): PodCondition[] | undefined {
  const conditions = pod.status?.conditions ?? []
  if (findCondition(conditions, 'Ready')?.status !== 'True') return undefined
  return conditions.map((condition) =>
    condition.type === 'Ready' ? { ...condition, status: 'False', lastTransitionTime: formatTime(nowMs) } : condition,
  )
}
