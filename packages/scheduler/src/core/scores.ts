import type { PodClass } from './pod-class.ts'
import { scorePodAffinity } from './pod-affinity.ts'
import { SCORE_MAX } from './resource-scores.ts'
import { scoreSpread } from './spread.ts'

/** Those of scores that are normalized over the feasible nodes. Source: scheduler apis/config/v1/default_plugins.go, v1.37. */
const WEIGHTS = { nodeAffinity: 2, taints: 3, spread: 2, podAffinity: 2 } as const

/** Scores of the feasible `slots`, in their order. Higher is better. */
export function scoreNodes(podClass: PodClass, slots: Int32Array): Int32Array {
  const { verdicts, requirements, spread, affinity } = podClass
  const totals = slots.map((slot) => verdicts.scoreAt(slot))
  const add = (weight: number, scores: Int32Array | undefined): void => {
    if (scores === undefined) return
    for (let i = 0; i < totals.length; i++) totals[i]! += weight * scores[i]!
  }
  if (requirements.preferredNodes.length > 0)
    add(
      WEIGHTS.nodeAffinity,
      normalize(
        slots.map((slot) => verdicts.preferenceAt(slot)),
        { reverse: false },
      ),
    )
  add(
    WEIGHTS.taints,
    normalize(
      slots.map((slot) => verdicts.unwelcomeAt(slot)),
      { reverse: true },
    ),
  )
  add(WEIGHTS.spread, scoreSpread(spread, slots))
  add(WEIGHTS.podAffinity, scorePodAffinity(affinity, slots))
  return totals
}

/** Share of the largest. Source: framework/plugins/helper DefaultNormalizeScore, v1.37. Undefined: all are 0, nothing is preferred. */
function normalize(raw: Int32Array, { reverse }: { reverse: boolean }): Int32Array | undefined {
  const high = raw.reduce((a, b) => Math.max(a, b), 0)
  if (high === 0) return undefined
  return raw.map((value) => {
    const part = Math.floor((SCORE_MAX * value) / high)
    return reverse ? SCORE_MAX - part : part
  })
}
