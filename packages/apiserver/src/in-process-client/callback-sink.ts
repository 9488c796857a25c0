import type { KubeObject, Stored } from '@centaurus/api'
import type { ClientWatchOptions } from '@centaurus/client'
import type { EventType } from '../watch-cache/cache-event.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { WatchSink, Watcher } from '../watch-cache/watcher.ts'

/** Hands a watch's events to callbacks in this process. Never overloaded: a callback takes an event at once. */
export class CallbackSink<T extends KubeObject> implements WatchSink {
  readonly overloaded = false
  onClosed: () => void = () => {}
  readonly #options: ClientWatchOptions<T>
  readonly #decode: (object: CachedObject) => Stored<T>
  #watcher: Watcher | undefined
  #closed = false

  constructor(options: ClientWatchOptions<T>, decode: (object: CachedObject) => Stored<T>) {
    this.#options = options
    this.#decode = decode
  }

  /** Opens the watch; an error ends it. */
  async run(open: () => Promise<Watcher>): Promise<void> {
    try {
      await Promise.resolve() // no event comes before the caller has its watch in hand
      const watcher = await open()
      if (this.#closed) watcher.close()
      else this.#watcher = watcher
    } catch (error) {
      this.end(error as Error)
    }
  }

  send(type: EventType, object: CachedObject): void {
    if (!this.#closed) this.#options.onEvent(type, this.#decode(object))
  }

  bookmark(revision: number): void {
    if (!this.#closed) this.#options.onBookmark?.(String(revision))
  }

  end(error: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.onClosed()
    this.#options.onEnd(error)
  }

  close(): void {
    this.#watcher?.close()
    this.end(undefined)
  }
}
