import type { ClusterState } from '../core/cluster-state.ts'
import type { PodRequirements } from '../core/pod-requirements.ts'
import { QueueingHints } from '../core/queueing-hints.ts'
import type { SchedulingQueue } from '../core/scheduling-queue.ts'

/** Pods that any change may help. */
const ANY_CHANGE = ''

/** Pods for which there is no node, and what gives them another try. Many changes are looked at together. */
export class Parking {
  readonly #queue: SchedulingQueue
  readonly #hints: QueueingHints
  /** What parked pods of a group require. */
  readonly #required = new Map<string, PodRequirements>()
  /** Nobody will ask soon what changed. */
  isIdle = false
  #isMoving = false

  constructor(state: ClusterState, queue: SchedulingQueue) {
    this.#queue = queue
    this.#hints = new QueueingHints(state)
  }

  /** No node fits the pod, which is in flight. `requirements`: what a change must help; absent: any change may help. */
  park(uid: string, requirements: PodRequirements | undefined): void {
    const group = requirements?.key ?? ANY_CHANGE
    if (requirements !== undefined) this.#required.set(group, requirements)
    this.#queue.fail(uid, { park: true, group })
  }

  /** The node offers more, or something on it went away. */
  noteNode(name: string): void {
    this.#hints.noteNode(name)
    this.#moveSoon()
  }

  /** A pod got a node: others may want to be near it, or evenly spread from it. */
  notePlaced(): void {
    this.#hints.notePlaced()
    this.#moveSoon()
  }

  /** Something changed that may help any pod. */
  noteAnything(): void {
    this.#hints.noteAnything()
    this.#moveSoon()
  }

  /** Something changed that may help pods whose obstacle is not a node: a claim. */
  noteObstacle(): void {
    this.#queue.moveGroup(ANY_CHANGE)
  }

  /** Gives pods another try that what changed could help. Cost: the kinds of pods that are parked. */
  moveHelped(): void {
    this.#isMoving = false
    if (this.#hints.isEmpty) return
    for (const group of this.#queue.parkedGroups) {
      const requirements = this.#required.get(group)
      const mayHelp = requirements === undefined ? group === ANY_CHANGE : this.#hints.mayHelp(requirements)
      if (mayHelp) this.#queue.moveGroup(group)
    }
    this.#hints.clear()
    const waiting = new Set(this.#queue.parkedGroups)
    for (const group of this.#required.keys()) if (!waiting.has(group)) this.#required.delete(group)
  }

  #moveSoon(): void {
    if (this.#isMoving || !this.isIdle) return
    this.#isMoving = true
    queueMicrotask(() => this.moveHelped())
  }
}
