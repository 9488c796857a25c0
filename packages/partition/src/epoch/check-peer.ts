/** Starts that a store remembers; about 60 bytes each. */
export const STARTS_MAX = 200

/** That an API server started on a store. */
export interface StoreStart {
  readonly id: string
  /** Revision of the store just before. */
  readonly revision: number
}

/** What a partition says of its store, or said last. */
export interface StoreState {
  readonly storeId: string
  /** Highest revision that was seen. */
  readonly revision: number
  /** The newest {@link STARTS_MAX}, oldest first; absent: nothing is known of starts. */
  readonly starts?: readonly StoreStart[] | undefined
}

/** What is remembered of another partition's store. */
export interface KnownState {
  readonly storeId: string
  readonly revision: number
  /** The newest start when `revision` was seen. */
  readonly lastStart?: string | undefined
}

export type PeerVerdict = { readonly type: 'ok' } | { readonly type: 'fenced'; readonly reason: string }

/**
 * Whether another partition's store is the one that it was, and went on from where it was. A store that acknowledges only what is durable
 * never shows a lower revision than before, whatever crashes: when it does, an older copy was put in its place. An older copy may have made
 * up for it before anybody looked; then it lacks a start that was known, or its next start was at a lower revision than was seen before.
 */
export function checkPeer(known: KnownState | undefined, seen: StoreState): PeerVerdict {
  if (known === undefined) return { type: 'ok' }
  if (known.storeId !== seen.storeId) {
    const reason = `its store is ${seen.storeId}, it was ${known.storeId}: another store took its place`
    return { type: 'fenced', reason }
  }
  if (known.revision > seen.revision) {
    const reason = `its store is at revision ${seen.revision}, it was at ${known.revision}: an older copy took its place`
    return { type: 'fenced', reason }
  }
  return checkStarts(known, seen.starts ?? [])
}

function checkStarts({ revision, lastStart }: KnownState, starts: readonly StoreStart[]): PeerVerdict {
  if (lastStart === undefined || starts.length === 0) return { type: 'ok' }
  const at = starts.findIndex(({ id }) => id === lastStart)
  if (at < 0) {
    if (starts.length >= STARTS_MAX) return { type: 'ok' } // forgotten, after so many others
    return { type: 'fenced', reason: 'its store does not know that it was started: an older copy took its place' }
  }
  const next = starts[at + 1]
  if (next === undefined || next.revision >= revision) return { type: 'ok' }
  const reason = `its store was started at revision ${next.revision}, it had been at ${revision}: an older copy took its place`
  return { type: 'fenced', reason }
}
