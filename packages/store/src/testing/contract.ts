import { describe } from 'node:test'
import type { Store } from '../store.ts'
import { describeCommits } from './commits.ts'
import { describeCompaction } from './compaction.ts'
import { describeEquivalence } from './equivalence.ts'
import { describeRanges } from './ranges.ts'
import { describeWatches } from './watches.ts'

export interface StoreContractOptions {
  /** Random command sequences that are compared with the reference model; default 50. */
  readonly randomRuns?: number | undefined
  /** Repeats the random sequences of a failure that was printed. */
  readonly seed?: number | undefined
}

/** Opens a new, empty store. The suite closes it. */
export type OpenStore = () => Promise<Store>

/** The suite that every engine of the {@link Store} contract must pass: a test for each sentence, and random runs against a model. */
export function describeStoreContract(name: string, open: OpenStore, options: StoreContractOptions = {}): void {
  describe(`${name} honours the Store contract`, () => {
    describeCommits(open)
    describeRanges(open)
    describeWatches(open)
    describeCompaction(open)
    describeEquivalence(open, options)
  })
}
