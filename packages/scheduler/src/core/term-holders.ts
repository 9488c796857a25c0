import type { CompiledAffinityTerm, PodIdentity } from './affinity-terms.ts'
import type { PodFootprint } from './pod-footprint.ts'
import type { Tracker, Trackers } from './trackers.ts'

/** A placed pod's required affinity towards a newcomer counts so much. Source: InterPodAffinityArgs.hardPodAffinityWeight. */
const HARD_AFFINITY_WEIGHT = 1

/** Terms of placed pods that are about a newcomer. */
export interface MatchingTerms {
  /** Where a domain holds any of them, the newcomer may not go. */
  readonly antiAffinity: readonly Tracker[]
  /** What each of a domain's holders adds to its score. */
  readonly scored: readonly { readonly weight: number; readonly tracker: Tracker }[]
}

interface HeldTerm {
  readonly term: CompiledAffinityTerm
  /** What it adds to a score; undefined for anti-affinity that must be held. */
  readonly weight: number | undefined
  readonly tracker: Tracker
  footprints: number
}

/** The terms that placed pods hold about others, and how many pods hold each by topology domain. */
export class TermHolders {
  readonly #trackers: Trackers
  readonly #held = new Map<string, HeldTerm>()
  /** Changes with the terms that are held. */
  version = 0

  constructor(trackers: Trackers) {
    this.#trackers = trackers
  }

  /** Call before the footprint has its first pod. */
  add(footprint: PodFootprint): void {
    for (const { key, term, weight } of termsOf(footprint)) {
      let held = this.#held.get(key)
      if (held === undefined) {
        const weigh = (other: PodFootprint): number => termsOf(other).filter((own) => own.key === key).length
        const tracker = this.#trackers.acquire({ key, topologyKey: term.topologyKey, weigh })
        held = { term, weight, tracker, footprints: 0 }
        this.#held.set(key, held)
        this.version++
      }
      held.footprints++
    }
  }

  /** Call after the footprint has lost its last pod. */
  remove(footprint: PodFootprint): void {
    for (const { key } of termsOf(footprint)) {
      const held = this.#held.get(key)
      if (held === undefined || --held.footprints > 0) continue
      this.#held.delete(key)
      this.#trackers.release(held.tracker)
      this.version++
    }
  }

  /** Cost: all terms that are held. Good until {@link version} changes, or labels of namespaces. */
  matching(identity: PodIdentity): MatchingTerms {
    const antiAffinity: Tracker[] = []
    const scored: { weight: number; tracker: Tracker }[] = []
    for (const { term, weight, tracker } of this.#held.values()) {
      if (!term.matches(identity)) continue
      if (weight === undefined) antiAffinity.push(tracker)
      else scored.push({ weight, tracker })
    }
    return { antiAffinity, scored }
  }
}

interface OwnTerm {
  readonly key: string
  readonly term: CompiledAffinityTerm
  readonly weight: number | undefined
}

function termsOf({ antiAffinity, affinity, preferredAffinity }: PodFootprint): readonly OwnTerm[] {
  if (antiAffinity.length === 0 && affinity.length === 0 && preferredAffinity.length === 0) return []
  return [
    ...antiAffinity.map((term) => ({ key: `holds-anti ${term.key}`, term, weight: undefined })),
    ...affinity.map((term) => ownTerm(term, HARD_AFFINITY_WEIGHT)),
    ...preferredAffinity.map((term) => ownTerm(term, term.weight)),
  ]
}

function ownTerm(term: CompiledAffinityTerm, weight: number): OwnTerm {
  return { key: `holds ${weight} ${term.key}`, term, weight }
}
