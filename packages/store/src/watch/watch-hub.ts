/**
 * Delivers a store's history to its watches. One pump reads the log once for all live watches (grouped by prefix, so that an
 * event costs a comparison a distinct prefix); a watch that starts in the past catches up on its own, in slices, and then joins.
 *
 * Invariant: `live watches have been given everything ≤ #dispatched`, and `#dispatched ≤ visibleRevision`.
 */
import { systemClock, type Clock, type Timer } from '@centaurus/base'
import type { Mvcc } from '../mvcc/mvcc.ts'
import { isTombstone, toKeyValue, type ReadValue, type Version } from '../mvcc/version.ts'
import { CompactedError, StoreClosedError, type StoreEvent, type StoreWatch, type WatchOptions } from '../store.ts'
import { Subscription } from './subscription.ts'

/** Commits of the past that are handled before other work gets its turn: some milliseconds. What is new never waits, since requests wait for it. */
const COMMITS_A_TURN = 1_000

/** How often an idle watch hears how far it is, milliseconds. Source of the idea: etcd's `--experimental-watch-progress-notify-interval`. */
export const PROGRESS_INTERVAL_MS = 60_000

export interface WatchHubDeps {
  readonly mvcc: Mvcc
  readonly readValue: ReadValue
  readonly clock?: Clock | undefined
  readonly progressIntervalMs?: number | undefined
}

export class WatchHub {
  readonly #deps: WatchHubDeps
  readonly #live = new Map<string, Set<Subscription>>()
  readonly #catchingUp = new Set<Subscription>()
  readonly #waiting: (() => void)[] = []
  #dispatched: number
  #pumping = false
  #closed = false
  #timer: Timer | undefined

  constructor(deps: WatchHubDeps) {
    this.#deps = deps
    this.#dispatched = deps.mvcc.visibleRevision
  }

  /** Starts a watch; see {@link Store.watch}. Nothing is called before this returns. */
  watch(prefix: string, options: WatchOptions): StoreWatch {
    const { mvcc } = this.#deps
    const from = options.fromRevision ?? 0
    const next = from > 0 ? from : mvcc.visibleRevision + 1
    const subscription = new Subscription({ prefix, next, options, forget: (ended) => this.#forget(ended) })
    if (this.#closed) subscription.end(new StoreClosedError('Cannot watch: the store is closed'))
    else if (next > this.#dispatched) this.#join(subscription)
    else this.#startCatchUp(subscription)
    this.#armTimer()
    return {
      requestProgress: () => {
        subscription.progressWanted = true
        this.advance()
      },
      close: () => subscription.end(undefined),
    }
  }

  /** Tells the hub that more has become visible. Delivery happens after the caller's turn. */
  advance(): void {
    if (this.#pumping) return
    this.#pumping = true
    queueMicrotask(() => this.#pump())
  }

  /** Resolves when every live watch has been given what is visible now. */
  caughtUp(): Promise<void> {
    if (!this.#pumping && this.#dispatched === this.#deps.mvcc.visibleRevision) return Promise.resolve()
    this.advance()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Delivers what is visible to live watches, then ends all watches. */
  async close(): Promise<void> {
    this.#closed = true
    await this.caughtUp()
    this.endAll(undefined)
    await Promise.resolve()
  }

  /** Ends all watches with `error`, and refuses new ones. */
  endAll(error: Error | undefined): void {
    this.#closed = true
    this.#timer?.cancel()
    for (const subscription of this.#subscriptions()) subscription.end(error)
  }

  *#subscriptions(): Iterable<Subscription> {
    for (const group of this.#live.values()) yield* group
    yield* this.#catchingUp
  }

  #pump(): void {
    const { mvcc } = this.#deps
    while (this.#dispatched < mvcc.visibleRevision) {
      for (const changes of this.#commitsBetween(this.#dispatched, mvcc.visibleRevision)) {
        // Advanced first: a watch that a callback opens from the next revision on must not be given this one.
        this.#dispatched = changes[0]!.modRevision
        for (const [prefix, group] of this.#live) {
          if (changes.some((version) => version.key.startsWith(prefix))) this.#deliver(prefix, group, changes)
        }
      }
    }
    this.#pumping = false
    for (const group of this.#live.values()) {
      for (const subscription of group) if (subscription.progressWanted) subscription.progress(this.#dispatched)
    }
    if (this.#dispatched < mvcc.visibleRevision) return this.advance()
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** The oldest commits after a revision, up to another, as many as one turn takes. */
  *#commitsBetween(after: number, last: number): Generator<readonly Version[], void> {
    if (after >= last) return
    for (const changes of this.#deps.mvcc.commitsAfter(after, COMMITS_A_TURN)) {
      if (changes[0]!.modRevision > last) return
      yield changes
    }
  }

  #deliver(prefix: string, group: ReadonlySet<Subscription>, changes: readonly Version[]): void {
    const matching = changes.filter((version) => version.key.startsWith(prefix))
    const revision = matching[0]!.modRevision
    const receivers = [...group].filter((subscription) => subscription.next <= revision)
    if (receivers.length === 0) return
    try {
      const withPrevious = receivers.some((subscription) => subscription.needsPrevious)
      const events = matching.map((version) => this.#toEvent(version, { withPrevious }))
      for (const subscription of receivers) subscription.deliver(events, revision)
    } catch (error) {
      for (const subscription of receivers) subscription.end(error as Error) // the engine could not read a previous value
    }
  }

  #startCatchUp(subscription: Subscription): void {
    this.#catchingUp.add(subscription)
    queueMicrotask(() => this.#catchUp(subscription))
  }

  #catchUp(subscription: Subscription): void {
    const { mvcc } = this.#deps
    if (subscription.ended) return
    const { next } = subscription
    if (next < mvcc.compactedRevision) return subscription.end(new CompactedError(next, mvcc.compactedRevision))
    try {
      let commits = 0
      for (const changes of this.#commitsBetween(next - 1, this.#dispatched)) {
        if (subscription.ended) return
        this.#deliverPast(subscription, changes)
        commits++
      }
      if (commits < COMMITS_A_TURN) subscription.next = this.#dispatched + 1
    } catch (error) {
      return subscription.end(error as Error) // the engine could not read a value
    }
    if (subscription.ended) return
    if (subscription.next <= this.#dispatched) return void setImmediate(() => this.#catchUp(subscription))
    this.#catchingUp.delete(subscription)
    this.#join(subscription)
    if (subscription.progressWanted) this.advance()
  }

  #deliverPast(subscription: Subscription, changes: readonly Version[]): void {
    const { prefix, needsPrevious } = subscription
    const revision = changes[0]!.modRevision
    const matching = changes.filter((version) => version.key.startsWith(prefix))
    subscription.next = revision + 1
    if (matching.length === 0) return
    const events = matching.map((version) => this.#toEvent(version, { withPrevious: needsPrevious }))
    subscription.deliver(events, revision)
  }

  #join(subscription: Subscription): void {
    const group = this.#live.get(subscription.prefix)
    if (group === undefined) this.#live.set(subscription.prefix, new Set([subscription]))
    else group.add(subscription)
  }

  #forget(subscription: Subscription): void {
    this.#catchingUp.delete(subscription)
    const group = this.#live.get(subscription.prefix)
    if (group?.delete(subscription) === true && group.size === 0) this.#live.delete(subscription.prefix)
  }

  /** Compacted before it was overwritten means: there is no previous any more. */
  #toEvent(version: Version, { withPrevious }: { readonly withPrevious: boolean }): StoreEvent {
    const { modRevision, key } = version
    const before = withPrevious ? version.previous : undefined
    const { readValue } = this.#deps
    const previous = before === undefined || isTombstone(before) ? undefined : toKeyValue(before, readValue)
    if (isTombstone(version)) return { type: 'delete', key, modRevision, previous }
    return { type: 'put', entry: toKeyValue(version, readValue), previous }
  }

  #armTimer(): void {
    if (this.#timer !== undefined || this.#closed) return
    this.#timer = (this.#deps.clock ?? systemClock).setTimer(
      this.#deps.progressIntervalMs ?? PROGRESS_INTERVAL_MS,
      () => {
        this.#timer = undefined
        for (const subscription of this.#subscriptions()) subscription.progressWanted = true
        this.advance()
        if (this.#live.size + this.#catchingUp.size > 0) this.#armTimer()
      },
    )
  }
}
