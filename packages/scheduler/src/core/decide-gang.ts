import type { ClusterState } from './cluster-state.ts'
import { decide, formatFitFailure, type DecideOptions, type FitFailure, type PodVolumes } from './decide.ts'
import type { GpuPlan } from './gpu/gpu-table.ts'
import type { PodRequirements } from './pod-requirements.ts'
import { planPreemption, type IsProtected, type PreemptionPlan } from './preempt.ts'

/** A pod of a group that has no node yet. */
export interface GangMember {
  readonly uid: string
  readonly requirements: PodRequirements
  readonly volumes?: PodVolumes | undefined
  /** Nodes whose owner has just refused it. */
  readonly avoid?: ReadonlySet<string> | undefined
}

export interface GangOptions extends Pick<DecideOptions, 'startSlot' | 'tieBreak'> {
  /** So many pods of the group must have nodes, or none gets one. */
  readonly minCount: number
  /** Pods of the group that have nodes already. */
  readonly scheduled: number
  readonly isProtected: IsProtected
  /** Whether others may be removed for it; not while those of its last try are on their way out. */
  readonly preempts: boolean
}

/** What to do with a group. */
export type GangDecision =
  /** Enough of them fit; they are counted on their nodes. `refused`: those beyond the minimum that do not, with the reason. */
  | {
      readonly type: 'place'
      readonly placed: ReadonlyMap<string, string>
      /** Devices of those that got any. */
      readonly gpus: ReadonlyMap<string, GpuPlan>
      readonly refused: ReadonlyMap<string, string>
      readonly nextSlot: number
    }
  /** Enough of them fit once these pods are gone. */
  | { readonly type: 'preempt'; readonly message: string; readonly plans: ReadonlyMap<string, PreemptionPlan> }
  /** `reasons`: why a pod did not fit; the others did, which does not help them. */
  | { readonly type: 'refuse'; readonly message: string; readonly reasons: ReadonlyMap<string, string> }

interface Attempt {
  readonly placed: Map<string, string>
  readonly gpus: Map<string, GpuPlan>
  readonly failures: Map<string, FitFailure>
  readonly plans: Map<string, PreemptionPlan>
  nextSlot: number
}

/**
 * Gives nodes to a group of pods, in order, so that at least `minCount` of it have one, or to none of it. Changes `state` only when it
 * places them. Source: podGroupSchedulingDefaultAlgorithm and GangScheduling.PlacementFeasible, v1.37.
 */
export function decideGang(state: ClusterState, members: readonly GangMember[], options: GangOptions): GangDecision {
  const attempt = placeMembers(state, members, { ...options, preempts: false })
  const { placed, gpus, failures, nextSlot } = attempt
  const reasons = new Map([...failures].map(([uid, failure]) => [uid, formatFitFailure(failure)]))
  if (options.scheduled + placed.size >= options.minCount)
    return { type: 'place', placed, gpus, refused: reasons, nextSlot }
  const message = describeShortage(attempt, members.length, options)
  for (const uid of placed.keys()) state.removePod(uid)
  const plans = options.preempts ? state.simulate(() => planGangPreemption(state, members, options)) : undefined
  return plans === undefined ? { type: 'refuse', message, reasons } : { type: 'preempt', message, plans }
}

function describeShortage(
  { placed, failures }: Attempt,
  members: number,
  { minCount, scheduled }: GangOptions,
): string {
  const remaining = members - placed.size - failures.size
  return `minCount (${minCount}) cannot be satisfied: ${scheduled + placed.size} scheduled, ${remaining} remaining`
}

/** Stops as soon as the minimum cannot be reached any more. */
function placeMembers(state: ClusterState, members: readonly GangMember[], options: GangOptions): Attempt {
  const attempt: Attempt = {
    placed: new Map(),
    gpus: new Map(),
    failures: new Map(),
    plans: new Map(),
    nextSlot: options.startSlot,
  }
  for (const member of members) {
    const { uid, requirements, volumes, avoid } = member
    const { tieBreak } = options
    const decision = decide(state, requirements, { startSlot: attempt.nextSlot, tieBreak, volumes, avoid })
    if (decision.type === 'place') {
      attempt.nextSlot = decision.nextSlot
      putMember(state, member, { attempt, nodeName: decision.nodeName })
    } else if (!options.preempts || !makeRoom(state, member, { attempt, failure: decision.failure, options })) {
      attempt.failures.set(uid, decision.failure)
      if (options.scheduled + members.length - attempt.failures.size < options.minCount) break
    }
  }
  return attempt
}

function makeRoom(
  state: ClusterState,
  member: GangMember,
  { attempt, failure, options }: { attempt: Attempt; failure: FitFailure; options: GangOptions },
): boolean {
  const { uid, requirements, volumes } = member
  const { isProtected, tieBreak } = options
  const slots = failure.resolvable
  const found = planPreemption(state, requirements, { slots, isProtected, volumes, startAt: tieBreak() })
  if (found === undefined) return false
  // The group must not make room for itself at its own cost.
  if (found.victims.some((victim) => attempt.placed.has(victim.uid))) return false
  for (const victim of found.victims) state.removePod(victim.uid)
  putMember(state, member, { attempt, nodeName: found.nodeName })
  attempt.plans.set(uid, found)
  return true
}

function putMember(
  state: ClusterState,
  { uid, requirements }: GangMember,
  { attempt, nodeName }: { readonly attempt: Attempt; readonly nodeName: string },
): void {
  attempt.placed.set(uid, nodeName)
  const gpus = state.place(uid, requirements.footprint, nodeName)
  if (gpus !== undefined) attempt.gpus.set(uid, gpus)
}

/** For each member that needs others gone, which; undefined: even that does not help enough of them. Restores `state`. */
function planGangPreemption(
  state: ClusterState,
  members: readonly GangMember[],
  options: GangOptions,
): ReadonlyMap<string, PreemptionPlan> | undefined {
  const { placed, plans } = placeMembers(state, members, options)
  for (const uid of placed.keys()) state.removePod(uid)
  for (const { victims, nodeName } of plans.values()) {
    for (const { uid, footprint, gpus } of victims) state.putPod(uid, footprint, nodeName, gpus)
  }
  return options.scheduled + placed.size >= options.minCount && plans.size > 0 ? plans : undefined
}
