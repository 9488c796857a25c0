import type { Random } from '@centaurus/base'
import type { Store } from '@centaurus/store'

/** What may go wrong with a commit, each as a probability. */
export interface StoreFaults {
  /** The commit is not made and its caller gets an error. */
  readonly refused: number
  /** The commit is made, but its caller gets an error. */
  readonly answerLost: number
}

/** A store whose commits fail now and then, before or after they were made, as over a network. Others turns run before each commit. */
export function withFaults(store: Store, faults: StoreFaults, random: Random): Store {
  return {
    currentRevision: () => store.currentRevision(),
    get: (key, options) => store.get(key, options),
    range: (prefix, options) => store.range(prefix, options),
    watch: (prefix, options) => store.watch(prefix, options),
    compact: (revision) => store.compact(revision),
    close: () => store.close(),
    async commit(transaction) {
      for (let turns = random.integer(4); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
      if (random.next() < faults.refused) throw new Error('The store could not be reached')
      const result = await store.commit(transaction)
      if (random.next() < faults.answerLost) throw new Error('The connection to the store was lost')
      return result
    },
  }
}
