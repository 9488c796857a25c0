import type { CompositeVersion } from './composite-version.ts'
import type { WatchFrame } from './watch-codec.ts'

/** What to do with an event of one partition. */
export interface FrameVerdict {
  /** Whether the client gets it as it is. */
  readonly forward: boolean
  /** Whether a bookmark should follow. */
  readonly bookmark: 'none' | 'position' | 'initial-events-end'
}

export interface WatchPositionsOptions {
  readonly partitions: readonly string[]
  /** Where each begins; absent for one that begins with what is there. */
  readonly start: CompositeVersion
  /** Whether partitions were asked to tell when what was there at the start is through. */
  readonly sendsInitialEvents: boolean
}

/**
 * Keeps how far a merged watch has come in each partition. A bookmark is sent only when all positions are known: that of a partition
 * which began with what is there is known from its own first bookmark on, because those first events come in no order. Pure.
 */
export class WatchPositions {
  readonly #partitions: readonly string[]
  readonly #positions: Map<string, string>
  readonly #initial: Set<string>

  constructor({ partitions, start, sendsInitialEvents }: WatchPositionsOptions) {
    this.#partitions = partitions
    this.#positions = new Map(sendsInitialEvents ? [] : start)
    this.#initial = new Set(sendsInitialEvents ? partitions : [])
  }

  /** Undefined while a partition's is not known. */
  get version(): CompositeVersion | undefined {
    return this.#partitions.every((partition) => this.#positions.has(partition)) ? this.#positions : undefined
  }

  take(partition: string, frame: WatchFrame): FrameVerdict {
    switch (frame.type) {
      case 'ADDED':
      case 'MODIFIED':
      case 'DELETED':
        if (this.#positions.has(partition)) this.#positions.set(partition, frame.resourceVersion)
        return { forward: true, bookmark: this.#due() }
      case 'BOOKMARK': {
        this.#positions.set(partition, frame.resourceVersion)
        const wasInitial = this.#initial.size > 0
        if (frame.endsInitialEvents) this.#initial.delete(partition)
        if (wasInitial && this.#initial.size === 0) return { forward: false, bookmark: 'initial-events-end' }
        return { forward: false, bookmark: this.#due() }
      }
      default: // ERROR, or what a later server knows
        return { forward: true, bookmark: 'none' }
    }
  }

  #due(): FrameVerdict['bookmark'] {
    return this.#initial.size === 0 && this.version !== undefined ? 'position' : 'none'
  }
}
