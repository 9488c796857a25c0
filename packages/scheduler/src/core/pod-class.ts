import type { ClusterState } from './cluster-state.ts'
import type { FitFailure } from './decide.ts'
import {
  emptyVerdictArrays,
  GPU_VERDICT_BYTES_PER_SLOT,
  NodeVerdicts,
  VERDICT_BYTES_PER_SLOT,
  type VerdictArrays,
} from './node-verdicts.ts'
import { preparePodAffinity, type PodAffinity } from './pod-affinity.ts'
import type { PodRequirements } from './pod-requirements.ts'
import { Refusals } from './refusals.ts'
import { prepareSpread, type Spread } from './spread.ts'
import type { Tracker } from './trackers.ts'

/** Classes that are kept ready. */
const CLASSES_MAX = 1_024
/** Memory for what classes remember of nodes. */
const VERDICT_BYTES_MAX = 48 * 2 ** 20
/** Classes that remember nodes whatever that takes. */
const REMEMBERING_MIN = 4

/** What holds as long as the state has this version. */
export interface KnownFailure {
  readonly version: number
  readonly failure: FitFailure
  /** Removing other pods does not help either. */
  isHopeless: boolean
}

/** All pods with the same requirements, and what is prepared for them. */
export class PodClass {
  readonly requirements: PodRequirements
  readonly verdicts: NodeVerdicts
  readonly spread: Spread
  readonly affinity: PodAffinity
  /** Why none of them fitted, as long as nothing changed. */
  failure: KnownFailure | undefined
  readonly #trackers: Tracker[] = []
  readonly #state: ClusterState

  constructor(state: ClusterState, requirements: PodRequirements, refusals: Refusals) {
    this.#state = state
    this.requirements = requirements
    this.verdicts = new NodeVerdicts(state.nodes, requirements, refusals)
    const acquire = (init: Parameters<typeof state.trackers.acquire>[0]): Tracker => {
      const tracker = state.trackers.acquire(init)
      this.#trackers.push(tracker)
      return tracker
    }
    this.spread = prepareSpread(state.nodes, requirements, acquire)
    this.affinity = preparePodAffinity(state.holders, requirements, acquire)
  }

  /** Whether other pods matter for which nodes fit, beyond what they use of each. */
  get dependsOnPods(): boolean {
    const { required, anti, held } = this.affinity
    return this.spread.hard.length > 0 || required.length > 0 || anti.length > 0 || held().antiAffinity.length > 0
  }

  /** Gives up what it holds. */
  release(): void {
    for (const tracker of this.#trackers.splice(0)) this.#state.trackers.release(tracker)
  }
}

/** The classes that were asked for last. */
export class PodClasses {
  readonly refusals = new Refusals()
  readonly #state: ClusterState
  /** Least recently used first. */
  readonly #classes = new Map<string, PodClass>()
  /** Those that remember nodes, least recently used first. */
  readonly #remembering = new Set<PodClass>()
  #last: PodClass | undefined

  constructor(state: ClusterState) {
    this.#state = state
  }

  get(requirements: PodRequirements): PodClass {
    const last = this.#last
    if (last !== undefined && last.requirements.key === requirements.key) return last
    let found = this.#classes.get(requirements.key)
    this.#classes.delete(requirements.key)
    if (found === undefined) {
      found = new PodClass(this.#state, requirements, this.refusals)
      if (this.#classes.size >= CLASSES_MAX) this.#dropOldest()
    }
    this.#classes.set(requirements.key, found)
    if (requirements.nodeNames === undefined) this.#remember(found)
    this.#last = found
    return found
  }

  clear(): void {
    for (const each of this.#classes.values()) each.release()
    this.#classes.clear()
    this.#remembering.clear()
    this.#last = undefined
  }

  #dropOldest(): void {
    const [oldest] = this.#classes.values()
    if (oldest === undefined) return
    this.#classes.delete(oldest.requirements.key)
    this.#remembering.delete(oldest)
    oldest.release()
  }

  #remember(chosen: PodClass): void {
    this.#remembering.delete(chosen)
    this.#remembering.add(chosen)
    if (chosen.verdicts.hasArrays) return
    const { nodes, slotCount } = this.#state
    const each = VERDICT_BYTES_PER_SLOT + (nodes.gpus.nodeCount > 0 ? GPU_VERDICT_BYTES_PER_SLOT : 0)
    const bytes = each * Math.max(1, slotCount)
    const max = Math.max(REMEMBERING_MIN, Math.floor(VERDICT_BYTES_MAX / bytes))
    let spare: VerdictArrays | undefined
    while (this.#remembering.size > max) {
      const [oldest] = this.#remembering
      this.#remembering.delete(oldest!)
      spare = oldest!.verdicts.takeArrays()
    }
    chosen.verdicts.giveArrays(spare ?? emptyVerdictArrays())
  }
}
