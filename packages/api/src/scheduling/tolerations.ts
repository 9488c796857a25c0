import type { Taint, Toleration } from '../generated/types/core/v1.ts'

/** Effects that keep a pod off a node. */
const HARD_EFFECTS: readonly string[] = ['NoSchedule', 'NoExecute']

/** Whether one toleration covers one taint. Source: api/core/v1 Toleration.ToleratesTaint, v1.37. */
export function tolerates(toleration: Readonly<Toleration>, taint: Readonly<Taint>): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false
  if (toleration.key && toleration.key !== taint.key) return false
  switch (toleration.operator ?? 'Equal') {
    case 'Exists':
      return true
    case 'Lt':
    case 'Gt':
      return compareNumbers(toleration, taint)
    default:
      return (toleration.key ?? '') === taint.key && (toleration.value ?? '') === (taint.value ?? '')
  }
}

function compareNumbers(toleration: Readonly<Toleration>, taint: Readonly<Taint>): boolean {
  const bound = Number(toleration.value)
  const value = Number(taint.value)
  if (!Number.isInteger(bound) || !Number.isInteger(value)) return false
  return toleration.operator === 'Gt' ? value > bound : value < bound
}

/** The first taint with one of these effects that nothing tolerates; undefined when there is none. */
export function findUntolerated(
  taints: readonly Taint[],
  tolerations: readonly Toleration[],
  { effects }: { readonly effects: readonly string[] },
): Taint | undefined {
  return taints.find(
    (taint) => effects.includes(taint.effect) && !tolerations.some((toleration) => tolerates(toleration, taint)),
  )
}

/** True when every taint that keeps pods off is tolerated. */
export function toleratesAll(tolerations: readonly Toleration[], taints: readonly Taint[]): boolean {
  return findUntolerated(taints, tolerations, { effects: HARD_EFFECTS }) === undefined
}

/** How many `PreferNoSchedule` taints are not tolerated: fewer is better. */
export function countIntolerablePreferences(tolerations: readonly Toleration[], taints: readonly Taint[]): number {
  const relevant = tolerations.filter(({ effect }) => !effect || effect === 'PreferNoSchedule')
  return taints.filter(
    (taint) => taint.effect === 'PreferNoSchedule' && !relevant.some((toleration) => tolerates(toleration, taint)),
  ).length
}
