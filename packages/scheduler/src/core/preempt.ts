import type { ClusterState } from './cluster-state.ts'
import { prepareRefuse, type PodVolumes } from './decide.ts'
import { planGpus } from './gpu/gpu-fit.ts'
import { NO_GPUS, type GpuPlan, type GpuUse } from './gpu/gpu-table.ts'
import type { PodFootprint } from './pod-footprint.ts'
import type { PodRequirements } from './pod-requirements.ts'
import type { ResourceVector } from './resources.ts'

/** Pods to remove from one node so that another, more important one fits. */
export interface PreemptionPlan {
  readonly nodeName: string
  readonly victims: readonly Victim[]
  /** Pods of other partitions that must go as well, about: which ones the owner of the node decides. */
  readonly foreignVictims: number
  /** Devices that the pod gets once they are gone; undefined: it uses none that are known. */
  readonly gpus?: GpuPlan | undefined
}

export interface Victim {
  readonly uid: string
  readonly footprint: PodFootprint
  /** What it uses of GPUs; absent: none. */
  readonly gpus?: GpuUse | undefined
}

export type IsProtected = (uid: string, footprint: PodFootprint) => boolean

export interface PreemptOptions {
  /** Nodes to look at, in this order. */
  readonly slots: readonly number[]
  /** Where to begin, in [0, 1): with the nodes that many before it made room on they are not all looked at again. Default 0. Source: GetOffsetAndNumCandidates. */
  readonly startAt?: number | undefined
  /** Removing the pod would break a disruption budget: such pods are removed only where nothing else helps. */
  readonly isProtected: IsProtected
  /** What the pod's claims allow; absent: it has none. */
  readonly volumes?: PodVolumes | undefined
}

/** Nodes that are tried; the rest of a large cluster would seldom be better. Source: DefaultPreemption minCandidateNodesAbsolute. */
const CANDIDATES_MAX = 100

interface Candidate extends PreemptionPlan {
  readonly highestVictim: number
  readonly prioritySum: number
  readonly disrupted: number
}

/**
 * Finds the node where the least important pods must go. Undefined: preemption cannot help. Restores `state` before it returns.
 * Source: scheduler framework/preemption SelectVictimsOnNode and pickOneNodeForPreemption, v1.37.
 */
export function planPreemption(
  state: ClusterState,
  pod: PodRequirements,
  options: PreemptOptions,
): PreemptionPlan | undefined {
  if (pod.preemptionPolicy === 'Never' || !state.hasPodsBelow(pod.footprint)) return undefined
  const known = state.classOf(pod).failure
  const isKnown =
    known?.version === state.version && options.volumes === undefined && options.slots === known.failure.resolvable
  if (isKnown && known.isHopeless) return undefined
  const candidates = state.simulate(() => findCandidates(state, pod, options))
  if (isKnown) known.isHopeless = candidates.length === 0
  return candidates.sort(compareCandidates)[0]
}

function findCandidates(state: ClusterState, pod: PodRequirements, options: PreemptOptions): Candidate[] {
  const candidates: Candidate[] = []
  const { slots, startAt = 0 } = options
  const { hostPorts, gpu } = pod.footprint
  const isPlain = !state.classOf(pod).dependsOnPods && hostPorts.length === 0 && gpu === undefined
  const first = Math.floor(startAt * slots.length)
  for (let i = 0; i < slots.length && candidates.length < CANDIDATES_MAX; i++) {
    const slot = slots[(first + i) % slots.length]!
    if ((isPlain || gpu !== undefined) && !hasEnough(state, pod.footprint, slot)) continue
    const candidate = selectVictims(state, pod, { ...options, slot, isPlain })
    if (candidate !== undefined) candidates.push(candidate)
  }
  return candidates
}

/** Whether the pod would have room if everything that it may remove were gone. Most nodes end here, so nothing is made for them. */
function hasEnough(state: ClusterState, footprint: PodFootprint, slot: number): boolean {
  const { requests } = footprint
  const foreign = state.foreignPodsBelow(footprint, slot)
  for (let column = 0; column < requests.length; column++) {
    const asked = requests[column]!
    if (asked === 0) continue
    let room = state.allocatable(slot, column) - state.requested(slot, column)
    for (let row = state.pods.firstOn(slot); row >= 0 && room < asked; row = state.pods.nextOn(row)) {
      const placed = state.pods.footprintAt(row).footprint
      if (state.outranks(footprint, placed)) room += placed.requests[column] ?? 0
    }
    for (const each of foreign) room += each.requests[column] ?? 0
    if (room < asked) return false
  }
  return true
}

function compareCandidates(a: Candidate, b: Candidate): number {
  return (
    a.disrupted - b.disrupted ||
    a.highestVictim - b.highestVictim ||
    a.prioritySum - b.prioritySum ||
    a.victims.length + a.foreignVictims - (b.victims.length + b.foreignVictims) ||
    a.foreignVictims - b.foreignVictims
  )
}

/** A pod that may have to go. */
interface Removable {
  /** Undefined: it is another partition's. */
  readonly victim: Victim | undefined
  readonly requests: ResourceVector
  /** Of another partition's. */
  readonly gpus: GpuUse
  /** Its importance in the eyes of who wants the room. */
  readonly rank: number
  /** A disruption budget wants it to stay. */
  readonly isGuarded: boolean
}

function removablesOn(
  state: ClusterState,
  { footprint }: PodRequirements,
  { slot, isProtected }: Pick<PreemptOptions, 'isProtected'> & { readonly slot: number },
): Removable[] {
  const found: Removable[] = []
  for (let row = state.pods.firstOn(slot); row >= 0; row = state.pods.nextOn(row)) {
    const placed = state.pods.footprintAt(row).footprint
    if (!state.outranks(footprint, placed)) continue
    const victim = victimAt(state, row)
    const rank = state.rankFor(placed, footprint)
    found.push({ victim, requests: placed.requests, gpus: NO_GPUS, rank, isGuarded: isProtected(victim.uid, placed) })
  }
  for (const { priority, requests, gpus } of state.foreignPodsBelow(footprint, slot))
    found.push({ victim: undefined, requests, gpus, rank: priority, isGuarded: false })
  return found
}

function victimAt(state: ClusterState, row: number): Victim {
  const uid = state.pods.uidAt(row)
  const { footprint } = state.pods.footprintAt(row)
  return { uid, footprint, ...(footprint.gpu === undefined ? {} : { gpus: state.gpuUse(uid) }) }
}

function selectVictims(
  state: ClusterState,
  pod: PodRequirements,
  options: PreemptOptions & { readonly slot: number; readonly isPlain: boolean },
): Candidate | undefined {
  const { slot, isPlain } = options
  const lower = removablesOn(state, pod, options)
  if (lower.length === 0) return undefined
  // Pods that are given back first: the protected and the important ones.
  const order = lower.toSorted((a, b) => Number(b.isGuarded) - Number(a.isGuarded) || b.rank - a.rank)
  const { chosen, gpus } = isPlain
    ? { chosen: chooseByRoom(state, pod, { slot, order }), gpus: undefined }
    : chooseByTrial(state, pod, { ...options, order })
  if (chosen.length === 0) return undefined
  const victims = chosen.flatMap(({ victim }) => victim ?? [])
  return {
    nodeName: state.nodes.names[slot]!,
    victims,
    gpus,
    foreignVictims: chosen.length - victims.length,
    highestVictim: Math.max(...chosen.map(({ rank }) => rank)),
    // Shifted so that many low ones never look better than one: as upstream sums from the lowest priority up.
    prioritySum: chosen.reduce((sum, { rank }) => sum + rank + 2 ** 31, 0),
    disrupted: chosen.filter(({ isGuarded }) => isGuarded).length,
  }
}

interface Choice {
  readonly slot: number
  readonly order: readonly Removable[]
}

/** For a pod that only lacks room, and {@link hasEnough} of it: counts what it would have. */
function chooseByRoom(state: ClusterState, pod: PodRequirements, { slot, order }: Choice): Removable[] {
  const asked = pod.footprint.requests
  const spare: number[] = []
  for (let column = 0; column < asked.length; column++) {
    let room = state.allocatable(slot, column) - state.requested(slot, column)
    for (const { requests } of order) room += requests[column] ?? 0
    // What is not asked for is never short.
    spare.push(asked[column] === 0 ? Infinity : room - asked[column]!)
  }
  return order.filter(({ requests }) => {
    for (let column = 0; column < spare.length; column++) if ((requests[column] ?? 0) > spare[column]!) return true
    for (let column = 0; column < spare.length; column++) spare[column]! -= requests[column] ?? 0
    return false
  })
}

/** For any pod: takes them away and gives them back while it still fits. None: it does not fit even without all of them. */
function chooseByTrial(
  state: ClusterState,
  pod: PodRequirements,
  { slot, order, volumes }: Choice & Pick<PreemptOptions, 'volumes'>,
): { readonly chosen: readonly Removable[]; readonly gpus: GpuPlan | undefined } {
  const nodeName = state.nodes.names[slot]!
  const take = ({ victim, requests, gpus }: Removable): void => {
    if (victim === undefined) state.countForeignPod(slot, { requests, gpus }, -1)
    else state.removePod(victim.uid)
  }
  const giveBack = ({ victim, requests, gpus }: Removable): void => {
    if (victim === undefined) state.countForeignPod(slot, { requests, gpus }, 1)
    else state.putPod(victim.uid, victim.footprint, nodeName, victim.gpus)
  }
  const fitsNow = (): boolean => prepareRefuse(state, pod, volumes)(slot) === undefined
  for (const each of order) take(each)
  if (!fitsNow()) {
    for (const each of order) giveBack(each)
    return { chosen: [], gpus: undefined }
  }
  const chosen = order.filter((each) => {
    giveBack(each)
    if (fitsNow()) return false
    take(each)
    return true
  })
  const plan = planGpus(state.nodes.gpus, slot, { footprint: pod.footprint, free: state.nodes.freeOf(slot) })
  for (const each of chosen) giveBack(each)
  return { chosen, gpus: plan }
}

/** The devices that a pod gets on a node once those that are leaving it are gone. Restores `state`. */
export function planGpusAfterLeaving(
  state: ClusterState,
  footprint: PodFootprint,
  nodeName: string,
): GpuPlan | undefined {
  const slot = footprint.gpu === undefined ? undefined : state.slotOf(nodeName)
  if (slot === undefined) return undefined
  return state.simulate(() => {
    const leaving = state.leavingPods(nodeName).map(({ uid }) => victimAt(state, state.pods.rowOf(uid)!))
    for (const { uid } of leaving) state.removePod(uid)
    const plan = planGpus(state.nodes.gpus, slot, { footprint, free: state.nodes.freeOf(slot) })
    for (const { uid, footprint: its, gpus } of leaving) state.putPod(uid, its, nodeName, gpus)
    return plan
  })
}
