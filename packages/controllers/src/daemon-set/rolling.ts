import type { Stored } from '@centaurus/api'
import type { DaemonSet } from '@centaurus/api/apps/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { isPodAvailable } from '../frame/pods.ts'
import { scaledValue } from '../frame/rounding.ts'
import { isGoing, type DaemonNode, type DaemonSetPlanInput } from './input.ts'
import { isUpdated } from './pod.ts'

export interface RollingStep {
  readonly create: readonly string[]
  readonly remove: readonly Stored<Pod>[]
}

interface NodePods {
  readonly node: DaemonNode
  readonly newPod: Stored<Pod> | undefined
  readonly oldPod: Stored<Pod> | undefined
  /** More than one old or new pod: placement sorts that out first. */
  readonly isCrowded: boolean
}

/** The next pods to replace, never more at once than allowed. Source: rollingUpdate, pkg/controller/daemon/update.go v1.37. */
export function planRollingUpdate(input: DaemonSetPlanInput, nodes: readonly DaemonNode[]): RollingStep {
  const desired = nodes.filter(({ fit }) => fit.shouldRun).length
  const { maxSurge, maxUnavailable } = limits(input.daemonSet, desired)
  const relevant = nodes.filter(({ fit, pods }) => fit.shouldRun || pods.length > 0)
  const list = relevant.map((node) => splitPods(input, node))
  return maxSurge === 0
    ? replaceInPlace(input, list, maxUnavailable)
    : replaceBySurge(input, list, { maxSurge, desired })
}

function limits({ spec }: DaemonSet, desired: number): { maxSurge: number; maxUnavailable: number } {
  const rolling = spec.updateStrategy?.rollingUpdate
  const maxSurge = scaledValue(rolling?.maxSurge, desired, { round: 'up' })
  const maxUnavailable = scaledValue(rolling?.maxUnavailable ?? 1, desired, { round: 'up' })
  return { maxSurge, maxUnavailable: maxSurge === 0 && maxUnavailable === 0 ? 1 : maxUnavailable }
}

function splitPods({ daemonSet, hash }: DaemonSetPlanInput, node: DaemonNode): NodePods {
  const alive = node.pods.filter((pod) => !isGoing(pod))
  const updated = alive.filter((pod) => isUpdated(daemonSet, pod, hash))
  const old = alive.filter((pod) => !updated.includes(pod))
  return { node, newPod: updated[0], oldPod: old[0], isCrowded: updated.length > 1 || old.length > 1 }
}

function replaceInPlace(input: DaemonSetPlanInput, list: readonly NodePods[], maxUnavailable: number): RollingStep {
  const unavailable: Stored<Pod>[] = []
  const candidates: Stored<Pod>[] = []
  let count = 0
  for (const { newPod, oldPod, isCrowded } of list) {
    const isUnsettled = isCrowded || (newPod === undefined) === (oldPod === undefined)
    if (isUnsettled) count++
    else if (newPod !== undefined) count += Number(!isAvailable(input, newPod))
    else if (isAvailable(input, oldPod!)) candidates.push(oldPod!)
    else {
      unavailable.push(oldPod!) // replacing it makes nothing worse
      count++
    }
  }
  return { create: [], remove: [...unavailable, ...candidates.slice(0, Math.max(0, maxUnavailable - count))] }
}

function replaceBySurge(
  input: DaemonSetPlanInput,
  list: readonly NodePods[],
  { maxSurge, desired }: { readonly maxSurge: number; readonly desired: number },
): RollingStep {
  const remove: Stored<Pod>[] = []
  const misplaced: Stored<Pod>[] = []
  const allowed: string[] = []
  const candidates: string[] = []
  let surge = 0
  let available = 0
  for (const { node, newPod, oldPod, isCrowded } of list) {
    if (isCrowded) {
      surge++
      continue
    }
    const serving = oldPod ?? newPod
    if (serving !== undefined && isAvailable(input, serving)) available++
    if (oldPod === undefined) continue
    if (newPod !== undefined) {
      if (isAvailable(input, newPod)) remove.push(oldPod)
      else surge++
    } else if (isAvailable(input, oldPod)) {
      if (node.fit.shouldRun) candidates.push(node.name)
      else misplaced.push(oldPod)
    } else if (node.fit.shouldRun) allowed.push(node.name)
    else remove.push(oldPod)
  }
  remove.push(...misplaced.slice(0, Math.max(0, available - desired)))
  return { create: [...allowed, ...candidates.slice(0, Math.max(0, maxSurge - surge))], remove }
}

function isAvailable({ daemonSet, nowMs }: DaemonSetPlanInput, pod: Pod): boolean {
  return isPodAvailable(pod, daemonSet.spec.minReadySeconds ?? 0, nowMs)
}
