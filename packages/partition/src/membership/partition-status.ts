import { isDeepStrictEqual } from 'node:util'
import type { Condition } from '@centaurus/api/meta/v1'
import type { Partition, PartitionStatus } from '@centaurus/api/centaurus/v1'

/** Whether the partition answers; `Unknown` when it was not heard of for a while. */
export const READY = 'Ready'
/** `True`: what other partitions remember of this one's store does not fit it; nothing of it is believed or deleted until it is readmitted. */
export const FENCED = 'Fenced'

/** What a partition says of itself. */
export interface PartitionCounts {
  /** Undefined for one without the role. */
  readonly tenants: number | undefined
  readonly nodes: number | undefined
}

/** The status that a partition which answers has, or undefined when it says so already. Pure; `now` is RFC 3339. */
export function planReadyStatus(
  partition: Readonly<Partition>,
  { tenants, nodes }: PartitionCounts,
  now: string,
): PartitionStatus | undefined {
  const conditions = withCondition(partition.status?.conditions, {
    type: READY,
    status: 'True',
    reason: 'Answers',
    message: 'The API server, its store and its controllers work',
    lastTransitionTime: now,
  })
  const next: PartitionStatus = {
    conditions,
    ...(tenants === undefined ? {} : { tenants }),
    ...(nodes === undefined ? {} : { nodes }),
  }
  return isDeepStrictEqual(next, partition.status) ? undefined : next
}

/** The status of a partition that was not heard of for `silentSeconds`, or undefined when it says so already. Pure. */
export function planSilentStatus(
  partition: Readonly<Partition>,
  silentSeconds: number,
  now: string,
): PartitionStatus | undefined {
  const ready = findCondition(partition, READY)
  if (ready?.status === 'Unknown') return undefined
  const conditions = withCondition(partition.status?.conditions, {
    type: READY,
    status: 'Unknown',
    reason: 'HeartbeatMissed',
    message: `It has not been heard of for ${silentSeconds} s. What lives there is left alone`,
    lastTransitionTime: now,
  })
  return { ...partition.status, conditions }
}

/** The status of a partition that another one does not believe, or undefined when it says so already. Pure. */
export function planFencedStatus(
  partition: Readonly<Partition>,
  { by, why }: { readonly by: string; readonly why: string },
  now: string,
): PartitionStatus | undefined {
  if (findCondition(partition, FENCED)?.status === 'True') return undefined
  const conditions = withCondition(partition.status?.conditions, {
    type: FENCED,
    status: 'True',
    reason: 'NotBelieved',
    message: `Partition "${by}" does not believe it: ${why}. Look at it, then run: centaurus partition readmit ${partition.metadata.name ?? ''}`,
    lastTransitionTime: now,
  })
  return { ...partition.status, conditions }
}

/** The partition's condition of that type. */
export function findCondition(partition: Readonly<Partition>, type: string): Condition | undefined {
  return partition.status?.conditions?.find((condition) => condition.type === type)
}

/**
 * The conditions with this one in place of the one of its type, whose time of transition stays when the status does. Equal content
 * gives an equal result, so that a comparison finds out whether to write.
 */
export function withCondition(conditions: readonly Condition[] = [], next: Condition): Condition[] {
  const old = conditions.find((condition) => condition.type === next.type)
  const kept = old?.status === next.status ? { ...next, lastTransitionTime: old.lastTransitionTime } : next
  if (old === undefined) return [...conditions, kept]
  return conditions.map((condition) => (condition === old ? kept : condition))
}
