import type { ClusterState, PlacedPod } from './cluster-state.ts'
import { prepareFilters } from './decide.ts'
import type { PodRequirements } from './pod-requirements.ts'

/** Pods to remove from one node so that another, more important one fits. */
export interface PreemptionPlan {
  readonly nodeName: string
  readonly victims: readonly PodRequirements[]
}

/** Nodes that are tried; the rest of a large cluster would seldom be better. Source: DefaultPreemption minCandidateNodesAbsolute. */
const CANDIDATES_MAX = 100

interface Candidate extends PreemptionPlan {
  readonly highestVictim: number
  readonly prioritySum: number
  readonly disrupted: number
}

/**
 * Finds the node where the least important pods must go. `isProtected` says that removing the pod would break a disruption
 * budget: such pods are removed only where nothing else helps. Undefined: preemption cannot help.
 * Restores `state` before it returns. Source: scheduler framework/preemption SelectVictimsOnNode and pickOneNodeForPreemption.
 */
export function planPreemption(
  state: ClusterState,
  pod: PodRequirements,
  { slots, isProtected }: { slots: readonly number[]; isProtected: (uid: string) => boolean },
): PreemptionPlan | undefined {
  if (pod.preemptionPolicy === 'Never') return undefined
  const candidates: Candidate[] = []
  for (const slot of slots) {
    if (candidates.length === CANDIDATES_MAX) break
    const candidate = selectVictims(state, pod, { slot, isProtected })
    if (candidate !== undefined) candidates.push(candidate)
  }
  return candidates.sort(compareCandidates)[0]
}

function compareCandidates(a: Candidate, b: Candidate): number {
  return (
    a.disrupted - b.disrupted ||
    a.highestVictim - b.highestVictim ||
    a.prioritySum - b.prioritySum ||
    a.victims.length - b.victims.length
  )
}

function selectVictims(
  state: ClusterState,
  pod: PodRequirements,
  { slot, isProtected }: { slot: number; isProtected: (uid: string) => boolean },
): Candidate | undefined {
  const nodeName = state.names[slot]!
  const lower = [...state.podsOn[slot]!.values()].filter((placed) => placed.pod.priority < pod.priority)
  if (lower.length === 0) return undefined
  for (const { pod: victim } of lower) state.removePod(victim.uid)
  const victims = new Map<string, PlacedPod>(lower.map((placed) => [placed.pod.uid, placed]))
  const fits = prepareFilters(state, pod)(slot) === undefined
  if (fits) {
    // Give pods back, the protected and important ones first, while the newcomer still fits.
    const order = lower.toSorted(
      (a, b) => Number(isProtected(b.pod.uid)) - Number(isProtected(a.pod.uid)) || b.pod.priority - a.pod.priority,
    )
    for (const placed of order) {
      state.putPod(placed.pod, nodeName)
      if (prepareFilters(state, pod)(slot) === undefined) victims.delete(placed.pod.uid)
      else state.removePod(placed.pod.uid)
    }
  }
  const chosen = [...victims.values()].map((placed) => placed.pod)
  for (const victim of chosen) state.putPod(victim, nodeName)
  if (!fits || chosen.length === 0) return undefined
  return {
    nodeName,
    victims: chosen,
    highestVictim: chosen.reduce((high, victim) => Math.max(high, victim.priority), -Infinity),
    // Shifted so that many low ones never look better than one: as upstream sums from the lowest priority up.
    prioritySum: chosen.reduce((sum, victim) => sum + victim.priority + 2 ** 31, 0),
    disrupted: chosen.filter((victim) => isProtected(victim.uid)).length,
  }
}
