import type { ClusterState } from './cluster-state.ts'
import type { PodRequirements } from './pod-requirements.ts'
import { PODS } from './resources.ts'
import { tolerates, toleratesAll } from '@centaurus/api/scheduling'

/** Why a node will not do. Words of kube-scheduler v1.37 (framework/plugins/*), since people search for them. */
export interface Refusal {
  readonly reasons: readonly string[]
  /** True when removing pods from the node could not help, so preemption need not look at it. */
  readonly unresolvable: boolean
}

const UNSCHEDULABLE_TAINT = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }

function unresolvable(reason: string): Refusal {
  return { reasons: [reason], unresolvable: true }
}

/** Checks that look at one node alone, cheapest first. Undefined: the pod fits. Spreading and pod affinity are checked apart. */
export function refuseNode(state: ClusterState, slot: number, pod: PodRequirements): Refusal | undefined {
  if (state.unschedulable[slot] === true && !pod.tolerations.some((item) => tolerates(item, UNSCHEDULABLE_TAINT))) {
    return unresolvable('node(s) were unschedulable')
  }
  if (!toleratesAll(pod.tolerations, state.taints[slot] ?? [])) return unresolvable('node(s) had untolerated taint(s)')
  if (
    pod.requiredNodes !== undefined &&
    !pod.requiredNodes.matches(state.labels[slot] ?? {}, state.names[slot] ?? '')
  ) {
    return unresolvable("node(s) didn't match Pod's node affinity/selector")
  }
  if (!pod.volumeNodes.every((volume) => volume.matches(state.labels[slot] ?? {}, state.names[slot] ?? ''))) {
    return unresolvable("node(s) didn't match PersistentVolume's node affinity")
  }
  if (
    pod.volumeChoice !== undefined &&
    pod.volumeChoice.bindingsOn(state.labels[slot] ?? {}, state.names[slot] ?? '') === undefined
  ) {
    return unresolvable("node(s) didn't find available persistent volumes to bind")
  }
  if (pod.hostPorts.length > 0 && !state.arePortsFree(slot, pod.hostPorts)) {
    return { reasons: ["node(s) didn't have free ports for the requested pod ports"], unresolvable: false }
  }
  return refuseResources(state, slot, pod)
}

function refuseResources(state: ClusterState, slot: number, pod: PodRequirements): Refusal | undefined {
  const reasons: string[] = []
  let hopeless = false
  for (const [column, asked] of pod.requests.entries()) {
    if (asked === 0) continue
    const allocatable = state.allocatable(slot, column)
    if (asked <= allocatable - state.requested(slot, column)) continue
    reasons.push(column === PODS ? 'Too many pods' : `Insufficient ${state.resources.nameOf(column)}`)
    hopeless ||= asked > allocatable
  }
  return reasons.length === 0 ? undefined : { reasons, unresolvable: hopeless }
}
