import type { Clock } from '@centaurus/base'

/** How an engine numbers its commits. It belongs to one store. */
export interface RevisionNumbers {
  /** Taken when a commit comes in. */
  stamp(): number
  /** The revision of a commit that came in at `stamp`, and follows the one at `last`: greater than `last`. */
  next(last: number, stamp: number): number
}

/** One more each commit: a revision tells how many there were. */
export const countedRevisions: RevisionNumbers = { stamp: () => 0, next: (last) => last + 1 }

/** How much a timed revision grows in a second. A store that makes more commits than that counts them meanwhile. */
export const REVISIONS_A_SECOND = 10_000

/**
 * Revisions that grow with the time for which the store is open, whatever is written: two of them tell what time lay between, and
 * not how many commits. A commit has the number of the moment at which it came in, not of the one at which it was its turn.
 *
 * The wall clock plays no part. Numbers go on from the newest durable commit whenever the store is opened, so a clock that is wrong or
 * set back changes nothing, and no restart uses up any.
 */
export function timedRevisions(clock: Pick<Clock, 'monotonicMs'>): RevisionNumbers {
  const startMs = clock.monotonicMs()
  let origin: number | undefined
  return {
    stamp: () => Math.floor(((clock.monotonicMs() - startMs) * REVISIONS_A_SECOND) / 1000),
    next: (last, stamp) => {
      origin ??= last
      return Math.max(last + 1, origin + stamp)
    },
  }
}
