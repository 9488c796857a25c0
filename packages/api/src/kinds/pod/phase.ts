import type { Pod, PodCondition } from '../../generated/types/core/v1.ts'

/** Whether all containers of the pod have ended for good: phase Succeeded or Failed. */
export function isPodTerminal(pod: Readonly<Pod>): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

/** Whether a controller counts the pod: neither ended nor being deleted. Source: IsPodActive, pkg/controller v1.37. */
export function isPodActive(pod: Readonly<Pod>): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined
}

/** Whether the pod's Ready condition is True. Source: IsPodReady, pkg/api/v1/pod v1.37. */
export function isPodReady(pod: Readonly<Pod>): boolean {
  return podCondition(pod, 'Ready')?.status === 'True'
}

/** First condition of a type, or undefined. */
export function podCondition(pod: Readonly<Pod>, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === type)
}
