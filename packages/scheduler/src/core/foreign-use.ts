import type { HostPort } from './pod-footprint.ts'

/** What pods of other partitions use of one node. */
export interface ForeignUse {
  /** By resource: cpu in milli-cores, everything else in units; `pods` counts pods. Nothing is left of what is absent. */
  readonly requests: Readonly<Record<string, number>>
  readonly ports?: readonly HostPort[] | undefined
}

/** Replaces what was known of the node; the node itself may become known later. */
export interface ForeignUseChange extends ForeignUse {
  readonly nodeName: string
}

/** Tells what schedulers of other partitions use of the nodes that this one shares with them. */
export interface ForeignUseSource {
  /** Calls back with what is known first, then with every change. Returns what ends it. */
  subscribe(listener: (changes: readonly ForeignUseChange[]) => void): () => void
}
