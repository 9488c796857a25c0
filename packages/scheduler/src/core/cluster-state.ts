import { outranks, sharedPriority, type MaxPriorityOf, type Stored } from '@centaurus/api'
import type { Node } from '@centaurus/api/core/v1'
import { splitDeviceAmounts } from '@centaurus/api/gpu'
import { assert } from '@centaurus/base'
import { foreignPodsBelow, foreignPriorities, type ForeignPod, type ForeignUse } from './foreign-use.ts'
import { planGpus } from './gpu/gpu-fit.ts'
import { NO_GPUS, type GpuPlan, type GpuUse } from './gpu/gpu-table.ts'
import { NodeTable, type NodeUse } from './node-table.ts'
import { PodClasses, type PodClass } from './pod-class.ts'
import type { PodFootprint } from './pod-footprint.ts'
import type { PodRequirements } from './pod-requirements.ts'
import { PodTable, type PlacedFootprint } from './pod-table.ts'
import { PriorityCounts } from './priority-counts.ts'
import type { Refusals } from './refusals.ts'
import { CPU, MEMORY, type ResourceIndex } from './resources.ts'
import { TermHolders } from './term-holders.ts'
import { Trackers, type Tracker } from './trackers.ts'

/** A pod that uses a node: bound, or assumed to be by us. */
export interface Placement {
  readonly nodeName: string
  readonly footprint: PodFootprint
}

/**
 * The cluster as the scheduler counts it: nodes by slot, placed pods, and what is derived from both and kept up to date: use of
 * nodes, counts by topology domain. Reading is what the pure core does; only the loop changes it.
 *
 * Invariant: the requests counted on a slot are the sum over the pods placed there and what others said they use.
 */
export class ClusterState {
  readonly nodes = new NodeTable()
  readonly pods = new PodTable()
  readonly trackers = new Trackers(this.nodes, {
    added: (tracker) => this.#startTracking(tracker),
    removed: (tracker) => this.#stopTracking(tracker),
  })
  readonly holders = new TermHolders(this.trackers)
  readonly #classes = new PodClasses(this)
  /** Use by other partitions, by slot. */
  readonly #foreign = new Map<number, NodeUse & { readonly use: ForeignUse }>()
  readonly #maxPriorityOf: MaxPriorityOf
  readonly #priorities: PriorityCounts
  #version = 0
  /** Versions given out, those of what was only tried included: none is given twice. */
  #versions = 0

  /** `maxPriorityOf`: what tenants were granted; by default nothing. */
  constructor({ maxPriorityOf = () => 0 }: { readonly maxPriorityOf?: MaxPriorityOf | undefined } = {}) {
    this.#maxPriorityOf = maxPriorityOf
    this.#priorities = new PriorityCounts(maxPriorityOf)
  }

  get resources(): ResourceIndex {
    return this.nodes.resources
  }

  get nodeCount(): number {
    return this.nodes.presentCount
  }

  get slotCount(): number {
    return this.nodes.slotCount
  }

  /** Changes whenever anything does that a decision could depend on. */
  get version(): number {
    return this.#version
  }

  slotOf(nodeName: string): number | undefined {
    const slot = this.nodes.slotOf(nodeName)
    return slot !== undefined && this.nodes.present[slot] === 1 ? slot : undefined
  }

  placement(uid: string): Placement | undefined {
    const row = this.pods.rowOf(uid)
    if (row === undefined) return undefined
    return {
      nodeName: this.nodes.names[this.pods.slotAt(row)]!,
      footprint: this.pods.footprintAt(row).footprint,
    }
  }

  allocatable(slot: number, column: number): number {
    return this.nodes.allocatable(slot, column)
  }

  requested(slot: number, column: number): number {
    return this.nodes.requested(slot, column)
  }

  /** Whether there are pods whose room this one may take. */
  hasPodsBelow(pod: PodFootprint): boolean {
    return this.#priorities.hasBelow(pod)
  }

  /** Whether `a` may take the room of `b`. */
  outranks(a: PodFootprint, b: PodFootprint): boolean {
    return outranks(a, b, this.#maxPriorityOf)
  }

  /** How important `pod` is in the eyes of `other`: both may be of different tenants. */
  rankFor(pod: PodFootprint, other: PodFootprint): number {
    return pod.tenant === other.tenant ? pod.priority : sharedPriority(pod, this.#maxPriorityOf)
  }

  /** Pods of other partitions on a node whose room this one may take. */
  foreignPodsBelow(pod: PodFootprint, slot: number): readonly ForeignPod[] {
    const use = this.#foreign.get(slot)?.use
    return use === undefined ? [] : foreignPodsBelow(use, sharedPriority(pod, this.#maxPriorityOf), this.resources)
  }

  /** Whether less important pods are on their way out of the node. */
  isMakingRoom(nodeName: string, pod: PodFootprint): boolean {
    return this.leavingPods(nodeName).some(({ footprint }) => this.outranks(pod, footprint))
  }

  /** Pods that were told to leave the node. */
  leavingPods(nodeName: string): readonly { readonly uid: string; readonly footprint: PodFootprint }[] {
    const slot = this.slotOf(nodeName)
    const leaving: { uid: string; footprint: PodFootprint }[] = []
    if (slot === undefined) return leaving
    for (let row = this.pods.firstOn(slot); row >= 0; row = this.pods.nextOn(row)) {
      const { footprint } = this.pods.footprintAt(row)
      if (footprint.isTerminating) leaving.push({ uid: this.pods.uidAt(row), footprint })
    }
    return leaving
  }

  /** What the verdicts of pod classes mean. */
  get refusals(): Refusals {
    return this.#classes.refusals
  }

  /** What is prepared for pods of these requirements. */
  classOf(requirements: PodRequirements): PodClass {
    return this.#classes.get(requirements)
  }

  /** Adds a node or takes over what changed of it. */
  putNode(node: Stored<Node>): void {
    const slot = this.nodes.takeSlot(node.metadata.name)
    this.#reshape(slot, () => this.nodes.describe(slot, node))
  }

  /** Its pods stay known, in case it comes back. */
  removeNode(name: string): void {
    const slot = this.slotOf(name)
    if (slot === undefined) return
    this.#reshape(slot, () => this.nodes.erase(slot))
    this.#freeIfUnused(slot)
  }

  /** Whether the node's partition can't be reached. Returns whether that is new; nothing happens for a node that is not there. */
  setAway(nodeName: string, isAway: boolean): boolean {
    const slot = this.slotOf(nodeName)
    if (slot === undefined || (this.nodes.away[slot] === 1) === isAway) return false
    this.nodes.away[slot] = isAway ? 1 : 0
    this.nodes.touch(slot)
    this.#changed()
    return true
  }

  /** What pods of other partitions use of a node: counted like requests of pods here. Replaces what was said before. */
  setForeignUse(nodeName: string, use: ForeignUse): void {
    const isNothing = Object.values(use.requests).every((amount) => amount === 0) && (use.ports ?? []).length === 0
    if (isNothing && this.nodes.slotOf(nodeName) === undefined) return
    const slot = this.nodes.takeSlot(nodeName)
    const before = this.#foreign.get(slot)
    if (before !== undefined) this.#countForeign(slot, before, -1)
    this.#foreign.delete(slot)
    if (isNothing) this.nodes.gpus.setForeign(slot, NO_GPUS)
    if (!isNothing) {
      const { others, ...gpus } = splitDeviceAmounts(use.requests)
      const requests = this.resources.vectorOf(others)
      this.nodes.gpus.setForeign(slot, gpus)
      const after = { requests, scoredCpuMillicores: requests[CPU]!, scoredMemoryBytes: requests[MEMORY]!, use }
      this.#foreign.set(slot, after)
      this.#countForeign(slot, after, 1)
    }
    this.#changed()
    this.#freeIfUnused(slot)
  }

  /** Counts a pod of another partition as gone from its node, or as there again: only within {@link simulate}. */
  countForeignPod(slot: number, { requests, gpus }: Pick<ForeignPod, 'requests' | 'gpus'>, sign: 1 | -1): void {
    this.nodes.gpus.countForeign(slot, gpus, sign)
    this.nodes.count(slot, { requests, scoredCpuMillicores: 0, scoredMemoryBytes: 0 }, sign)
    this.#changed()
  }

  /** Learns from a pod, once, which pods come that ask for GPUs. */
  observe({ gpu, requests }: PodFootprint): void {
    if (gpu !== undefined) this.nodes.gpus.typical.observe(gpu, requests)
  }

  /** Gives a pod devices of a node that it fits on, and counts it there. Undefined: it uses none that are known. */
  place(uid: string, footprint: PodFootprint, nodeName: string): GpuPlan | undefined {
    this.removePod(uid)
    const slot = footprint.gpu === undefined ? undefined : this.slotOf(nodeName)
    const plan =
      slot === undefined ? undefined : planGpus(this.nodes.gpus, slot, { footprint, free: this.nodes.freeOf(slot) })
    this.putPod(uid, footprint, nodeName, plan?.use)
    return plan
  }

  /** What a pod uses of GPUs; undefined: none. */
  gpuUse(uid: string): GpuUse | undefined {
    return this.nodes.gpus.useOf(uid)
  }

  /**
   * Counts a pod as using a node, which may not be known yet; replaces what was known of the pod. `gpus`: its devices; absent: nobody knows which
   * they are, if it asks for any.
   */
  putPod(uid: string, footprint: PodFootprint, nodeName: string, gpus?: GpuUse): void {
    this.removePod(uid)
    const slot = this.nodes.takeSlot(nodeName)
    const placed = this.pods.footprint(footprint.key) ?? this.#addFootprint(footprint)
    this.pods.add(uid, slot, placed)
    if (footprint.gpu !== undefined)
      this.nodes.gpus.put(uid, slot, gpus ?? { grants: [], unknown: footprint.gpu.deviceCount })
    this.#countPod(slot, placed, 1)
  }

  removePod(uid: string): void {
    const row = this.pods.rowOf(uid)
    if (row === undefined) return
    const slot = this.pods.slotAt(row)
    const placed = this.pods.footprintAt(row)
    this.pods.remove(row)
    if (placed.footprint.gpu !== undefined) this.nodes.gpus.remove(uid)
    this.#countPod(slot, placed, -1)
    if (placed.pods === 0) {
      this.pods.removeFootprint(placed)
      this.holders.remove(placed.footprint)
    }
    this.#freeIfUnused(slot)
  }

  /** Lets `work` try changes that it takes back before it returns: whoever looked at {@link version} need not look again. */
  simulate<T>(work: () => T): T {
    const before = this.#version
    const result = work()
    this.#version = before
    return result
  }

  /** Labels of some namespace changed: what terms about namespaces' labels match is counted again. */
  namespacesChanged(): void {
    this.#classes.clear()
    this.#changed()
  }

  #changed(): void {
    this.#version = ++this.#versions
  }

  #addFootprint(footprint: PodFootprint): PlacedFootprint {
    this.holders.add(footprint)
    const placed = this.pods.addFootprint(footprint)
    for (const tracker of this.trackers.about(footprint)) this.#link(tracker, placed)
    return placed
  }

  #countPod(slot: number, placed: PlacedFootprint, sign: 1 | -1): void {
    const { footprint, tracked } = placed
    this.nodes.count(slot, footprint, sign)
    assert(this.requested(slot, CPU) >= 0 && this.requested(slot, MEMORY) >= 0, 'requested ≥ 0')
    this.nodes.ports.count(slot, footprint.hostPorts, sign)
    for (const { tracker, weight } of tracked) tracker.count(slot, sign * weight)
    this.#priorities.count(footprint, sign)
    this.#changed()
  }

  #countForeign(slot: number, foreign: NodeUse & { readonly use: ForeignUse }, sign: 1 | -1): void {
    this.nodes.count(slot, foreign, sign)
    this.nodes.ports.count(slot, foreign.use.ports ?? [], sign)
    for (const priority of foreignPriorities(foreign.use)) this.#priorities.countForeign(priority, sign)
  }

  /** Changes labels, taints or presence of a node: what its pods count for is taken away before and added after. */
  #reshape(slot: number, change: () => void): void {
    this.#track(slot, -1)
    change()
    this.#track(slot, 1)
    this.#changed()
  }

  #track(slot: number, sign: 1 | -1): void {
    for (const tracker of this.trackers.all()) tracker.countNode(slot, sign)
    for (let row = this.pods.firstOn(slot); row >= 0; row = this.pods.nextOn(row)) {
      for (const { tracker, weight } of this.pods.footprintAt(row).tracked) tracker.count(slot, sign * weight)
    }
  }

  #startTracking(tracker: Tracker): void {
    for (const placed of this.pods.footprints(tracker.identityKey)) {
      const weight = this.#link(tracker, placed)
      if (weight === 0) continue
      for (let row = placed.first; row >= 0; row = this.pods.nextAlike(row))
        tracker.count(this.pods.slotAt(row), weight)
    }
  }

  #stopTracking(tracker: Tracker): void {
    for (const { tracked } of this.pods.footprints(tracker.identityKey)) {
      const i = tracked.findIndex((entry) => entry.tracker === tracker)
      if (i >= 0) tracked.splice(i, 1)
    }
  }

  #link(tracker: Tracker, placed: PlacedFootprint): number {
    const weight = tracker.weigh(placed.footprint)
    if (weight !== 0) placed.tracked.push({ tracker, weight })
    return weight
  }

  #freeIfUnused(slot: number): void {
    const isUsed = this.nodes.present[slot] === 1 || this.pods.firstOn(slot) >= 0 || this.#foreign.has(slot)
    if (!isUsed && this.nodes.names[slot] !== undefined) this.nodes.freeSlot(slot)
  }
}
