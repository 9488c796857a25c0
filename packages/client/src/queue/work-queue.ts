import { assert, type Clock, type Timer } from '@centaurus/base'
import { FairSet } from './fair-set.ts'

/** Back-off of a failing key. Source: client-go util/workqueue DefaultTypedControllerRateLimiter (5 ms doubling to 1000 s). */
const BACKOFF_BASE_MS = 5
const BACKOFF_MAX_MS = 1_000_000
/**
 * After its work a key rests for so many times as long as the work took, so that one object that changes all the time (the endpoints
 * of a Service whose pods start) takes a tenth of a worker and not all of it. Short work needs no rest.
 */
const REST_FACTOR = 10
const REST_MS_MAX = 1_000
const WORK_MS_WITHOUT_REST = 1
/** What a timer can hold (24.8 days). A key that waits for longer is looked at in between. */
const DELAY_MAX_MS = 2 ** 31 - 1

export interface WorkQueueOptions {
  readonly clock: Clock
  readonly backoffBaseMs?: number | undefined
  readonly backoffMaxMs?: number | undefined
  /** The longest rest of a key after its work; default one second. */
  readonly restMsMax?: number | undefined
}

/** A queue of keys with back-off, deduplication and delays, on the given clock. */
export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  return new WorkQueue(options)
}

/**
 * Keys that need work. A key waits at most once; one that is added while a worker has it is handed out again after `done`, so no two
 * workers ever have the same key. Bounded by the number of distinct keys.
 */
export class WorkQueue {
  readonly #clock: Clock
  readonly #baseMs: number
  readonly #maxMs: number
  readonly #restMsMax: number
  /** Waiting. */
  readonly #ready = new FairSet()
  /** Since when, monotonic milliseconds. */
  readonly #working = new Map<string, number>()
  /** Added again while a worker had them. */
  readonly #dirty = new Set<string>()
  /** Done a moment ago; whether they were added again since. */
  readonly #resting = new Map<string, { readonly atMs: number; readonly timer: Timer; isDirty: boolean }>()
  readonly #delayed = new Map<string, { readonly atMs: number; readonly timer: Timer }>()
  readonly #failures = new Map<string, number>()
  readonly #takers: ((key: string | undefined) => void)[] = []
  #closed = false

  constructor(options: WorkQueueOptions) {
    const { clock, backoffBaseMs = BACKOFF_BASE_MS, backoffMaxMs = BACKOFF_MAX_MS, restMsMax = REST_MS_MAX } = options
    this.#clock = clock
    this.#baseMs = backoffBaseMs
    this.#maxMs = backoffMaxMs
    this.#restMsMax = restMsMax
  }

  /** Keys that wait for a worker now. */
  get length(): number {
    return this.#ready.size
  }

  /** True when nothing waits, is delayed by at most `withinMs`, or is worked on. */
  isIdle({ withinMs = 0 }: { readonly withinMs?: number } = {}): boolean {
    if (this.#ready.size > 0 || this.#working.size > 0) return false
    const horizonMs = this.#clock.monotonicMs() + withinMs
    for (const { isDirty, atMs } of this.#resting.values()) if (isDirty && atMs <= horizonMs) return false
    return [...this.#delayed.values()].every((entry) => entry.atMs > horizonMs)
  }

  add(key: string): void {
    if (this.#closed || this.#ready.has(key)) return
    if (this.#working.has(key)) return void this.#dirty.add(key)
    const resting = this.#resting.get(key)
    if (resting !== undefined) {
      resting.isDirty = true
      return
    }
    const taker = this.#takers.shift()
    if (taker === undefined) return this.#ready.add(key)
    this.#working.set(key, this.#clock.monotonicMs())
    taker(key)
  }

  /** Adds after `delayMs`. Of several delays of one key the earliest counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#closed) return
    if (delayMs <= 0) return this.add(key)
    const waitMs = Math.min(delayMs, DELAY_MAX_MS)
    const atMs = this.#clock.monotonicMs() + waitMs
    const pending = this.#delayed.get(key)
    if (pending !== undefined) {
      if (pending.atMs <= atMs) return
      pending.timer.cancel()
    }
    const timer = this.#clock.setTimer(waitMs, () => {
      this.#delayed.delete(key)
      this.add(key)
    })
    this.#delayed.set(key, { atMs, timer })
  }

  /** Adds after this key's back-off, which doubles with each call until {@link forget}. */
  addRateLimited(key: string): void {
    const failures = this.#failures.get(key) ?? 0
    this.#failures.set(key, failures + 1)
    this.addAfter(key, Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(failures, 60)))
  }

  /** How often the key was added by {@link addRateLimited} since it was forgotten. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0
  }

  forget(key: string): void {
    this.#failures.delete(key)
  }

  /** The next key, in order of arrival and by turns between tenants; undefined once the queue is shut down. Each key taken must be given to {@link done}. */
  take(): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined)
    const key = this.#ready.take()
    if (key === undefined) return new Promise((resolve) => this.#takers.push(resolve))
    this.#working.set(key, this.#clock.monotonicMs())
    return Promise.resolve(key)
  }

  /** Gives a key back. What is added while it rests is taken together. */
  done(key: string): void {
    const beganMs = this.#working.get(key)
    assert(beganMs !== undefined, 'a key is done that nobody works on')
    this.#working.delete(key)
    const isDirty = this.#dirty.delete(key)
    const workMs = this.#clock.monotonicMs() - beganMs
    if (workMs > WORK_MS_WITHOUT_REST && !this.#closed) {
      this.#rest(key, { restMs: Math.min(this.#restMsMax, workMs * REST_FACTOR), isDirty })
    } else if (isDirty) this.add(key)
  }

  #rest(key: string, { restMs, isDirty }: { readonly restMs: number; readonly isDirty: boolean }): void {
    const timer = this.#clock.setTimer(restMs, () => {
      const resting = this.#resting.get(key)
      this.#resting.delete(key)
      if (resting?.isDirty === true) this.add(key)
    })
    this.#resting.set(key, { atMs: this.#clock.monotonicMs() + restMs, timer, isDirty })
  }

  /** Drops what waits; workers get undefined. */
  shutDown(): void {
    this.#closed = true
    for (const { timer } of this.#delayed.values()) timer.cancel()
    this.#delayed.clear()
    for (const { timer } of this.#resting.values()) timer.cancel()
    this.#resting.clear()
    this.#ready.clear()
    this.#dirty.clear()
    for (const taker of this.#takers.splice(0)) taker(undefined)
  }
}
