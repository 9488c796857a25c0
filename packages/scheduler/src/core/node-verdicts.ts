import type { Toleration } from '@centaurus/api/core/v1'
import { countIntolerablePreferences, tolerates, toleratesAll } from '@centaurus/api/scheduling'
import { grown } from './columns.ts'
import { fitGpus, gpuKey } from './gpu/gpu-fit.ts'
import type { NodeTable } from './node-table.ts'
import type { PodRequirements } from './pod-requirements.ts'
import { byNature, FITS, resolvable, type Refusal, type Refusals } from './refusals.ts'
import { PODS } from './resources.ts'
import type { Slots } from './trackers.ts'
import { balancedAllocation, imageLocality, leastAllocated } from './resource-scores.ts'

const UNSCHEDULABLE_TAINT = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
const UNSCHEDULABLE = byNature('node(s) were unschedulable')
const AWAY = byNature('node(s) were in a resource partition that could not be reached')
const TAINTED = byNature('node(s) had untolerated taint(s)')
const NOT_SELECTED = byNature("node(s) didn't match Pod's node affinity/selector")
const NO_PORTS = resolvable("node(s) didn't have free ports for the requested pod ports")

/** Memory that the arrays of one pod class take for each node slot; half as much again for one that prefers nodes. */
export const VERDICT_BYTES_PER_SLOT = 8
/** And where some node says which GPUs it has. */
export const GPU_VERDICT_BYTES_PER_SLOT = 8

/** Memory of a class's verdicts, which another class may take over. */
export interface VerdictArrays {
  seen: Uint32Array
  verdicts: Uint16Array
  scores: Int16Array
  /** Where some node says which GPUs it has. */
  gpuScores: Float64Array
  /** Of a class that prefers nodes. */
  preferences: Int32Array
}

/** Slots to look at. */
export interface CollectRange {
  readonly from: number
  readonly to: number
  readonly enough: number
  /** What else must hold. */
  readonly check: ((slot: number) => boolean) | undefined
  /** Counts the nodes that were looked at. */
  evaluated: number
}

/** Arrays for a class that has none to take over. */
export function emptyVerdictArrays(): VerdictArrays {
  return {
    seen: new Uint32Array(0),
    verdicts: new Uint16Array(0),
    scores: new Int16Array(0),
    gpuScores: new Float64Array(0),
    preferences: new Int32Array(0),
  }
}

/**
 * What one class of pods makes of each node by itself: whether it fits, and the scores that do not depend on other nodes.
 * With arrays a node is judged again only after it changed; without (for a class that looks at few nodes) each time.
 */
export class NodeVerdicts {
  readonly #nodes: NodeTable
  readonly #pod: PodRequirements
  readonly #refusals: Refusals
  readonly #toleratesCordon: boolean
  readonly #gpuKey: string
  /** By set of taints: 0 not looked at, 1 tolerated, 2 not. */
  #tolerated = new Uint8Array(0)
  readonly #short = new Map<number, Refusal>()
  #arrays: VerdictArrays | undefined
  #images = ''
  #verdict = FITS
  #score = 0
  #gpuScore = 0
  #mixVersion = 0
  #preference = 0

  constructor(nodes: NodeTable, pod: PodRequirements, refusals: Refusals) {
    this.#nodes = nodes
    this.#pod = pod
    this.#refusals = refusals
    this.#gpuKey = gpuKey(pod.footprint)
    this.#toleratesCordon = pod.tolerations.some((item: Toleration) => tolerates(item, UNSCHEDULABLE_TAINT))
  }

  get hasArrays(): boolean {
    return this.#arrays !== undefined
  }

  /** Remembers verdicts from now on. */
  giveArrays(arrays: VerdictArrays): void {
    arrays.seen.fill(0)
    this.#arrays = arrays
  }

  /** Forgets, and gives the memory back. */
  takeArrays(): VerdictArrays | undefined {
    const arrays = this.#arrays
    this.#arrays = undefined
    return arrays
  }

  /** Must be called after nodes changed and before nodes are asked about. */
  prepare(): void {
    const images = this.#describeImages()
    const arrays = this.#arrays
    const { gpus } = this.#nodes
    const mixVersion = gpus.nodeCount === 0 ? 0 : gpus.typical.mix.version
    if (images !== this.#images || mixVersion !== this.#mixVersion) arrays?.seen.fill(0)
    this.#mixVersion = mixVersion
    this.#images = images
    if (arrays === undefined) return
    const { slotCount } = this.#nodes
    if (this.#pod.preferredNodes.length > 0) arrays.preferences = grown(arrays.preferences, slotCount)
    if (gpus.nodeCount > 0) arrays.gpuScores = grown(arrays.gpuScores, slotCount)
    if (slotCount <= arrays.seen.length) return
    arrays.seen = grown(arrays.seen, slotCount)
    arrays.verdicts = grown(arrays.verdicts, slotCount)
    arrays.scores = grown(arrays.scores, slotCount)
  }

  /** {@link FITS}, or the number of a refusal. */
  verdictAt(slot: number): number {
    const arrays = this.#arrays
    if (arrays === undefined) {
      this.#judge(slot)
      return this.#verdict
    }
    if (arrays.seen[slot] !== this.#nodes.versions[slot]) this.#remember(slot, arrays)
    return arrays.verdicts[slot]!
  }

  /** Free and balanced resources, or GPUs, and images, of nodes that fit. */
  copyScores(totals: Float64Array, { slots, count }: Slots): void {
    const arrays = this.#arrays
    const hasGpus = this.#nodes.gpus.nodeCount > 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      if (arrays === undefined) this.#judge(slot)
      totals[i] = arrays === undefined ? this.#score : arrays.scores[slot]!
      if (hasGpus) totals[i]! += arrays === undefined ? this.#gpuScore : arrays.gpuScores[slot]!
    }
  }

  /** Whether GPUs decide: then all nodes are looked at, and the first of equal ones is taken. */
  get weighsGpus(): boolean {
    const { gpus, presentCount } = this.#nodes
    return gpus.nodeCount > 0 && (this.#pod.footprint.gpu !== undefined || gpus.nodeCount * 2 > presentCount)
  }

  /** Puts slots from `from` to before `to` that fit into `found`, until it holds `enough`. Returns where it stopped. */
  collect(found: { readonly slots: Int32Array; count: number }, range: CollectRange): number {
    const { enough, check } = range
    const { present, versions } = this.#nodes
    const arrays = this.#arrays
    let slot = range.from
    for (; slot < range.to && found.count < enough; slot++) {
      if (present[slot] === 0) continue
      range.evaluated++
      const isKnown = arrays !== undefined && arrays.seen[slot] === versions[slot]
      const verdict = isKnown ? arrays.verdicts[slot]! : this.verdictAt(slot)
      if (verdict !== FITS || (check !== undefined && !check(slot))) continue
      found.slots[found.count++] = slot
    }
    return slot
  }

  /** Sum of the weights of preferred terms that match; of a node that fits. */
  preferenceAt(slot: number): number {
    if (this.#arrays !== undefined) return this.#arrays.preferences[slot]!
    this.#judge(slot)
    return this.#preference
  }

  /** Whether any node has taints. */
  get hasTaints(): boolean {
    return this.#nodes.taintSets.isUsed
  }

  /** Taints that would rather not have the pod. */
  unwelcomeAt(slot: number): number {
    const taints = this.#nodes.taints[slot]!
    return taints === 0 ? 0 : countIntolerablePreferences(this.#pod.tolerations, this.#nodes.taintSets.get(taints))
  }

  #remember(slot: number, arrays: VerdictArrays): void {
    this.#judge(slot)
    arrays.seen[slot] = this.#nodes.versions[slot]!
    arrays.verdicts[slot] = this.#verdict
    arrays.scores[slot] = this.#score
    if (slot < arrays.gpuScores.length) arrays.gpuScores[slot] = this.#gpuScore
    if (this.#pod.preferredNodes.length > 0) arrays.preferences[slot] = this.#preference
  }

  #judge(slot: number): void {
    const refusal = this.#refuse(slot)
    this.#verdict = refusal === undefined ? FITS : this.#refusals.numberOf(refusal)
    this.#score = 0
    this.#preference = 0
    if (refusal !== undefined) return
    const { images, preferredNodes } = this.#pod
    this.#score = this.#scoreResources(slot) + (this.#images === '' ? 0 : imageLocality(this.#nodes, slot, images))
    for (const term of preferredNodes) {
      if (term.matches(this.#nodes.labels[slot]!, this.#nodes.names[slot]!)) this.#preference += term.weight
    }
  }

  /** Where GPUs are scarce goods, what becomes of them counts, and not how evenly pods are spread. */
  #scoreResources(slot: number): number {
    const nodes = this.#nodes
    if (nodes.gpus.at(slot) !== undefined) return 0
    const { footprint } = this.#pod
    return leastAllocated(nodes, slot, footprint) + balancedAllocation(nodes, slot, footprint)
  }

  /** Checks that look at one node alone, cheapest first; volumes, spreading and pod affinity are checked apart. */
  #refuse(slot: number): Refusal | undefined {
    const nodes = this.#nodes
    const { requiredNodes, footprint } = this.#pod
    if (nodes.away[slot] === 1) return AWAY
    if (nodes.unschedulable[slot] === 1 && !this.#toleratesCordon) return UNSCHEDULABLE
    if (!this.#toleratesTaints(nodes.taints[slot]!)) return TAINTED
    if (requiredNodes !== undefined && !requiredNodes.matches(nodes.labels[slot]!, nodes.names[slot]!))
      return NOT_SELECTED
    if (footprint.hostPorts.length > 0 && !nodes.ports.areFree(slot, footprint.hostPorts)) return NO_PORTS
    return this.#refuseResources(slot) ?? this.#refuseGpus(slot)
  }

  #toleratesTaints(set: number): boolean {
    if (set === 0) return true
    this.#tolerated = grown(this.#tolerated, set + 1)
    if (this.#tolerated[set] === 0)
      this.#tolerated[set] = toleratesAll(this.#pod.tolerations, this.#nodes.taintSets.get(set)) ? 1 : 2
    return this.#tolerated[set] === 1
  }

  /** Works out the score on the way. */
  #refuseGpus(slot: number): Refusal | undefined {
    this.#gpuScore = 0
    const nodes = this.#nodes
    const { footprint } = this.#pod
    if (footprint.gpuError !== undefined)
      return byNature(`pod asked for GPUs in a way that means nothing: ${footprint.gpuError}`)
    if (footprint.gpu === undefined && nodes.gpus.at(slot) === undefined) return undefined
    const fit = fitGpus(nodes.gpus, slot, { footprint, key: this.#gpuKey, free: nodes.freeOf(slot) })
    if (fit.type === 'short') return fit.refusal
    this.#gpuScore = fit.score
    return undefined
  }

  #refuseResources(slot: number): Refusal | undefined {
    const nodes = this.#nodes
    const { requests } = this.#pod.footprint
    let short = 0
    let hopeless = 0
    for (let column = 0; column < requests.length; column++) {
      const asked = requests[column]!
      if (asked === 0) continue
      const allocatable = nodes.allocatable(slot, column)
      if (asked <= allocatable - nodes.requested(slot, column)) continue
      short += 2 ** column
      if (asked > allocatable) hopeless = 1
    }
    return short === 0 ? undefined : this.#refusalFor(short, { isHopeless: hopeless === 1 })
  }

  /** One object for each set of resources that are short: bits by column. */
  #refusalFor(short: number, { isHopeless }: { isHopeless: boolean }): Refusal {
    const key = isHopeless ? -short : short
    let refusal = this.#short.get(key)
    if (refusal === undefined) {
      const columns = this.#pod.footprint.requests.flatMap((_, column) =>
        Math.floor(short / 2 ** column) % 2 === 1 ? [column] : [],
      )
      const nameOf = (column: number): string => `Insufficient ${this.#nodes.resources.nameOf(column)}`
      const reasons = columns.map((column) => (column === PODS ? 'Too many pods' : nameOf(column)))
      refusal = { reasons, unresolvable: isHopeless, isStatic: false }
      this.#short.set(key, refusal)
    }
    return refusal
  }

  /** Everything that image scores depend on besides the node's own images; '' when no node has any of them. */
  #describeImages(): string {
    const { imageIndex, presentCount } = this.#nodes
    let known = ''
    for (const name of this.#pod.images) {
      const image = imageIndex.find(name)
      if (image !== undefined) known += `${image.id} ${image.bytes} ${image.nodes} `
    }
    return known === '' ? '' : `${known}${presentCount}`
  }
}
