import { sumAmounts, type Amounts } from './amounts.ts'
import type { QueueNode } from './queue-node.ts'
import type { Counts, Workload } from './types.ts'

/** A workload that is admitted: it uses its quota until the caller says that it does not any more. */
export interface Running {
  readonly workload: Workload
  readonly leaf: QueueNode
  readonly admittedAtMs: number
  /** Pods that quota is counted for. */
  counts: Counts
  amounts: Amounts
  /** Told to end: it is no victim again, and what it has is promised to somebody. */
  isLeaving: boolean
  /** What it has been told to shrink to, and still has to do. */
  shrinksTo?: Counts | undefined
}

/** What `counts` pods of its sets ask for. */
export function amountsOf({ podSets }: Workload, counts: Counts): Amounts {
  return sumAmounts(
    podSets.map(({ request }) => request),
    counts,
  )
}

export function leastCounts({ podSets }: Workload): Counts {
  return podSets.map(({ minCount, count }) => Math.min(minCount, count))
}

export function isElastic({ podSets }: Workload): boolean {
  return podSets.some(({ minCount, count }) => minCount < count)
}

/** The least pods of each set and `extra` more, the first sets first. */
export function countsWith({ podSets }: Workload, extra: number): Counts {
  let left = extra
  return podSets.map(({ minCount, count }) => {
    const more = Math.min(left, Math.max(0, count - minCount))
    left -= more
    return Math.min(minCount, count) + more
  })
}

/** The most pods of an elastic workload for which `fits`, `least` of which do. */
export function mostCounts(
  workload: Workload,
  { fits, least }: { readonly fits: (amounts: Amounts) => boolean; readonly least: number },
): Counts {
  const most = workload.podSets.reduce((sum, { minCount, count }) => sum + Math.max(0, count - minCount), 0)
  let low = least
  let high = most
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(amountsOf(workload, countsWith(workload, middle)))) low = middle
    else high = middle - 1
  }
  return countsWith(workload, low)
}

/** How many pods above the least it has. */
export function extraOf({ podSets }: Workload, counts: Counts): number {
  return podSets.reduce((sum, { minCount, count }, i) => sum + (counts[i] ?? 0) - Math.min(minCount, count), 0)
}

/** What is left of `amounts` without `less`. */
export function withoutAmounts(amounts: Amounts, less: Amounts): Amounts {
  return new Map([...amounts].map(([resource, amount]) => [resource, amount - (less.get(resource) ?? 0)]))
}

/** What a workload that was told to end, or to shrink, still has and will give back. */
export function leavingAmounts({ workload, amounts, isLeaving, shrinksTo }: Running): Amounts {
  if (isLeaving || shrinksTo === undefined) return amounts
  return withoutAmounts(amounts, amountsOf(workload, shrinksTo))
}
