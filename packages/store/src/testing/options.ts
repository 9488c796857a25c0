import type { Store } from '../store.ts'

export interface StoreContractOptions {
  /** Random command sequences that are compared with the reference model; default 50. */
  readonly randomRuns?: number | undefined
  /** Repeats the random sequences of a failure that was printed. */
  readonly seed?: number | undefined
  /** What this engine does otherwise, and why it must. */
  readonly differences?: readonly StoreDifference[] | undefined
}

/** A sentence of the suite that an engine may not keep. */
export interface StoreDifference {
  readonly from: 'commits are made in the order of the calls' | 'a watch may start at the compacted revision'
  readonly reason: string
}

/** Whether the engine keeps a sentence that some do not. */
export function keeps(options: StoreContractOptions, sentence: StoreDifference['from']): boolean {
  return options.differences?.every(({ from }) => from !== sentence) ?? true
}

/** Opens a new, empty store. The suite closes it. */
export type OpenStore = () => Promise<Store>
