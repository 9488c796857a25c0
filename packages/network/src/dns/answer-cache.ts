import type { Clock } from '@centaurus/base'
import type { ForwardedAnswer } from './forwarded.ts'

export interface AnswerCacheLimits {
  readonly entriesMax: number
  readonly bytesMax: number
  /** Longest time that something that exists is kept, and that something does not. */
  readonly positiveSecondsMax: number
  readonly negativeSecondsMax: number
}

/** A record in memory is worth a few hundred bytes beside its own. */
const ENTRY_OVERHEAD_BYTES = 500
const RECORD_OVERHEAD_BYTES = 64

export const CACHE_LIMITS: AnswerCacheLimits = {
  entriesMax: 10_000,
  bytesMax: 16 * 1024 * 1024,
  positiveSecondsMax: 300,
  negativeSecondsMax: 30,
}

interface Entry {
  readonly answer: ForwardedAnswer
  readonly storedMs: number
  readonly expiresMs: number
  readonly bytes: number
}

export interface CachedAnswer {
  readonly answer: ForwardedAnswer
  readonly ageSeconds: number
}

/** Answers of other servers, kept as long as they say and the limits allow; those that were used least recently give way. */
export class AnswerCache {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #limits: AnswerCacheLimits
  /** By owner and question; in the order of their use. */
  readonly #entries = new Map<string, Entry>()
  #bytes = 0

  constructor(clock: Pick<Clock, 'monotonicMs'>, limits: AnswerCacheLimits = CACHE_LIMITS) {
    this.#clock = clock
    this.#limits = limits
  }

  get size(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#entries.size, bytes: this.#bytes }
  }

  get(key: string): CachedAnswer | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const now = this.#clock.monotonicMs()
    this.#remove(key, entry)
    if (now >= entry.expiresMs) return undefined
    this.#add(key, entry)
    return { answer: entry.answer, ageSeconds: Math.floor((now - entry.storedMs) / 1_000) }
  }

  set(key: string, answer: ForwardedAnswer): void {
    const old = this.#entries.get(key)
    if (old !== undefined) this.#remove(key, old)
    const seconds = Math.min(answer.ttlSeconds, this.ttlSecondsMax(answer))
    if (seconds <= 0) return
    const storedMs = this.#clock.monotonicMs()
    const bytes = ENTRY_OVERHEAD_BYTES + answer.bytes.byteLength + RECORD_OVERHEAD_BYTES * answer.records.length
    this.#add(key, { answer, storedMs, expiresMs: storedMs + seconds * 1_000, bytes })
    const { entriesMax, bytesMax } = this.#limits
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= entriesMax && this.#bytes <= bytesMax) break
      this.#remove(oldest, entry)
    }
  }

  /** Longest time that a client may keep such an answer. */
  ttlSecondsMax(answer: ForwardedAnswer): number {
    const isNegative = !answer.records.some(({ section }) => section === 0)
    return isNegative ? this.#limits.negativeSecondsMax : this.#limits.positiveSecondsMax
  }

  /** Forgets all whose key begins so. */
  forget(prefix: string): void {
    for (const [key, entry] of this.#entries) if (key.startsWith(prefix)) this.#remove(key, entry)
  }

  #add(key: string, entry: Entry): void {
    this.#entries.set(key, entry)
    this.#bytes += entry.bytes
  }

  #remove(key: string, entry: Entry): void {
    this.#entries.delete(key)
    this.#bytes -= entry.bytes
  }
}
