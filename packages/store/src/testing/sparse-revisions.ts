import type { RevisionNumbers } from '../mvcc/revision-numbers.ts'
import { renumberRevisions } from '../revision-base/revision-base.ts'
import type { Store } from '../store.ts'

const STEP = 7

/** Numbers that leave gaps, as those that follow the time do. */
export const sparseRevisions: RevisionNumbers = { stamp: () => 0, next: (last) => last + STEP }

/** A store with {@link sparseRevisions} without the gaps: so that a suite which counts commits can be run on it. */
export function closeGaps(store: Store): Store {
  return renumberRevisions(store, { shown: (own) => 1 + (own - 1) / STEP, own: (shown) => 1 + (shown - 1) * STEP })
}
