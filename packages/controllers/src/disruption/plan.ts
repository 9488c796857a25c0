import { formatTime, isPodReady, parseTime, setCondition, type Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '@centaurus/api/policy/v1'
import { scaledValue } from '../frame/rounding.ts'

/** An eviction that was granted counts as happened for so long. Source: DeletionTimeout, pkg/controller/disruption v1.37. */
const DELETION_TIMEOUT_MS = 120_000

export interface BudgetInput {
  readonly budget: Stored<PodDisruptionBudget>
  /** Those that it selects. */
  readonly pods: readonly Stored<Pod>[]
  /** Sum of what the pods' controllers want; only asked for where the budget is a percentage or names `maxUnavailable`. */
  readonly expectedScale: number
  readonly nowMs: number
}

export interface BudgetPlan {
  readonly status: PodDisruptionBudgetStatus
  /** When a granted eviction that did not happen stops counting. */
  readonly requeueAfterMs: number | undefined
}

/** True when the budget depends on what controllers want, not only on the pods there are. */
export function needsScale({ spec }: PodDisruptionBudget): boolean {
  return spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === 'string'
}

/** How many of a budget's pods may be evicted now. Source: trySync and updatePdbStatus, disruption.go v1.37. */
export function planBudget({ budget, pods, expectedScale, nowMs }: BudgetInput): BudgetPlan {
  const expectedPods = needsScale(budget) ? expectedScale : pods.length
  const desiredHealthy = planDesired(budget, expectedPods)
  const pending = pendingEvictions(budget, pods, nowMs)
  const currentHealthy = pods.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && isPodReady(pod) && !pending.has(pod.metadata.name),
  ).length
  const surplus = currentHealthy - desiredHealthy
  const disruptionsAllowed = expectedPods <= 0 ? 0 : Math.max(0, surplus)
  const { generation } = budget.metadata
  const disruptedPods = Object.fromEntries([...pending].map(([name, ms]) => [name, formatTime(ms)]))
  const status: PodDisruptionBudgetStatus = {
    currentHealthy,
    desiredHealthy,
    expectedPods,
    disruptionsAllowed,
    ...(pending.size === 0 ? {} : { disruptedPods }),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    conditions: allowedCondition(budget, disruptionsAllowed, nowMs),
  }
  const ends = [...pending.values()].map((ms) => ms + DELETION_TIMEOUT_MS - nowMs)
  return { status, requeueAfterMs: ends.length === 0 ? undefined : Math.max(1, Math.min(...ends)) }
}

function planDesired({ spec }: PodDisruptionBudget, expectedPods: number): number {
  if (spec?.maxUnavailable !== undefined) {
    return Math.max(0, expectedPods - scaledValue(spec.maxUnavailable, expectedPods, { round: 'up' }))
  }
  return scaledValue(spec?.minAvailable, expectedPods, { round: 'up' })
}

function pendingEvictions(
  { status }: PodDisruptionBudget,
  pods: readonly Stored<Pod>[],
  nowMs: number,
): Map<string, number> {
  const pending = new Map<string, number>()
  for (const { metadata } of pods) {
    const sinceMs = parseTime(status?.disruptedPods?.[metadata.name] ?? '')
    if (sinceMs === undefined || metadata.deletionTimestamp !== undefined) continue
    if (sinceMs + DELETION_TIMEOUT_MS > nowMs) pending.set(metadata.name, sinceMs)
  }
  return pending
}

function allowedCondition(
  budget: Stored<PodDisruptionBudget>,
  allowed: number,
  nowMs: number,
): NonNullable<PodDisruptionBudgetStatus['conditions']> {
  const condition = {
    type: 'DisruptionAllowed',
    status: allowed > 0 ? 'True' : 'False',
    reason: allowed > 0 ? 'SufficientPods' : 'InsufficientPods',
    message: '',
    observedGeneration: budget.metadata.generation ?? 0,
    lastTransitionTime: formatTime(nowMs),
  }
  return setCondition(budget.status?.conditions, condition, nowMs)
}

/** What is left when the budget can't be worked out: nothing may be evicted. */
export function planFailedBudget(
  budget: Stored<PodDisruptionBudget>,
  message: string,
  nowMs: number,
): PodDisruptionBudgetStatus {
  const empty = { currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 }
  const condition = {
    type: 'DisruptionAllowed',
    status: 'False',
    reason: 'SyncFailed',
    message,
    observedGeneration: budget.status?.observedGeneration ?? 0,
    lastTransitionTime: formatTime(nowMs),
  }
  return {
    ...empty,
    ...budget.status,
    disruptionsAllowed: 0,
    conditions: setCondition(budget.status?.conditions, condition, nowMs),
  }
}
