import type { StoreEvent, WatchOptions } from '../store.ts'

/** One watch: what it was given, and the promise that it ends once and hears nothing after. */
export class Subscription {
  readonly prefix: string
  /** The first revision it has not been given. */
  next: number
  progressWanted = false
  readonly #options: WatchOptions
  readonly #forget: (ended: Subscription) => void
  #ended = false

  constructor(fields: {
    readonly prefix: string
    readonly next: number
    readonly options: WatchOptions
    readonly forget: (ended: Subscription) => void
  }) {
    this.prefix = fields.prefix
    this.next = fields.next
    this.#options = fields.options
    this.#forget = fields.forget
  }

  /** Whether its events must tell what was there before. */
  get needsPrevious(): boolean {
    return this.#options.omitPrevious !== true
  }

  get ended(): boolean {
    return this.#ended
  }

  /** A consumer that throws loses its watch, with what it threw; nobody else notices. */
  deliver(events: readonly StoreEvent[], revision: number): void {
    if (this.#ended) return
    this.next = revision + 1
    this.#call(() => this.#options.onEvents(events, revision))
  }

  progress(revision: number): void {
    this.progressWanted = false
    if (this.#ended) return
    this.#call(() => this.#options.onProgress?.(revision))
  }

  /** `onEnd` comes after the caller's turn, so that it never runs inside another callback. */
  end(error: Error | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.#forget(this)
    queueMicrotask(() => this.#options.onEnd(error))
  }

  #call(callback: () => void): void {
    try {
      callback()
    } catch (error) {
      this.end(error instanceof Error ? error : new Error('A watch consumer threw', { cause: error }))
    }
  }
}
