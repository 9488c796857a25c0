import type { ClusterState } from './cluster-state.ts'
import { prepareRefuse } from './decide.ts'
import type { PodRequirements } from './pod-requirements.ts'

/** What changed since pods were parked, gathered until it is asked about: a change costs the kinds of pods that wait, not the pods. */
export class QueueingHints {
  readonly #state: ClusterState
  /** Nodes that could take more than before. */
  readonly #slots = new Set<number>()
  #isAnything = false
  #isPlaced = false

  constructor(state: ClusterState) {
    this.#state = state
  }

  /** Whether anything changed. */
  get isEmpty(): boolean {
    return this.#slots.size === 0 && !this.#isAnything && !this.#isPlaced
  }

  /** The node changed, or something on it went away. Nothing happens for a node that is not known. */
  noteNode(name: string): void {
    const slot = this.#state.slotOf(name)
    if (slot !== undefined) this.#slots.add(slot)
  }

  /** A pod got a node. */
  notePlaced(): void {
    this.#isPlaced = true
  }

  /** Something changed that may help any pod. */
  noteAnything(): void {
    this.#isAnything = true
  }

  /** Whether pods of these requirements should be tried again. Their volumes are not looked at. */
  mayHelp(requirements: PodRequirements): boolean {
    if (this.#isAnything) return true
    const podClass = this.#state.classOf(requirements)
    const { spread, affinity } = podClass
    if (this.#isPlaced && (spread.hard.length > 0 || affinity.required.length > 0)) return true
    if (this.#slots.size === 0) return false
    // A pod that comes or goes counts in its whole domain for these.
    if (podClass.dependsOnPods) return true
    const refuse = prepareRefuse(this.#state, requirements, undefined)
    for (const slot of this.#slots) if (this.#state.nodes.present[slot] === 1 && refuse(slot) === undefined) return true
    return false
  }

  clear(): void {
    this.#slots.clear()
    this.#isAnything = false
    this.#isPlaced = false
  }
}
