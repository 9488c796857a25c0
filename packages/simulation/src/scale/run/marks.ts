import type { HollowCounters } from '../hollow/hollow-stats.ts'
import type { HistogramData } from '../measure/histogram.ts'
import type { ProcessSample } from '../measure/processes.ts'
import type { LeanCounters } from '../wire/lean-connection.ts'

/** Everything that counts up, at one moment. */
export interface Mark {
  readonly seconds: number
  readonly counters: HollowCounters
  readonly wire: LeanCounters
  readonly processes: readonly ProcessSample[]
  /** Of all stores. */
  readonly store: StoreCounts
  readonly running: number
  /** Of all calls so far, of nodes and users. */
  readonly latencies: Readonly<Record<string, HistogramData>>
}

export interface StoreCounts {
  readonly commits: number
  readonly flushes: number
}

/** Moments between which costs are told. Set by the phases. */
export interface Marks {
  started: Mark | undefined
  registered: Mark | undefined
  /** Around heartbeats alone. */
  idleFrom: Mark | undefined
  idleTo: Mark | undefined
  saturationFrom: Mark | undefined
  saturationTo: Mark | undefined
  /** Pods that saturation started. */
  saturationPods: number
  saturationSeconds: number
  latencyFrom: Mark | undefined
  latencyTo: Mark | undefined
  churnFrom: Mark | undefined
  churnTo: Mark | undefined
  /** Found during the run; each fails it. */
  readonly problems: string[]
}

export function createMarks(): Marks {
  return {
    started: undefined,
    registered: undefined,
    idleFrom: undefined,
    idleTo: undefined,
    saturationFrom: undefined,
    saturationTo: undefined,
    saturationPods: 0,
    saturationSeconds: 0,
    latencyFrom: undefined,
    latencyTo: undefined,
    churnFrom: undefined,
    churnTo: undefined,
    problems: [],
  }
}
