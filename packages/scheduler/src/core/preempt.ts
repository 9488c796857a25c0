import type { ClusterState } from './cluster-state.ts'
import { prepareRefuse, type PodVolumes } from './decide.ts'
import type { PodFootprint } from './pod-footprint.ts'
import type { PodRequirements } from './pod-requirements.ts'

/** Pods to remove from one node so that another, more important one fits. */
export interface PreemptionPlan {
  readonly nodeName: string
  readonly victims: readonly Victim[]
}

export interface Victim {
  readonly uid: string
  readonly footprint: PodFootprint
}

export interface PreemptOptions {
  /** Nodes to look at, in this order. */
  readonly slots: readonly number[]
  /** Removing the pod would break a disruption budget: such pods are removed only where nothing else helps. */
  readonly isProtected: (uid: string) => boolean
  /** What the pod's claims allow; absent: it has none. */
  readonly volumes?: PodVolumes | undefined
}

/** Nodes that are tried; the rest of a large cluster would seldom be better. Source: DefaultPreemption minCandidateNodesAbsolute. */
const CANDIDATES_MAX = 100

interface Candidate extends PreemptionPlan {
  readonly highestVictim: number
  readonly prioritySum: number
  readonly disrupted: number
}

/**
 * Finds the node where the least important pods must go. Undefined: preemption cannot help. Restores `state` before it returns.
 * Source: scheduler framework/preemption SelectVictimsOnNode and pickOneNodeForPreemption, v1.37.
 */
export function planPreemption(
  state: ClusterState,
  pod: PodRequirements,
  options: PreemptOptions,
): PreemptionPlan | undefined {
  if (pod.preemptionPolicy === 'Never' || !state.hasPodsBelow(pod.footprint.priority)) return undefined
  const known = state.classOf(pod).failure
  const isKnown = known !== undefined && known.version === state.version && options.volumes === undefined
  if (isKnown && known.isHopeless) return undefined
  const candidates = state.simulate(() => findCandidates(state, pod, options))
  if (isKnown) known.isHopeless = candidates.length === 0
  return candidates.sort(compareCandidates)[0]
}

function findCandidates(state: ClusterState, pod: PodRequirements, options: PreemptOptions): Candidate[] {
  const candidates: Candidate[] = []
  for (const slot of options.slots) {
    if (candidates.length === CANDIDATES_MAX) break
    const candidate = selectVictims(state, pod, { ...options, slot })
    if (candidate !== undefined) candidates.push(candidate)
  }
  return candidates
}

function compareCandidates(a: Candidate, b: Candidate): number {
  return (
    a.disrupted - b.disrupted ||
    a.highestVictim - b.highestVictim ||
    a.prioritySum - b.prioritySum ||
    a.victims.length - b.victims.length
  )
}

function lowerPodsOn(state: ClusterState, slot: number, priority: number): Victim[] {
  const lower: Victim[] = []
  for (let row = state.pods.firstOn(slot); row >= 0; row = state.pods.nextOn(row)) {
    const { footprint } = state.pods.footprintAt(row)
    if (footprint.priority < priority) lower.push({ uid: state.pods.uidAt(row), footprint })
  }
  return lower
}

function selectVictims(
  state: ClusterState,
  pod: PodRequirements,
  options: PreemptOptions & { readonly slot: number },
): Candidate | undefined {
  const { slot, isProtected } = options
  const lower = lowerPodsOn(state, slot, pod.footprint.priority)
  if (lower.length === 0) return undefined
  const guarded = new Set(lower.filter(({ uid }) => isProtected(uid)))
  // Pods that are given back first: the protected and the important ones.
  const order = lower.toSorted(
    (a, b) => Number(guarded.has(b)) - Number(guarded.has(a)) || b.footprint.priority - a.footprint.priority,
  )
  const isPlain = !state.classOf(pod).dependsOnPods && pod.footprint.hostPorts.length === 0
  const chosen = isPlain ? chooseByRoom(state, pod, { slot, order }) : chooseByTrial(state, pod, { ...options, order })
  if (chosen === undefined || chosen.length === 0) return undefined
  const priorities = chosen.map((victim) => victim.footprint.priority)
  return {
    nodeName: state.nodes.names[slot]!,
    victims: chosen,
    highestVictim: Math.max(...priorities),
    // Shifted so that many low ones never look better than one: as upstream sums from the lowest priority up.
    prioritySum: priorities.reduce((sum, priority) => sum + priority + 2 ** 31, 0),
    disrupted: chosen.filter((victim) => guarded.has(victim)).length,
  }
}

interface Choice {
  readonly slot: number
  readonly order: readonly Victim[]
}

/** For a pod that only lacks room: counts what it would have. Undefined: not enough even without all of them. */
function chooseByRoom(state: ClusterState, pod: PodRequirements, { slot, order }: Choice): Victim[] | undefined {
  const asked = pod.footprint.requests
  const room = asked.map((_, column) => {
    const freed = order.reduce((sum, { footprint }) => sum + (footprint.requests[column] ?? 0), 0)
    return state.allocatable(slot, column) - state.requested(slot, column) + freed
  })
  const isShort = (taken: readonly number[]): boolean =>
    asked.some((amount, column) => amount !== 0 && amount > room[column]! - (taken[column] ?? 0))
  if (isShort([])) return undefined
  return order.filter(({ footprint }) => {
    if (isShort(footprint.requests)) return true
    for (const [column, amount] of footprint.requests.entries()) if (column < room.length) room[column]! -= amount
    return false
  })
}

/** For any pod: takes them away and gives them back while it still fits. Undefined: it does not fit even without all of them. */
function chooseByTrial(
  state: ClusterState,
  pod: PodRequirements,
  { slot, order, volumes }: Choice & Pick<PreemptOptions, 'volumes'>,
): Victim[] | undefined {
  const nodeName = state.nodes.names[slot]!
  const fitsNow = (): boolean => prepareRefuse(state, pod, volumes)(slot) === undefined
  for (const { uid } of order) state.removePod(uid)
  if (!fitsNow()) {
    for (const { uid, footprint } of order) state.putPod(uid, footprint, nodeName)
    return undefined
  }
  const chosen = order.filter(({ uid, footprint }) => {
    state.putPod(uid, footprint, nodeName)
    if (fitsNow()) return false
    state.removePod(uid)
    return true
  })
  for (const { uid, footprint } of chosen) state.putPod(uid, footprint, nodeName)
  return chosen
}
