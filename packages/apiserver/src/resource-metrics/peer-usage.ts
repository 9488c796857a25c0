import type { NonResourceRoute } from '../extension.ts'
import type { ContainersUsage } from './compute-usage.ts'

/** Pods of which it is asked what they use, and the node that they are on. */
export interface UsageAsk {
  readonly node: string
  /** Their uids. */
  readonly pods: readonly string[]
}

/** What the pods use, by uid; those of which nobody knows are left out. */
export type PodsUsage = ReadonlyMap<string, ContainersUsage>

/** How partitions ask each other what pods on their nodes use. */
export interface PeerUsage {
  /** Name of this partition. */
  readonly self: string
  /** Asks another partition, for all of its nodes at once. Throws when it can't be asked. */
  ask(partition: string, asks: readonly UsageAsk[]): Promise<PodsUsage>
  /** What answers the others, from what this partition's nodes say. */
  serve(usageOf: (asks: readonly UsageAsk[]) => Promise<PodsUsage>): NonResourceRoute
  close(): Promise<void>
}
