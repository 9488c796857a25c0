import type { Stored } from '@centaurus/api'
import type { DaemonSet } from '@centaurus/api/apps/v1'
import type { Node, Pod } from '@centaurus/api/core/v1'
import type { NodeFit } from './pod.ts'

export interface DaemonSetPlanInput {
  readonly daemonSet: Stored<DaemonSet>
  readonly nodes: readonly Stored<Node>[]
  /** False while a partition can't be asked for its nodes: one that {@link nodes} lacks may be there. */
  readonly isNodeListComplete: boolean
  /** Whether what is known of this pod's node is how it is now; else it is no reason to take the pod away. */
  readonly isNodeKnown: (pod: Readonly<Pod>) => boolean
  /** All it controls, those that are being deleted included. */
  readonly pods: readonly Stored<Pod>[]
  /** Of the newest template. */
  readonly hash: string
  /** Milliseconds until a failed pod on this node may be replaced; 0: now. */
  readonly backoffMs: (node: string) => number
  readonly nowMs: number
}

/** One node as the plan sees it. */
export interface DaemonNode {
  readonly name: string
  readonly fit: NodeFit
  /** Oldest first, those on the node before those that only should be. */
  readonly pods: readonly Stored<Pod>[]
}

export function isGoing(pod: Pod): boolean {
  return pod.metadata.deletionTimestamp !== undefined
}
