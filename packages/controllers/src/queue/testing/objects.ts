import type { Quota, QueueSettings, Workload } from '../core/types.ts'

/** A queue that does nothing but what is said. */
export function queue(
  name: string,
  more: Partial<Omit<QueueSettings, 'quotas'>> & { quotas?: Record<string, Quota> } = {},
): QueueSettings {
  const { quotas = {}, ...rest } = more
  return {
    name,
    weight: 1,
    strategy: 'BestEffortFIFO',
    stopPolicy: 'None',
    withinQueue: 'Never',
    reclaim: 'Never',
    reserveAfterMs: Number.MAX_SAFE_INTEGER,
    halfLifeMs: 0,
    ...rest,
    quotas: new Map(Object.entries(quotas)),
  }
}

/** One set of `count` pods that ask for one `gpu` each. */
export function workload(
  id: string,
  {
    count = 1,
    minCount = count,
    each = { gpu: 1 },
    ...more
  }: Partial<Omit<Workload, 'podSets'>> & {
    queue: string
    count?: number
    minCount?: number
    each?: Record<string, number>
  },
): Workload {
  return {
    id,
    priority: 0,
    preemptible: true,
    queuedAtMs: 0,
    ...more,
    podSets: [{ name: 'main', count, minCount, request: new Map(Object.entries(each)) }],
  }
}
