import type { ClusterState, PlacedPod } from './cluster-state.ts'
import type { Refusal } from './filters.ts'
import type { CompiledAffinityTerm, PodRequirements } from './pod-requirements.ts'
import { NO_VALUE } from './topology.ts'

/**
 * Required pod affinity and anti-affinity of one pod against all placed pods, counted once a decision; then a check a node is a
 * few array look-ups. Source: scheduler framework/plugins/interpodaffinity/filtering.go, v1.37.
 */
export interface PodAffinityCheck {
  refuse(slot: number): Refusal | undefined
}

/** How many matching pods each value of a topology key holds, for one term. */
interface TermCounts {
  readonly values: Int32Array
  readonly counts: Int32Array
  total: number
}

/** Undefined when no term can matter, which is the common case. */
export function preparePodAffinity(state: ClusterState, pod: PodRequirements): PodAffinityCheck | undefined {
  if (pod.affinity.length === 0 && pod.antiAffinity.length === 0 && state.withAntiAffinity.size === 0) return undefined
  const affinity = countAffinity(state, pod)
  const anti = pod.antiAffinity.map((term) => countTerm(state, term, (placed) => term.matches(placed.pod)))
  const existing = countExistingAntiAffinity(state, pod)
  // The first pod of a group that wants to be near itself may go anywhere.
  const isFirst = affinity.every(({ total }) => total === 0) && pod.affinity.every((term) => term.matches(pod))
  return {
    refuse(slot) {
      if (!affinity.every((term) => holdsAffinity(term, slot, isFirst)))
        return refusal("node(s) didn't match pod affinity rules", true)
      if (anti.some((term) => countAt(term, slot) > 0))
        return refusal("node(s) didn't match pod anti-affinity rules", false)
      if (existing.some((term) => countAt(term, slot) > 0)) {
        return refusal("node(s) didn't satisfy existing pods anti-affinity rules", false)
      }
      return undefined
    },
  }
}

function refusal(reason: string, unresolvable: boolean): Refusal {
  return { reasons: [reason], unresolvable }
}

function holdsAffinity(term: TermCounts, slot: number, isFirst: boolean): boolean {
  if ((term.values[slot] ?? NO_VALUE) === NO_VALUE) return false
  return isFirst || countAt(term, slot) > 0
}

function countAt({ values, counts }: TermCounts, slot: number): number {
  const value = values[slot] ?? NO_VALUE
  return value === NO_VALUE ? 0 : counts[value]!
}

/** An existing pod counts for affinity only when it matches all the terms together. */
function countAffinity(state: ClusterState, pod: PodRequirements): TermCounts[] {
  const matchesAll = (placed: PlacedPod): boolean => pod.affinity.every((term) => term.matches(placed.pod))
  return pod.affinity.map((term) => countTerm(state, term, matchesAll))
}

function countTerm(
  state: ClusterState,
  term: CompiledAffinityTerm,
  matches: (placed: PlacedPod) => boolean,
): TermCounts {
  const column = state.topology(term.topologyKey)
  const counts = new Int32Array(column.valueCount)
  let total = 0
  for (const pods of state.byNamespace.values()) {
    for (const placed of pods.values()) {
      const value = column.values[placed.slot] ?? NO_VALUE
      if (value === NO_VALUE || !matches(placed)) continue
      counts[value]!++
      total++
    }
  }
  return { values: column.values, counts, total }
}

function countExistingAntiAffinity(state: ClusterState, pod: PodRequirements): TermCounts[] {
  const byKey = new Map<string, TermCounts>()
  for (const placed of state.withAntiAffinity.values()) {
    for (const term of placed.pod.antiAffinity) {
      if (!term.matches(pod)) continue
      const column = state.topology(term.topologyKey)
      const value = column.values[placed.slot] ?? NO_VALUE
      if (value === NO_VALUE) continue
      const known = byKey.get(term.topologyKey) ?? {
        values: column.values,
        counts: new Int32Array(column.valueCount),
        total: 0,
      }
      known.counts[value]!++
      known.total++
      byKey.set(term.topologyKey, known)
    }
  }
  return [...byKey.values()]
}

/** Sum of preferred terms by node, both the pod's own and those of placed pods towards it. Higher is better; undefined: no terms. */
export function scorePodAffinity(state: ClusterState, pod: PodRequirements): ((slot: number) => number) | undefined {
  if (pod.preferredAffinity.length === 0 && state.withAffinity.size === 0) return undefined
  const byKey = new Map<string, Float64Array>()
  const add = (key: string, slot: number, weight: number): void => {
    const column = state.topology(key)
    const value = column.values[slot] ?? NO_VALUE
    if (value === NO_VALUE) return
    const sums = byKey.get(key) ?? new Float64Array(column.valueCount)
    sums[value]! += weight
    byKey.set(key, sums)
  }
  for (const placed of state.withAffinity.values()) {
    for (const term of placed.pod.preferredAffinity)
      if (term.matches(pod)) add(term.topologyKey, placed.slot, term.weight)
    for (const term of placed.pod.affinity)
      if (term.matches(pod)) add(term.topologyKey, placed.slot, HARD_AFFINITY_WEIGHT)
  }
  for (const term of pod.preferredAffinity) {
    for (const pods of state.byNamespace.values()) {
      for (const placed of pods.values()) if (term.matches(placed.pod)) add(term.topologyKey, placed.slot, term.weight)
    }
  }
  if (byKey.size === 0) return undefined
  const columns = [...byKey].map(([key, sums]) => ({ values: state.topology(key).values, sums }))
  return (slot) =>
    columns.reduce(
      (sum, { values, sums }) => ((values[slot] ?? NO_VALUE) === NO_VALUE ? sum : sum + sums[values[slot]!]!),
      0,
    )
}

/** A placed pod's required affinity towards the newcomer counts so much. Source: InterPodAffinityArgs.hardPodAffinityWeight. */
const HARD_AFFINITY_WEIGHT = 1
