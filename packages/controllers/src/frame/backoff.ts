import type { Clock } from '@centaurus/base'

/** Growing pauses by key, forgotten after twice the longest. Bounded by the keys that failed lately. */
export class KeyedBackoff {
  readonly #clock: Clock
  readonly #baseMs: number
  readonly #maxMs: number
  readonly #entries = new Map<string, { delayMs: number; sinceMs: number }>()

  constructor(clock: Clock, { baseMs, maxMs }: { readonly baseMs: number; readonly maxMs: number }) {
    this.#clock = clock
    this.#baseMs = baseMs
    this.#maxMs = maxMs
  }

  /** Milliseconds until the key may be tried again; 0: now. */
  waitMs(key: string): number {
    const entry = this.#entries.get(key)
    return entry === undefined ? 0 : Math.max(0, entry.sinceMs + entry.delayMs - this.#clock.monotonicMs())
  }

  /** The key is tried now: the next pause is twice as long. */
  tried(key: string): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [known, { sinceMs }] of this.#entries) {
      if (nowMs - sinceMs <= 2 * this.#maxMs) break // in order of time
      this.#entries.delete(known)
    }
    const delayMs = Math.min(this.#maxMs, (this.#entries.get(key)?.delayMs ?? this.#baseMs / 2) * 2)
    this.#entries.delete(key)
    this.#entries.set(key, { delayMs, sinceMs: nowMs })
  }
}
