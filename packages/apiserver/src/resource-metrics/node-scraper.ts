import type { Clock, Logger } from '@centaurus/base'
import type { NodePlace } from '../proxy/backend.ts'
import { computeUsage, type NodeUsage } from './compute-usage.ts'
import { readSummary, type NodeReading } from './read-summary.ts'

/** What was measured so long ago is told once more. */
const FRESH_MS = 10_000
/** An older reading says nothing of what is used now. */
const EARLIER_MS_MAX = 120_000
/** Between the two readings of a node of which there is none. */
const BETWEEN_READINGS_MS = 1_000
/** A node that does not answer is left out. */
const SCRAPE_MS_MAX = 5_000
const SCRAPES_AT_ONCE_MAX = 64
/** Callers get what is known then; who has not had a turn until then is not asked. */
const ANSWER_MS_MAX = 20_000
/** Nodes that are remembered; one with 30 containers takes about 10 kB. */
const NODES_KEPT_MAX = 20_000

export interface NodeScraperDeps {
  /** What the node's `/stats/summary` says. Throws when it can't be had. */
  readonly fetch: (place: NodePlace, signal: AbortSignal) => Promise<string>
  readonly clock: Clock
  readonly logger: Logger
}

interface Kept {
  readonly atMs: number
  /** Undefined: the node did not answer. */
  readonly reading: NodeReading | undefined
  readonly usage: NodeUsage | undefined
}

/** Asks nodes what they use when somebody wants to know, and remembers it for a while. One node is asked once at a time, whoever wants it. */
export class NodeScraper {
  readonly #deps: NodeScraperDeps
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>()
  readonly #running = new Map<string, Promise<NodeUsage | undefined>>()
  /** The last is the first to go: a few nodes need not wait until somebody has asked all, nor a second reading until all had a first. */
  readonly #waiting: (() => void)[] = []
  readonly #closed = new AbortController()
  #free = SCRAPES_AT_ONCE_MAX

  constructor(deps: NodeScraperDeps) {
    this.#deps = deps
  }

  /** What each of the nodes uses, by {@link placeKey}; those that do not answer in time are left out. */
  async usageOf(places: readonly NodePlace[]): Promise<ReadonlyMap<string, NodeUsage>> {
    const found = new Map<string, NodeUsage>()
    const all = Promise.all(
      places.map(async (place) => {
        const usage = await this.#usage(place)
        if (usage !== undefined) found.set(placeKey(place), usage)
      }),
    )
    const late = Promise.withResolvers<void>()
    const timer = this.#deps.clock.setTimer(ANSWER_MS_MAX, late.resolve)
    await Promise.race([all, late.promise])
    timer.cancel()
    return new Map(found)
  }

  close(): void {
    this.#closed.abort(new Error('The API server was closed'))
  }

  async #usage(place: NodePlace): Promise<NodeUsage | undefined> {
    const key = placeKey(place)
    const kept = this.#kept.get(key)
    const ageMs = this.#deps.clock.monotonicMs() - (kept?.atMs ?? -Infinity)
    if (ageMs < FRESH_MS) return kept?.usage
    const known = this.#running.get(key)
    if (known !== undefined) return known
    const running = this.#measure(place, ageMs < EARLIER_MS_MAX ? kept?.reading : undefined)
    this.#running.set(key, running)
    return running.finally(() => this.#running.delete(key))
  }

  async #measure(place: NodePlace, earlier: NodeReading | undefined): Promise<NodeUsage | undefined> {
    const { clock, logger } = this.#deps
    try {
      const first = await this.#read(place)
      if (first === undefined) return undefined
      const { usage, isComplete } = computeUsage(first, earlier)
      if (isComplete) return this.#keep(place, { reading: first, usage })
      await clock.sleep(BETWEEN_READINGS_MS, { signal: this.#closed.signal })
      const second = await this.#read(place)
      if (second === undefined) return this.#keep(place, { reading: first, usage })
      return this.#keep(place, { reading: second, usage: computeUsage(second, first).usage })
    } catch (error) {
      if (this.#closed.signal.aborted) return undefined
      logger.debug('Could not read what a node uses', { node: place.node, error })
      return this.#keep(place, { reading: undefined, usage: undefined }) // not asked again at once
    }
  }

  #keep(place: NodePlace, { reading, usage }: Omit<Kept, 'atMs'>): NodeUsage | undefined {
    const atMs = this.#deps.clock.monotonicMs()
    const key = placeKey(place)
    this.#kept.delete(key)
    this.#kept.set(key, { atMs, reading, usage })
    for (const [oldest, kept] of this.#kept) {
      if (this.#kept.size <= NODES_KEPT_MAX && atMs - kept.atMs < EARLIER_MS_MAX) break
      this.#kept.delete(oldest)
    }
    return usage
  }

  /** Undefined when there was no turn in time. */
  async #read(place: NodePlace): Promise<NodeReading | undefined> {
    const { clock, fetch } = this.#deps
    const startMs = clock.monotonicMs()
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    const late = new AbortController()
    const timer = clock.setTimer(SCRAPE_MS_MAX, () =>
      late.abort(new Error(`The node did not answer within ${SCRAPE_MS_MAX} ms`)),
    )
    try {
      this.#closed.signal.throwIfAborted()
      if (clock.monotonicMs() - startMs > ANSWER_MS_MAX) return undefined
      return readSummary(await fetch(place, AbortSignal.any([late.signal, this.#closed.signal])))
    } finally {
      timer.cancel()
      const next = this.#waiting.pop()
      if (next === undefined) this.#free++
      else next()
    }
  }
}

/** Tells nodes of all partitions apart. */
export function placeKey({ node, partition = '' }: NodePlace): string {
  return `${partition}/${node}`
}
