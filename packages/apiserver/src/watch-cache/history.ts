import type { CacheEvent } from './cache-event.ts'

/** Events of one resource that a watch may resume over. Beyond either limit the oldest are dropped: resuming gets 410. */
const HISTORY_EVENTS_MAX = 16_384
const HISTORY_BYTES_MAX = 16 * 1024 * 1024
/** Kept whatever their size. */
const HISTORY_EVENTS_MIN = 128

/** The newest events of one resource, in order of revision. */
export class History {
  #events: CacheEvent[] = []
  /** Position of the oldest event in `#events`; what is before it is already dropped. */
  #start = 0
  #bytes = 0
  #since: number

  /** `since`: every event with a greater revision will be added. */
  constructor(since: number) {
    this.#since = since
  }

  /** A watch can resume from this revision or a later one. */
  get since(): number {
    return this.#since
  }

  add(event: CacheEvent): void {
    this.#events.push(event)
    this.#bytes += event.historyBytes
    while (this.#mustDrop()) {
      const oldest = this.#events[this.#start]!
      this.#bytes -= oldest.historyBytes
      this.#since = oldest.revision
      this.#events[this.#start++] = undefined as unknown as CacheEvent // frees it; nothing reads below #start
    }
    if (this.#start > HISTORY_EVENTS_MAX / 2) {
      this.#events = this.#events.slice(this.#start)
      this.#start = 0
    }
  }

  /**
   * Up to which revision nothing changed after `revision`; it must be older than the newest event. Itself when the history does not reach
   * back so far.
   */
  unchangedUntil(revision: number): number {
    return revision < this.#since ? revision : this.#events[this.#indexAfter(revision)]!.revision - 1
  }

  /** Events with a revision greater than `revision`, which must be ≥ {@link since}. */
  after(revision: number): CacheEvent[] {
    return this.#events.slice(this.#indexAfter(revision))
  }

  #indexAfter(revision: number): number {
    let low = this.#start
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#events[middle]!.revision <= revision) low = middle + 1
      else high = middle
    }
    return low
  }

  #mustDrop(): boolean {
    const count = this.#events.length - this.#start
    if (count <= HISTORY_EVENTS_MIN) return false
    return count > HISTORY_EVENTS_MAX || this.#bytes > HISTORY_BYTES_MAX
  }
}
