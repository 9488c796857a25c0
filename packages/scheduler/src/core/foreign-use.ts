import { splitDeviceAmounts } from '@centaurus/api/gpu'
import type { GpuUse } from './gpu/gpu-table.ts'
import type { HostPort } from './pod-footprint.ts'
import { PODS, type ResourceIndex, type ResourceVector } from './resources.ts'

/** By resource: cpu in milli-cores, everything else in units; `pods` counts pods; and by device (`deviceAmounts`). Nothing is used of what is absent. */
type Amounts = Readonly<Record<string, number>>

/** What pods of other partitions use of one node. */
export interface ForeignUse {
  readonly requests: Amounts
  readonly ports?: readonly HostPort[] | undefined
  /** The same by `sharedPriority` of the pods, all of it; absent: all of them have 0. */
  readonly priorities?: readonly (readonly [priority: number, requests: Amounts])[] | undefined
}

/** Replaces what was known of the node; the node itself may become known later. */
export interface ForeignUseChange extends ForeignUse {
  readonly nodeName: string
  /** Pods of this partition that must leave the node, by uid: others take their room. */
  readonly evict?: readonly string[] | undefined
  /** Pods of this partition for which pods of others are leaving the node, by uid. */
  readonly nominated?: readonly string[] | undefined
}

/** Tells what schedulers of other partitions use of the nodes that this one shares with them. */
export interface ForeignUseSource {
  /** Calls back with what is known first, then with every change. Returns what ends it. */
  subscribe(listener: (changes: readonly ForeignUseChange[]) => void): () => void
}

/** One pod of another partition, as far as is known: an equal part of what all of its priority use. */
export interface ForeignPod {
  readonly priority: number
  readonly requests: ResourceVector
  /** Each device of theirs is one pod's. */
  readonly gpus: GpuUse
}

/** Priorities of which a node has pods. */
export function foreignPriorities({ priorities }: ForeignUse): readonly number[] {
  return priorities?.map(([priority]) => priority) ?? [0]
}

/** The pods whose shared priority is less. Their amounts are whole numbers, and together what was told. */
export function foreignPodsBelow(
  { requests, priorities = [[0, requests]] }: ForeignUse,
  priority: number,
  index: ResourceIndex,
): ForeignPod[] {
  return priorities
    .filter(([each]) => each < priority)
    .flatMap(([each, amounts]) => splitPods(amounts, index).map((part) => ({ priority: each, ...part })))
}

function splitPods(amounts: Amounts, index: ResourceIndex): Omit<ForeignPod, 'priority'>[] {
  const { others, grants, unknown } = splitDeviceAmounts(amounts)
  const parts = splitEvenly(index.vectorOf(others))
  return parts.map((requests, i) => ({
    requests,
    gpus: { grants: grants.filter((_, at) => at % parts.length === i), unknown: i === 0 ? unknown : 0 },
  }))
}

function splitEvenly(sum: ResourceVector): ResourceVector[] {
  const count = Math.max(1, sum[PODS] ?? 1)
  return Array.from({ length: count }, (_, i) =>
    sum.map((amount) => Math.floor(amount / count) + (i === 0 ? amount % count : 0)),
  )
}
