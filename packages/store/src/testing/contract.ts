import { describe } from 'node:test'
import { describeCommits } from './commits.ts'
import { describeCompaction } from './compaction.ts'
import { describeEquivalence } from './equivalence.ts'
import type { OpenStore, StoreContractOptions } from './options.ts'
import { describeRanges } from './ranges.ts'
import { describeWatches } from './watches.ts'

/** The suite that every engine of the {@link Store} contract must pass: a test for each sentence, and random runs against a model. */
export function describeStoreContract(name: string, open: OpenStore, options: StoreContractOptions = {}): void {
  describe(`${name} honours the Store contract`, () => {
    describeCommits(open, options)
    describeRanges(open)
    describeWatches(open)
    describeCompaction(open, options)
    describeEquivalence(open, options)
  })
}
