import { isDeleting, parseTime, objectKey, type Stored } from '@centaurus/api'
import type { Queue, QueuedWorkload } from '@centaurus/api/centaurus/v1'
import type { QueueSettings, Workload } from './core/types.ts'
import { readAmount, readAmounts } from './requests.ts'

const RESERVE_AFTER_SECONDS = 300

/** A Queue as the core knows it. One that is being deleted admits nothing. */
export function settingsOf(queue: Stored<Queue>): QueueSettings {
  const { name } = queue.metadata
  const {
    parent,
    resources = [],
    queueingStrategy,
    stopPolicy,
    preemption,
    fairSharing,
    reserveAfterSeconds,
  } = queue.spec ?? {}
  const policy = stopPolicy ?? 'None'
  return {
    name,
    parent,
    quotas: new Map(
      resources.map(({ name: resource, nominalQuota, borrowingLimit, lendingLimit }) => [
        resource,
        {
          nominal: readAmount(resource, nominalQuota),
          ...(borrowingLimit === undefined ? {} : { borrowingLimit: readAmount(resource, borrowingLimit) }),
          ...(lendingLimit === undefined ? {} : { lendingLimit: readAmount(resource, lendingLimit) }),
        },
      ]),
    ),
    weight: fairSharing?.weight ?? 1,
    strategy: queueingStrategy ?? 'BestEffortFIFO',
    stopPolicy: policy === 'None' && isDeleting(queue) ? 'Hold' : policy,
    withinQueue: preemption?.withinQueue ?? 'LowerPriority',
    reclaim: preemption?.reclaimWithinTree ?? 'Any',
    reserveAfterMs: (reserveAfterSeconds ?? RESERVE_AFTER_SECONDS) * 1_000,
    halfLifeMs: (fairSharing?.halfLifeSeconds ?? 0) * 1_000,
  }
}

/** A QueuedWorkload as the core knows it. */
export function workloadOf(object: Stored<QueuedWorkload>): Workload {
  const { spec, metadata } = object
  const { maximumExecutionTimeSeconds } = spec
  return {
    id: objectKey(object),
    queue: spec.queueName,
    priority: spec.priority ?? 0,
    preemptible: spec.preemptible !== false,
    queuedAtMs: parseTime(metadata.creationTimestamp ?? '') ?? 0,
    podSets: spec.podSets.map(({ name, count, minCount = count, requests }) => ({
      name,
      count,
      minCount,
      request: readAmounts(requests),
    })),
    ...(maximumExecutionTimeSeconds === undefined ? {} : { maxRuntimeMs: maximumExecutionTimeSeconds * 1_000 }),
  }
}
