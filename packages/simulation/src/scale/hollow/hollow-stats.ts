import type { HistogramData } from '../measure/histogram.ts'
import type { LeanCounters } from '../wire/lean-connection.ts'

/** What the nodes of one process have done since they started. */
export interface HollowCounters {
  registered: number
  /** Nodes whose watch is open. */
  watching: number
  leases: number
  /** Renewals that were not due yet when the one before was not answered: the server is too slow for the heartbeat. */
  leasesLate: number
  nodeStatuses: number
  podsStarted: number
  podsEnded: number
  podsDeleted: number
  podStatuses: number
  events: number
  watchEvents: number
  /** Pods that two nodes had at the same time. */
  doubleRuns: number
  /** Refusals by `VERB resource CODE`. */
  readonly refusals: Record<string, number>
}

/** Counters of nodes that have done nothing. */
export function createHollowCounters(): HollowCounters {
  return {
    registered: 0,
    watching: 0,
    leases: 0,
    leasesLate: 0,
    nodeStatuses: 0,
    podsStarted: 0,
    podsEnded: 0,
    podsDeleted: 0,
    podStatuses: 0,
    events: 0,
    watchEvents: 0,
    doubleRuns: 0,
    refusals: {},
  }
}

/** What a process of hollow nodes tells now and then. */
export interface HollowReport {
  readonly counters: HollowCounters
  readonly wire: LeanCounters
  readonly latencies: Readonly<Record<string, HistogramData>>
  /** Pods that the nodes know to be running. */
  readonly running: number
}
