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
  const updated = { ...condition, lastTransitionTime }
  return old === undefined ? [...list, updated] : list.with(at, updated)
}

/** Whether nothing but times differs: those say when, and alone are no news. */
function hasSameText(old: AnyCondition, condition: AnyCondition): boolean {
  const keys = new Set([...Object.keys(old), ...Object.keys(condition)])
  return [...keys].every(
    (key) => TIMES.has(key) || old[key as keyof AnyCondition] === condition[key as keyof AnyCondition],
  )
}

const TIMES = new Set(['lastTransitionTime', 'lastUpdateTime', 'lastProbeTime', 'lastHeartbeatTime'])
