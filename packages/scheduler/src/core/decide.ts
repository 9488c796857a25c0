import type { NodeMatcher } from '@centaurus/api/scheduling'
import type { ClusterState } from './cluster-state.ts'
import { grown } from './columns.ts'
import type { GpuPlan } from './gpu/gpu-table.ts'
import { checkPodAffinity } from './pod-affinity.ts'
import type { PodClass } from './pod-class.ts'
import type { PodRequirements } from './pod-requirements.ts'
import { byNature, FITS, unresolvable, type Refusal } from './refusals.ts'
import { scoreNodes } from './scores.ts'
import { checkSpread } from './spread.ts'
import type { Slots } from './trackers.ts'
import type { VolumeChoice } from './volumes.ts'

/** What to do with one pod. */
export type Decision = Placing | { readonly type: 'refuse'; readonly failure: FitFailure }

export interface Placing {
  readonly type: 'place'
  readonly nodeName: string
  readonly evaluatedNodes: number
  readonly feasibleNodes: number
  /** Where the next decision should begin. */
  readonly nextSlot: number
}

/** Why no node will do: how many nodes for each reason. */
export interface FitFailure {
  readonly nodeCount: number
  readonly reasons: ReadonlyMap<string, number>
  /** Nodes on which removing pods might help, by slot. */
  readonly resolvable: readonly number[]
}

export interface DecideOptions {
  /** Slot to begin at, so that successive pods look at different nodes first. */
  readonly startSlot: number
  /** Uniform in [0, 1): breaks ties. */
  readonly tieBreak: () => number
  /** What the pod's claims allow; absent: it has none. */
  readonly volumes?: PodVolumes | undefined
  /** Nodes whose owner has just refused the pod, by name. */
  readonly avoid?: ReadonlySet<string> | undefined
}

/** What a pod's claims mean for its place. */
export interface PodVolumes {
  /** Nodes from which the bound volumes can be reached; all must match. */
  readonly nodes: readonly NodeMatcher[]
  /** Claims that get a volume on the node; undefined: none. */
  readonly choice: VolumeChoice | undefined
}

/** Below this all nodes are looked at. Source: scheduler minFeasibleNodesToFind. */
const FEASIBLE_NODES_MIN = 100
const FEASIBLE_PERCENT_MIN = 5

const AVOIDED = byNature('node(s) had no room left in their resource partition')
const OTHER_VOLUME = unresolvable("node(s) didn't match PersistentVolume's node affinity")
const NO_VOLUME = unresolvable("node(s) didn't find available persistent volumes to bind")
/** Source: SetAbsentNodesStatus in schedule_one.go, v1.37: what the names in the pod's node affinity leave out. */
const NOT_NAMED = unresolvable("node(s) didn't satisfy plugin(s) [NodeAffinity]")
/** Source: framework/plugins/nodeaffinity errReasonConflict and errReasonPod, v1.37. */
const NOT_SELECTED = unresolvable("node(s) didn't match Pod's node affinity/selector")

type Check = (slot: number) => Refusal | undefined

/** How many feasible nodes are enough. Source: scheduler numFeasibleNodesToFind: 50 % less one for each 125 nodes, at least 5 %. */
export function feasibleNodesToFind(nodeCount: number): number {
  if (nodeCount < FEASIBLE_NODES_MIN) return nodeCount
  const percent = Math.max(FEASIBLE_PERCENT_MIN, 50 - Math.floor(nodeCount / 125))
  return Math.max(FEASIBLE_NODES_MIN, Math.floor((nodeCount * percent) / 100))
}

/**
 * Chooses a node for a pod, or says for each node why not. Pure: changes nothing that can be seen. Cost: the nodes that it looks
 * at, a few ns for each that did not change since a pod of the same requirements was looked at.
 */
export function decide(state: ClusterState, pod: PodRequirements, options: DecideOptions): Decision {
  const podClass = state.classOf(pod)
  return decideWith(state, podClass, { ...options, filters: undefined })
}

/** What became of pods that are alike. */
export interface BatchDecision {
  /** Nodes of the first pods, in their order; they are counted there. */
  readonly nodeNames: readonly string[]
  /** And their devices; undefined of a pod that got none. */
  readonly gpus: readonly (GpuPlan | undefined)[]
  /** Why none of the others gets a node; undefined: there are no others. */
  readonly failure: FitFailure | undefined
  readonly nextSlot: number
}

/**
 * Gives nodes to pods with the same requirements, and counts them there, until one finds none. Equals deciding and counting one after
 * the other; what they share is prepared once.
 */
export function decideBatch(
  state: ClusterState,
  pod: PodRequirements,
  { uids, ...options }: Pick<DecideOptions, 'startSlot' | 'tieBreak'> & { readonly uids: readonly string[] },
): BatchDecision {
  const podClass = state.classOf(pod)
  const nodeNames: string[] = []
  const gpus: (GpuPlan | undefined)[] = []
  let { startSlot } = options
  let filters: Filters | undefined
  for (const uid of uids) {
    // What it found out about other pods changes with each that is placed.
    if (podClass.dependsOnPods) filters = undefined
    filters ??= prepareFilters(state, podClass, {})
    const decision = decideWith(state, podClass, { ...options, startSlot, filters })
    if (decision.type === 'refuse') return { nodeNames, gpus, failure: decision.failure, nextSlot: startSlot }
    startSlot = decision.nextSlot
    gpus.push(state.place(uid, pod.footprint, decision.nodeName))
    nodeNames.push(decision.nodeName)
  }
  return { nodeNames, gpus, failure: undefined, nextSlot: startSlot }
}

function decideWith(
  state: ClusterState,
  podClass: PodClass,
  options: DecideOptions & { readonly filters: Filters | undefined },
): Decision {
  const isPlain = options.volumes === undefined && options.avoid === undefined
  const known = podClass.failure
  if (isPlain && known?.version === state.version) return { type: 'refuse', failure: known.failure }
  const filters = options.filters ?? prepareFilters(state, podClass, options)
  const found = findFeasible(state, podClass, { filters, startSlot: options.startSlot })
  if (found.count === 0) {
    const failure = explain(state, podClass, filters)
    if (isPlain) podClass.failure = { version: state.version, failure, isHopeless: false }
    return { type: 'refuse', failure }
  }
  const tieBreak = podClass.verdicts.weighsGpus ? takeFirst : options.tieBreak
  const slot = found.count === 1 ? found.slots[0]! : chooseBest(scoreNodes(podClass, found), found, { tieBreak })
  const { evaluatedNodes, nextSlot } = found
  const nodeName = state.nodes.names[slot]!
  return { type: 'place', nodeName, evaluatedNodes, feasibleNodes: found.count, nextSlot }
}

/** The filters of one decision, with what they share counted once. */
export interface Filters {
  readonly avoid: Check | undefined
  readonly volumes: Check | undefined
  readonly spread: Check | undefined
  readonly affinity: Check | undefined
}

/** Why a node will not do for one pod, all filters in kube-scheduler's order; undefined: it fits. */
export function prepareRefuse(state: ClusterState, pod: PodRequirements, volumes: PodVolumes | undefined): Check {
  const podClass = state.classOf(pod)
  const filters = prepareFilters(state, podClass, { volumes })
  return (slot) => refuseNode(state, podClass, { filters, slot })
}

function prepareFilters(
  state: ClusterState,
  podClass: PodClass,
  { avoid, volumes }: Pick<DecideOptions, 'avoid' | 'volumes'>,
): Filters {
  podClass.verdicts.prepare()
  const { names } = state.nodes
  return {
    avoid: avoid && ((slot) => (avoid.has(names[slot]!) ? AVOIDED : undefined)),
    volumes: volumes && checkVolumes(state, volumes),
    spread: checkSpread(podClass.spread),
    affinity: checkPodAffinity(podClass.affinity),
  }
}

function checkVolumes({ nodes }: ClusterState, { nodes: matchers, choice }: PodVolumes): Check | undefined {
  if (matchers.length === 0 && choice === undefined) return undefined
  return (slot) => {
    const labels = nodes.labels[slot]!
    const name = nodes.names[slot]!
    if (!matchers.every((volume) => volume.matches(labels, name))) return OTHER_VOLUME
    return choice !== undefined && choice.bindingsOn(labels, name) === undefined ? NO_VOLUME : undefined
  }
}

interface Feasible extends Slots {
  readonly evaluatedNodes: number
  readonly nextSlot: number
}

// Decisions are made one at a time and keep nothing: their array is used again.
let scratch = new Int32Array(0)

function findFeasible(
  state: ClusterState,
  podClass: PodClass,
  { filters, startSlot }: { filters: Filters; startSlot: number },
): Feasible {
  const { nodeNames } = podClass.requirements
  const named = nodeNames?.flatMap((name) => state.slotOf(name) ?? [])
  const { weighsGpus } = podClass.verdicts
  const enough = weighsGpus ? state.nodeCount : feasibleNodesToFind(named?.length ?? state.nodeCount)
  scratch = grown(scratch, enough)
  const found = { slots: scratch, count: 0 }
  const checks = [filters.avoid, filters.volumes, filters.spread, filters.affinity].filter((one) => one !== undefined)
  const [first] = checks
  const holdsAll = (slot: number): boolean => checks.every((one) => one(slot) === undefined)
  const check =
    first === undefined || checks.length > 1 ? first && holdsAll : (slot: number): boolean => first(slot) === undefined
  let evaluatedNodes = 0
  const collect = (from: number, to: number): number => {
    const range = { from, to, enough, check, evaluated: 0 }
    const end = podClass.verdicts.collect(found, range)
    evaluatedNodes += range.evaluated
    return end
  }
  if (named !== undefined) {
    for (const slot of named) collect(slot, slot + 1)
    return { ...found, evaluatedNodes, nextSlot: startSlot }
  }
  // GPUs are filled from one end.
  const start = startSlot < state.slotCount && !weighsGpus ? startSlot : 0
  let end = collect(start, state.slotCount)
  if (found.count < enough) end = collect(0, start)
  return { ...found, evaluatedNodes, nextSlot: end === state.slotCount ? 0 : end }
}

function refuseNode(
  state: ClusterState,
  { requirements, verdicts }: PodClass,
  { filters, slot }: { filters: Filters; slot: number },
): Refusal | undefined {
  const { nodeNames } = requirements
  if (nodeNames !== undefined && !nodeNames.includes(state.nodes.names[slot]!))
    return nodeNames.length === 0 ? NOT_SELECTED : NOT_NAMED
  const number = verdicts.verdictAt(slot)
  const verdict = number === FITS ? undefined : state.refusals.get(number)
  return (
    filters.avoid?.(slot) ??
    (verdict?.isStatic === true ? verdict : undefined) ??
    filters.volumes?.(slot) ??
    verdict ??
    filters.spread?.(slot) ??
    filters.affinity?.(slot)
  )
}

function explain(state: ClusterState, podClass: PodClass, filters: Filters): FitFailure {
  const counts = new Map<Refusal, number>()
  const resolvable: number[] = []
  for (let slot = 0; slot < state.slotCount; slot++) {
    if (state.nodes.present[slot] === 0) continue
    const refusal = refuseNode(state, podClass, { filters, slot })
    if (refusal === undefined) continue
    counts.set(refusal, (counts.get(refusal) ?? 0) + 1)
    if (!refusal.unresolvable) resolvable.push(slot)
  }
  const reasons = new Map<string, number>()
  for (const [refusal, count] of counts) {
    for (const reason of refusal.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + count)
  }
  return { nodeCount: state.nodeCount, reasons, resolvable }
}

const takeFirst = (): number => 0

/** One of those with the highest score, each as likely as the others. */
function chooseBest(
  scores: Float64Array,
  { slots, count }: Slots,
  { tieBreak }: Pick<DecideOptions, 'tieBreak'>,
): number {
  let best = -Infinity
  let ties = 0
  for (let i = 0; i < count; i++) {
    const score = scores[i]!
    if (score > best) {
      best = score
      ties = 1
    } else if (score === best) ties++
  }
  let skip = ties === 1 ? 0 : Math.min(ties - 1, Math.floor(tieBreak() * ties))
  for (let i = 0; ; i++) if (scores[i] === best && skip-- === 0) return slots[i]!
}

/** The message of the `PodScheduled` condition and the FailedScheduling event. Source: framework.FitError.Error, v1.37. */
export function formatFitFailure({ nodeCount, reasons }: FitFailure): string {
  const head = `0/${nodeCount} nodes are available`
  if (nodeCount === 0) return 'no nodes available to schedule pods'
  const parts = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort()
  return parts.length === 0 ? `${head}.` : `${head}: ${parts.join(', ')}.`
}
