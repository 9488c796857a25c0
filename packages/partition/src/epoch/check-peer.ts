/** What a partition says of its store, or said last. */
export interface StoreState {
  readonly storeId: string
  /** Highest revision that was seen. */
  readonly revision: number
}

export type PeerVerdict = { readonly type: 'ok' } | { readonly type: 'fenced'; readonly reason: string }

/**
 * Whether another partition's store is the one that it was, and went on from where it was. A store that acknowledges only what is durable
 * never shows a lower revision than before, whatever crashes: when it does, an older copy was put in its place.
 */
export function checkPeer(known: StoreState | undefined, seen: StoreState): PeerVerdict {
  if (known === undefined) return { type: 'ok' }
  if (known.storeId !== seen.storeId) {
    return {
      type: 'fenced',
      reason: `its store is ${seen.storeId}, it was ${known.storeId}: another store took its place`,
    }
  }
  if (known.revision > seen.revision) {
    const reason = `its store is at revision ${seen.revision}, it was at ${known.revision}: an older copy took its place`
    return { type: 'fenced', reason }
  }
  return { type: 'ok' }
}
