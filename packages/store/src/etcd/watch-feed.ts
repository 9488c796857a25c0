import type { StoreEvent } from '../store.ts'
import type { Subscription } from '../watch/subscription.ts'
import type { WatchEventMessage } from './messages.ts'

/** Requests for progress that a watch remembers. */
const PENDING_MAX = 64

/** A moment of the store: at `revision` of etcd, the newest commit was that of `committedRevision`. */
export interface Head {
  readonly revision: number
  readonly committedRevision: number
}

/** One subscription to a feed. */
export interface FeedMember {
  readonly subscription: Subscription
  /** No revision was asked for, and nothing has been delivered: it may begin anywhere from now on. */
  startsAnywhere: boolean
  /** Moments to tell of once they are reached, in order. */
  readonly pending: Head[]
}

/**
 * One watch of etcd's over all keys of the store, and who is served by it. Every member was given everything ≤ `delivered` that it
 * asked for: so a member may change to a feed that is behind it, and nothing is lost or repeated.
 */
export class WatchFeed {
  readonly members = new Set<FeedMember>()
  /** Whether etcd is asked for what was there before each change: that costs it a read for each. */
  readonly withPrevious: boolean
  /** Everything up to here was delivered. */
  delivered: number
  /** Resolves when etcd has set it up for the first time, or nobody needs it any more. */
  readonly established = Promise.withResolvers<void>()
  /** Parts of one answer. */
  #fragments: WatchEventMessage[] = []

  constructor(delivered: number, options: { readonly withPrevious: boolean }) {
    this.delivered = delivered
    this.withPrevious = options.withPrevious
  }

  /** Whether it will give the member everything that it asks for. */
  suits(member: FeedMember): boolean {
    const { next, needsPrevious } = member.subscription
    return this.delivered < next && (this.withPrevious || !needsPrevious)
  }

  /** The connection was lost: parts of an answer are worth nothing. */
  restart(): void {
    this.#fragments = []
  }

  /** Takes an answer, or a part of one; delivers when it is whole. */
  receive(events: readonly WatchEventMessage[], options: { readonly isFragment: boolean }): void {
    if (options.isFragment || this.#fragments.length > 0) for (const event of events) this.#fragments.push(event)
    if (options.isFragment) return
    const whole = this.#fragments.length > 0 ? this.#fragments : events
    this.#fragments = []
    this.#deliver(whole)
  }

  /** Everything up to the head's revision was delivered if the newest commit was. */
  onHead(head: Head): void {
    if (this.delivered < head.committedRevision || head.revision <= this.delivered) return
    this.delivered = head.revision
    for (const { subscription } of this.members) {
      subscription.next = Math.max(subscription.next, head.revision + 1)
    }
  }

  /** Tells the member when `head` is reached. */
  addPending(member: FeedMember, head: Head): void {
    if (member.pending.length >= PENDING_MAX) member.pending.pop() // the newer one says more
    member.pending.push(head)
    this.#tellPending(member)
  }

  /** `events` holds whole revisions, in order. */
  #deliver(events: readonly WatchEventMessage[]): void {
    for (let start = 0; start < events.length;) {
      const revision = events[start]!.entry.modRevision
      let end = start + 1
      while (end < events.length && events[end]!.entry.modRevision === revision) end++
      if (revision > this.delivered) this.#deliverRevision(revision, events.slice(start, end).map(toStoreEvent))
      start = end
    }
    for (const member of this.members) this.#tellPending(member)
  }

  #deliverRevision(revision: number, events: readonly StoreEvent[]): void {
    // Advanced first: a watch that a callback opens from the next revision on must not be given this one.
    this.delivered = revision
    for (const member of Array.from(this.members)) {
      const { subscription } = member
      if (revision < subscription.next) continue
      member.startsAnywhere = false
      subscription.next = revision + 1
      const { prefix } = subscription
      const matching = prefix === '' ? events : events.filter((event) => keyOf(event).startsWith(prefix))
      if (matching.length > 0) subscription.deliver(matching, revision)
    }
  }

  #tellPending({ pending, subscription }: FeedMember): void {
    let reached: Head | undefined
    while (pending.length > 0 && pending[0]!.committedRevision <= this.delivered) reached = pending.shift()
    if (reached === undefined) return
    this.onHead(reached)
    subscription.progress(reached.revision)
  }
}

function keyOf(event: StoreEvent): string {
  return event.type === 'put' ? event.entry.key : event.key
}

function toStoreEvent({ isDelete, entry, previous }: WatchEventMessage): StoreEvent {
  if (isDelete) return { type: 'delete', key: entry.key, modRevision: entry.modRevision, previous }
  return { type: 'put', entry, previous }
}
