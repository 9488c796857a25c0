import type { Clock, Random } from '@centaurus/base'
import { StoreClosedError, StoreFullError, type Store } from '@centaurus/store'

/** How long a commit may take, in simulated ms. */
const COMMIT_MS_MAX = 8

export interface StoreFaults {
  /** Commits fail with {@link StoreFullError} while true. */
  full: boolean
}

export interface FaultyStoreOptions {
  readonly clock: Clock
  readonly random: Random
  readonly faults: StoreFaults
}

/** One process's connection to a store that outlives it. */
export interface KillableStore extends Store {
  /** As SIGKILL: what has not been committed yet never will be, and nobody hears of anything more. */
  kill(): void
}

/** A view of `store` that dies alone. A commit takes a moment before and after it happens, so that a kill can fall in between. */
export function createKillableStore(store: Store, { clock, random, faults }: FaultyStoreOptions): KillableStore {
  let dead = false
  const watches = new Set<{ close(): void }>()
  const check = (): void => {
    if (dead) throw new StoreClosedError('The process was killed')
  }
  const read = async <T>(work: () => Promise<T>): Promise<T> => {
    check()
    const result = await work()
    check()
    return result
  }
  return {
    currentRevision: () => read(() => store.currentRevision()),
    get: (key, options) => read(() => store.get(key, options)),
    range: (prefix, options) => read(() => store.range(prefix, options)),
    compact: (revision) => read(() => store.compact(revision)),
    async commit(transaction) {
      check()
      await clock.sleep(random.integer(COMMIT_MS_MAX))
      check()
      if (faults.full) throw new StoreFullError('No room on the disk (simulated)')
      const result = await store.commit(transaction)
      await clock.sleep(random.integer(COMMIT_MS_MAX))
      check()
      return result
    },
    watch(prefix, options) {
      const watch = store.watch(prefix, {
        ...options,
        onEvents: (events, revision) => {
          if (!dead) options.onEvents(events, revision)
        },
      })
      watches.add(watch)
      return watch
    },
    async close() {},
    kill() {
      dead = true
      for (const watch of watches) watch.close()
    },
  }
}
