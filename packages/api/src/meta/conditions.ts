import { formatTime } from './time.ts'

/** What the conditions of all kinds have in common. */
export interface AnyCondition {
  type: string
  status: string
  reason?: string | undefined
  message?: string | undefined
  lastTransitionTime?: string | undefined
  observedGeneration?: number | undefined
}

/** The condition of this type; undefined when there is none. */
export function findCondition<T extends AnyCondition>(
  conditions: readonly T[] | undefined,
  type: string,
): T | undefined {
  return conditions?.find((condition) => condition.type === type)
}

/** True when the condition is there with status `True`. */
export function isConditionTrue(conditions: readonly AnyCondition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === 'True'
}

/**
 * A list in which `condition` replaces the one of its type, or is added at the end. `lastTransitionTime` becomes `nowMs` when the
 * status changes (unless `condition` names a time) and is kept otherwise. Returns `conditions` itself when nothing would change.
 * Source: apimachinery pkg/api/meta/conditions.go SetStatusCondition.
 */
export function setCondition<T extends AnyCondition>(
  conditions: readonly T[] | undefined,
  condition: T,
  nowMs: number,
): T[] {
  const list = conditions ?? []
  const at = list.findIndex((candidate) => candidate.type === condition.type)
  const old = list[at]
  const sameStatus = old !== undefined && old.status === condition.status
  const lastTransitionTime = sameStatus ? old.lastTransitionTime : (condition.lastTransitionTime ?? formatTime(nowMs))
  if (sameStatus && hasSameText(old, condition)) return list as T[]
  const updated = { ...old, ...condition, lastTransitionTime }
  return old === undefined ? [...list, updated] : list.with(at, updated)
}

function hasSameText(old: AnyCondition, condition: AnyCondition): boolean {
  return Object.entries(condition).every(
    ([key, value]) => key === 'lastTransitionTime' || value === undefined || old[key as keyof AnyCondition] === value,
  )
}
