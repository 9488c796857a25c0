import { decodeText, encodeText, type Clock, type Logger, type Timer } from '@centaurus/base'
import type { Change, Store, StoreWatch } from '@centaurus/store'
import { checkPeer, type KnownState, type PeerVerdict, type StoreState } from './check-peer.ts'

const PEERS_PREFIX = '/centaurus/peers/'
/** A revision that was only heard of becomes durable after at most this long. */
const PERSIST_INTERVAL_MS = 5_000
const RETRY_DELAY_MS = 1_000

interface PeerRecord extends KnownState {
  /** Why nothing of the peer is believed; absent: it is. */
  readonly fenced?: string
}

export interface PeerStatesDeps {
  readonly store: Store
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * What this partition remembers of the stores of the others: who they were and how far, durably, so that a restored backup is noticed
 * whoever restarts. Heard of revisions become durable a little later; whatever depends on one, such as a copy of an object, must be committed
 * together with {@link changeFor}, so that nothing durable ever stands on a revision that may be forgotten. All API servers of the partition
 * share what they know.
 */
export class PeerStates {
  readonly #deps: PeerStatesDeps
  /** What was seen. */
  readonly #seen = new Map<string, PeerRecord>()
  /** What is durable. */
  readonly #stored = new Map<string, PeerRecord>()
  readonly #listeners = new Set<() => void>()
  #watch: StoreWatch | undefined
  #timer: Timer | undefined
  #persisting: Promise<void> = Promise.resolve()
  #closed = false

  constructor(deps: PeerStatesDeps) {
    this.#deps = deps
  }

  /** Loads what is remembered. */
  async start(): Promise<void> {
    const { store } = this.#deps
    const { entries, revision } = await store.range(PEERS_PREFIX)
    for (const { key, value } of entries) this.#learn(key, value)
    if (this.#closed) return
    this.#watch = store.watch(PEERS_PREFIX, {
      omitPrevious: true,
      fromRevision: revision + 1,
      onEvents: (events) => {
        for (const event of events) {
          if (event.type === 'put') this.#learn(event.entry.key, event.entry.value)
          else this.#forget(event.key)
        }
      },
      onEnd: (error) => {
        this.#watch = undefined
        if (this.#closed) return
        this.#deps.logger.warn('Lost the watch of peers, loading again', { error })
        this.#deps.clock.setTimer(RETRY_DELAY_MS, () => void this.#restart())
      },
    })
  }

  /**
   * Call it before asking a peer for its state, and what it returns with the answer: only what was known when the question was sent can be held
   * against the peer. The verdict tells whether to believe it; once fenced, it stays so until {@link readmit}.
   */
  expect(peer: string): (state: StoreState) => PeerVerdict {
    const known = this.#seen.get(peer)
    return (state) => this.#judge(peer, known, state)
  }

  /** Takes note of a revision that a believed peer told later, such as with the news of a stream. */
  note(peer: string, revision: number): void {
    const known = this.#seen.get(peer)
    if (known === undefined || known.fenced !== undefined || revision <= known.revision) return
    this.#raise(peer, { ...known, revision })
  }

  /** Why nothing of the peer is believed; undefined: it is. */
  whyFenced(peer: string): string | undefined {
    return this.#seen.get(peer)?.fenced
  }

  /** The change that makes durable what is known of the peer; to be committed along with what depends on it. Undefined when nothing is known. */
  changeFor(peer: string): Change | undefined {
    const record = this.#seen.get(peer)
    return record === undefined ? undefined : { type: 'put', key: PEERS_PREFIX + peer, value: encode(record) }
  }

  /** Makes everything that is known durable, now. Does not throw: it is tried again. */
  persist(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#persisting = this.#persisting.then(() => this.#persistAll())
    return this.#persisting
  }

  /** Believes the peer again, as its store is now: an operator said so. Durable when it resolves. */
  async readmit(peer: string): Promise<void> {
    await this.#persisting
    await this.#deps.store.commit({ changes: [{ type: 'delete', key: PEERS_PREFIX + peer }] })
    this.#forget(PEERS_PREFIX + peer)
  }

  /** Calls `listener` when a peer is fenced or readmitted. Returns what removes it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Makes durable what is known, and stops. */
  async close(): Promise<void> {
    await this.persist()
    this.#closed = true
    this.#timer?.cancel()
    this.#watch?.close()
  }

  #judge(peer: string, known: KnownState | undefined, state: StoreState): PeerVerdict {
    const present = this.#seen.get(peer)
    if (present?.fenced !== undefined) return { type: 'fenced', reason: present.fenced }
    // Who was readmitted meanwhile starts anew.
    const verdict = checkPeer(present === undefined ? undefined : known, state)
    if (verdict.type === 'fenced') {
      this.#deps.logger.error('Fenced a partition', { partition: peer, reason: verdict.reason })
      this.#seen.set(peer, { ...present!, fenced: verdict.reason })
      this.#notify()
      void this.persist()
    } else if (present === undefined || present.revision < state.revision) this.#raise(peer, toKnown(state))
    return verdict
  }

  #raise(peer: string, { storeId, revision, lastStart }: KnownState): void {
    this.#seen.set(peer, { storeId, revision, ...(lastStart === undefined ? {} : { lastStart }) })
    const stored = this.#stored.get(peer)
    const isNewStart = stored?.lastStart !== lastStart
    if (stored === undefined || isNewStart) void this.persist()
    else this.#timer ??= this.#deps.clock.setTimer(PERSIST_INTERVAL_MS, () => void this.persist())
  }

  async #persistAll(): Promise<void> {
    for (const [peer, record] of this.#seen) {
      const stored = this.#stored.get(peer)
      if (stored !== undefined && stored.fenced === record.fenced && stored.revision >= record.revision) continue
      try {
        await this.#persistOne(peer, record)
      } catch (error) {
        if (this.#closed) return
        this.#deps.logger.warn('Could not remember how far a partition was, will retry', { partition: peer, error })
        this.#timer ??= this.#deps.clock.setTimer(RETRY_DELAY_MS, () => void this.persist())
        return
      }
    }
  }

  /** Another API server may know more: what it wrote is merged, never overwritten. */
  async #persistOne(peer: string, record: PeerRecord): Promise<void> {
    const key = PEERS_PREFIX + peer
    for (;;) {
      const { entry } = await this.#deps.store.get(key)
      const merged = entry === undefined ? record : merge(decode(entry.value), record)
      const result = await this.#deps.store.commit({
        compare: [{ key, modRevision: entry?.modRevision ?? 0 }],
        changes: [{ type: 'put', key, value: encode(merged) }],
      })
      if (!result.committed) continue
      this.#stored.set(peer, merged)
      return
    }
  }

  #learn(key: string, value: Uint8Array): void {
    const peer = key.slice(PEERS_PREFIX.length)
    const record = decode(value)
    const before = this.#seen.get(peer)
    this.#stored.set(peer, record)
    this.#seen.set(peer, before === undefined ? record : merge(before, record))
    if (before?.fenced !== this.#seen.get(peer)?.fenced) this.#notify()
  }

  #forget(key: string): void {
    const peer = key.slice(PEERS_PREFIX.length)
    this.#stored.delete(peer)
    if (this.#seen.delete(peer)) this.#notify()
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }

  async #restart(): Promise<void> {
    if (this.#closed) return
    try {
      await this.start()
    } catch (error) {
      this.#deps.logger.warn('Could not load peers, will retry', { error })
      this.#deps.clock.setTimer(RETRY_DELAY_MS, () => void this.#restart())
    }
  }
}

function toKnown({ storeId, revision, starts }: StoreState): KnownState {
  return { storeId, revision, lastStart: starts?.at(-1)?.id }
}

/** A fence outlasts everything; of two revisions of one store the higher one is true. */
function merge(a: PeerRecord, b: PeerRecord): PeerRecord {
  if (a.fenced !== undefined) return a
  if (b.fenced !== undefined) return b
  const verdict = checkPeer(a, { storeId: b.storeId, revision: Math.max(a.revision, b.revision) })
  if (verdict.type === 'fenced') return { ...a, fenced: verdict.reason }
  return a.revision >= b.revision ? a : b
}

function encode(record: PeerRecord): Uint8Array {
  return encodeText(JSON.stringify(record))
}

function decode(value: Uint8Array): PeerRecord {
  return JSON.parse(decodeText(value)) as PeerRecord
}
