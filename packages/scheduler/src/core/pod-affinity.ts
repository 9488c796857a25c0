import type { CompiledAffinityTerm } from './affinity-terms.ts'
import type { PodFootprint } from './pod-footprint.ts'
import type { PodRequirements } from './pod-requirements.ts'
import { resolvable, unresolvable, type Refusal } from './refusals.ts'
import { SCORE_MAX } from './resource-scores.ts'
import type { MatchingTerms, TermHolders } from './term-holders.ts'
import { NO_VALUE } from './topology.ts'
import type { Scoring } from './scores.ts'
import type { Slots, Tracker, TrackerInit } from './trackers.ts'

const AFFINITY = unresolvable("node(s) didn't match pod affinity rules")
const ANTI_AFFINITY = resolvable("node(s) didn't match pod anti-affinity rules")
const EXISTING_ANTI_AFFINITY = resolvable("node(s) didn't satisfy existing pods anti-affinity rules")

/** Pod affinity and anti-affinity of one class of pods. Source: framework/plugins/interpodaffinity, v1.37. */
export interface PodAffinity {
  /** For each required term: placed pods that match all of them, by the term's domains. */
  readonly required: readonly Tracker[]
  /** The pod matches its own required terms: the first of its kind may go anywhere. */
  readonly matchesItself: boolean
  readonly anti: readonly Tracker[]
  readonly preferred: readonly { readonly weight: number; readonly tracker: Tracker }[]
  /** Terms of placed pods about this class. */
  readonly held: () => MatchingTerms
}

/** Starts counting what the class's terms are about. */
export function preparePodAffinity(
  holders: TermHolders,
  { footprint }: PodRequirements,
  acquire: (init: TrackerInit) => Tracker,
): PodAffinity {
  const { affinity, antiAffinity, preferredAffinity } = footprint
  const matchesAll = (other: PodFootprint): boolean => affinity.every((term) => term.matches(other))
  const allKey = JSON.stringify(affinity.map(({ key }) => key))
  const track = (term: CompiledAffinityTerm): Tracker =>
    acquire({
      key: `matches ${term.key}`,
      topologyKey: term.topologyKey,
      weigh: (other) => (term.matches(other) ? 1 : 0),
    })
  let held: MatchingTerms | undefined
  let version = -1
  return {
    // A placed pod counts for affinity only when it matches all the terms together.
    required: affinity.map(({ topologyKey }) =>
      acquire({
        key: `matches all ${topologyKey} ${allKey}`,
        topologyKey,
        weigh: (other) => (matchesAll(other) ? 1 : 0),
      }),
    ),
    matchesItself: matchesAll(footprint),
    anti: antiAffinity.map(track),
    preferred: preferredAffinity.map((term) => ({ weight: term.weight, tracker: track(term) })),
    held() {
      if (held === undefined || version !== holders.version) held = holders.matching(footprint)
      version = holders.version
      return held
    },
  }
}

/** Whether the node's domains hold what the pod needs, and nothing that it or others shun. Undefined: nothing to check. */
export function checkPodAffinity(affinity: PodAffinity): ((slot: number) => Refusal | undefined) | undefined {
  const { required, anti, matchesItself } = affinity
  const existing = affinity.held().antiAffinity.filter(({ counts }) => counts.total > 0)
  if (required.length === 0 && anti.length === 0 && existing.length === 0) return undefined
  const isFirst = matchesItself && required.every(({ counts }) => counts.total === 0)
  return (slot) => {
    for (let i = 0; i < required.length; i++) {
      const tracker = required[i]!
      const domain = tracker.domainOf(slot)
      if (domain === NO_VALUE || (!isFirst && tracker.counts.get(domain) <= 0)) return AFFINITY
    }
    for (let i = 0; i < anti.length; i++) if (anti[i]!.at(slot) > 0) return ANTI_AFFINITY
    for (let i = 0; i < existing.length; i++) if (existing[i]!.at(slot) > 0) return EXISTING_ANTI_AFFINITY
    return undefined
  }
}

/** Preferred terms, the pod's own and those of placed pods towards it: 0 to 100 times `weight`, added to `totals`. */
export function scorePodAffinity(affinity: PodAffinity, feasible: Slots, { weight, totals, scratch }: Scoring): void {
  const { preferred } = affinity
  const { scored } = affinity.held()
  if (preferred.length === 0 && scored.length === 0) return
  const sums = scratch.fill(0, 0, feasible.count)
  for (const term of [...preferred, ...scored]) {
    if (term.tracker.counts.total !== 0) term.tracker.addTo(sums, feasible, { weight: term.weight, plus: 0 })
  }
  let low = Infinity
  let high = -Infinity
  for (let i = 0; i < feasible.count; i++) {
    const sum = sums[i]!
    if (sum < low) low = sum
    if (sum > high) high = sum
  }
  if (high === low) return
  for (let i = 0; i < feasible.count; i++)
    totals[i]! += weight * Math.floor(SCORE_MAX * ((sums[i]! - low) / (high - low)))
}
