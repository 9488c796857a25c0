import type { ClusterState } from './cluster-state.ts'
import { refuseNode, type Refusal } from './filters.ts'
import { preparePodAffinity } from './pod-affinity.ts'
import type { PodRequirements } from './pod-requirements.ts'
import { scoreNodes } from './scores.ts'
import { prepareSpread } from './spread.ts'

/** What to do with one pod. */
export type Decision =
  | {
      readonly type: 'place'
      readonly nodeName: string
      readonly evaluatedNodes: number
      readonly feasibleNodes: number
    }
  | { readonly type: 'refuse'; readonly failure: FitFailure }

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
  /** Nodes whose owner has just refused the pod, by name. */
  readonly avoid?: ReadonlySet<string> | undefined
}

/** Why a node of {@link DecideOptions.avoid} will not do. */
const REFUSED_BY_OWNER = 'node(s) had no room left in their resource partition'

/** Below this all nodes are looked at. Source: scheduler minFeasibleNodesToFind. */
const FEASIBLE_NODES_MIN = 100
const FEASIBLE_PERCENT_MIN = 5

/** How many feasible nodes are enough. Source: scheduler numFeasibleNodesToFind: 50 % less one for each 125 nodes, at least 5 %. */
export function feasibleNodesToFind(nodeCount: number): number {
  if (nodeCount < FEASIBLE_NODES_MIN) return nodeCount
  const percent = Math.max(FEASIBLE_PERCENT_MIN, 50 - Math.floor(nodeCount / 125))
  return Math.max(FEASIBLE_NODES_MIN, Math.floor((nodeCount * percent) / 100))
}

/** Chooses a node for a pod, or says for each node why not. Pure: reads `state`, changes nothing. */
export function decide(state: ClusterState, pod: PodRequirements, options: DecideOptions): Decision {
  const refuse = prepareFilters(state, pod)
  const enough = feasibleNodesToFind(state.nodeCount)
  const feasible: number[] = []
  const reasons = new Map<string, number>()
  const resolvable: number[] = []
  let evaluated = 0
  for (let i = 0; i < state.slotCount && feasible.length < enough; i++) {
    const slot = (options.startSlot + i) % state.slotCount
    if (state.names[slot] === undefined) continue
    evaluated++
    if (options.avoid?.has(state.names[slot]!)) {
      reasons.set(REFUSED_BY_OWNER, (reasons.get(REFUSED_BY_OWNER) ?? 0) + 1)
      continue
    }
    const refusal = refuse(slot)
    if (refusal === undefined) {
      feasible.push(slot)
      continue
    }
    for (const reason of refusal.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
    if (!refusal.unresolvable) resolvable.push(slot)
  }
  if (feasible.length === 0) return { type: 'refuse', failure: { nodeCount: state.nodeCount, reasons, resolvable } }
  const slot = feasible.length === 1 ? feasible[0]! : best(state, feasible, { pod, tieBreak: options.tieBreak })
  return { type: 'place', nodeName: state.names[slot]!, evaluatedNodes: evaluated, feasibleNodes: feasible.length }
}

/** All filters as one function of the slot, with what they share counted once. */
export function prepareFilters(state: ClusterState, pod: PodRequirements): (slot: number) => Refusal | undefined {
  const spread = prepareSpread(state, pod)
  const affinity = preparePodAffinity(state, pod)
  return (slot) => refuseNode(state, slot, pod) ?? spread?.refuse(slot) ?? affinity?.refuse(slot)
}

function best(
  state: ClusterState,
  feasible: readonly number[],
  { pod, tieBreak }: { pod: PodRequirements; tieBreak: () => number },
): number {
  const scores = scoreNodes(state, feasible, pod)
  let chosen = 0
  let ties = 1
  for (let i = 1; i < scores.length; i++) {
    if (scores[i]! > scores[chosen]!) {
      chosen = i
      ties = 1
    } else if (scores[i] === scores[chosen] && tieBreak() < 1 / ++ties) {
      chosen = i
    }
  }
  return feasible[chosen]!
}

/** The message of the `PodScheduled` condition and the FailedScheduling event. Source: framework.FitError.Error, v1.37. */
export function formatFitFailure({ nodeCount, reasons }: FitFailure): string {
  const head = `0/${nodeCount} nodes are available`
  if (nodeCount === 0) return 'no nodes available to schedule pods'
  const parts = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort()
  return parts.length === 0 ? `${head}.` : `${head}: ${parts.join(', ')}.`
}
