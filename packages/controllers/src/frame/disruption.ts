import { formatTime, isPodTerminal, isStatus, podCondition, type Stored } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { nameOf } from './claim.ts'
import type { ReconcilerContext } from './controller.ts'

export interface Disruption {
  /** Goes into the condition `DisruptionTarget`, by which a Job knows that the pod did not fail by itself; undefined: none is set. */
  readonly target: { readonly reason: string; readonly message: string } | undefined
  /** True when no node will ever end the pod: it is marked Failed and removed without grace. */
  readonly isLost: boolean
}

/** Tells in the status why a pod is deleted, then deletes it. One that is gone, or another of that name, is fine. */
export async function deleteDisrupted(
  { client, clock }: Pick<ReconcilerContext, 'client' | 'clock'>,
  pod: Stored<Pod>,
  { target, isLost }: Disruption,
): Promise<void> {
  const { uid } = pod.metadata
  try {
    const status = planDisruptedStatus(pod, { target, isLost }, clock.now())
    if (status !== undefined) {
      const body = { metadata: { uid }, status }
      await client.patch(pods, nameOf(pod), { type: 'strategic', body }, { subresource: 'status' })
    }
    const grace = isLost ? { gracePeriodSeconds: 0 } : {}
    await client.delete(pods, nameOf(pod), { ...grace, preconditions: { uid } })
  } catch (error) {
    if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error
  }
}

/** What to change in the pod's status; undefined when it says all already. Source: UpdatePodCondition, pkg/api/v1/pod/util.go v1.37. */
export function planDisruptedStatus(
  pod: Stored<Pod>,
  { target, isLost }: Disruption,
  nowMs: number,
): Pod['status'] | undefined {
  if (isLost && isPodTerminal(pod)) return undefined
  const { generation } = pod.metadata
  const observed = generation === undefined ? {} : { observedGeneration: generation }
  const old = podCondition(pod, 'DisruptionTarget')
  const isTold =
    target === undefined || (old?.status === 'True' && old.reason === target.reason && old.message === target.message)
  if (isTold && !isLost) return undefined
  const lastTransitionTime = old?.status === 'True' ? old.lastTransitionTime : formatTime(nowMs)
  const condition = { type: 'DisruptionTarget', status: 'True', lastTransitionTime, ...target, ...observed }
  return {
    ...(isLost ? { phase: 'Failed', ...observed } : {}),
    ...(isTold ? {} : { conditions: [condition] }),
  }
}
