import { grown } from './columns.ts'
import type { NodeVerdicts } from './node-verdicts.ts'
import type { PodClass } from './pod-class.ts'
import { scorePodAffinity } from './pod-affinity.ts'
import { SCORE_MAX } from './resource-scores.ts'
import { scoreSpread } from './spread.ts'
import type { Slots } from './trackers.ts'

/** Those of scores that are normalized over the feasible nodes. Source: scheduler apis/config/v1/default_plugins.go, v1.37. */
const WEIGHTS = { nodeAffinity: 2, taints: 3, spread: 2, podAffinity: 2 } as const

/** Where a score goes, and room to work it out. */
export interface Scoring {
  readonly weight: number
  readonly totals: Float64Array
  readonly scratch: Float64Array
}

// Decisions are made one at a time and keep nothing: their arrays are used again.
let totals = new Float64Array(0)
let scratch = new Float64Array(0)

/** Scores of the feasible slots, in their order. Higher is better. Good until the next call. */
export function scoreNodes(podClass: PodClass, feasible: Slots): Float64Array {
  totals = grown(totals, feasible.count)
  scratch = grown(scratch, feasible.count)
  const { verdicts, requirements, spread, affinity } = podClass
  verdicts.copyScores(totals, feasible)
  if (requirements.preferredNodes.length > 0) {
    for (let i = 0; i < feasible.count; i++) scratch[i] = verdicts.preferenceAt(feasible.slots[i]!)
    addShares(feasible, { weight: WEIGHTS.nodeAffinity, totals, scratch })
  }
  scoreTaints(verdicts, feasible, { weight: -WEIGHTS.taints, totals, scratch })
  scoreSpread(spread, feasible, { weight: WEIGHTS.spread, totals, scratch })
  scorePodAffinity(affinity, feasible, { weight: WEIGHTS.podAffinity, totals, scratch })
  return totals
}

/** Nodes that would rather not have the pod lose: what all of them have in common does not count. */
function scoreTaints(verdicts: NodeVerdicts, feasible: Slots, scoring: Scoring): void {
  if (!verdicts.hasTaints) return
  for (let i = 0; i < feasible.count; i++) scoring.scratch[i] = verdicts.unwelcomeAt(feasible.slots[i]!)
  addShares(feasible, scoring)
}

/**
 * Adds each one's share of the largest of `scratch`. A reversed score (100 less the share) is added with a negative weight.
 * Source: framework/plugins/helper DefaultNormalizeScore, v1.37.
 */
function addShares({ count }: Slots, { weight, totals: sums, scratch: raw }: Scoring): void {
  let high = 0
  for (let i = 0; i < count; i++) if (raw[i]! > high) high = raw[i]!
  if (high === 0) return
  for (let i = 0; i < count; i++) sums[i]! += weight * Math.floor((SCORE_MAX * raw[i]!) / high)
}
