import type { Clock, Logger } from '@centaurus/base'
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
const NODES_KEPT_MAX = 40_000

export interface NodeScraperDeps {
  /** What the node's `/stats/summary` says. Throws when it can't be had. */
  readonly fetch: (node: string, signal: AbortSignal) => Promise<string>
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

  /**
   * What each of the nodes uses, by name. Those that do not answer are left out; those that have no turn in time are as they were when they had one,
   * if that is not long ago.
   */
  async usageOf(nodes: readonly string[]): Promise<ReadonlyMap<string, NodeUsage>> {
    const found = new Map<string, NodeUsage | undefined>()
    const all = Promise.all(nodes.map(async (node) => void found.set(node, await this.#usage(node))))
    const late = Promise.withResolvers<void>()
    const timer = this.#deps.clock.setTimer(ANSWER_MS_MAX, late.resolve)
    await Promise.race([all, late.promise])
    timer.cancel()
    const told = new Map<string, NodeUsage>()
    for (const node of nodes) {
      const usage = found.has(node) ? found.get(node) : this.#earlier(node)?.usage
      if (usage !== undefined) told.set(node, usage)
    }
    return told
  }

  close(): void {
    this.#closed.abort(new Error('The API server was closed'))
  }

  async #usage(node: string): Promise<NodeUsage | undefined> {
    const kept = this.#kept.get(node)
    if (kept !== undefined && this.#ageMs(kept) < FRESH_MS) return kept.usage
    const known = this.#running.get(node)
    if (known !== undefined) return known
    const running = this.#measure(node)
    this.#running.set(node, running)
    return running.finally(() => this.#running.delete(node))
  }

  #earlier(node: string): Kept | undefined {
    const kept = this.#kept.get(node)
    return kept !== undefined && this.#ageMs(kept) < EARLIER_MS_MAX ? kept : undefined
  }

  #ageMs({ atMs }: Kept): number {
    return this.#deps.clock.monotonicMs() - atMs
  }

  async #measure(node: string): Promise<NodeUsage | undefined> {
    const { clock, logger } = this.#deps
    const earlier = this.#earlier(node)
    try {
      const first = await this.#read(node)
      if (first === undefined) return undefined
      const { usage, isComplete } = computeUsage(first, earlier?.reading)
      if (isComplete) return this.#keep(node, { reading: first, usage })
      await clock.sleep(BETWEEN_READINGS_MS, { signal: this.#closed.signal })
      const second = await this.#read(node)
      if (second === undefined) return this.#keep(node, { reading: first, usage })
      return this.#keep(node, { reading: second, usage: computeUsage(second, first).usage })
    } catch (error) {
      if (this.#closed.signal.aborted) return undefined
      logger.debug('Could not read what a node uses', { node, error })
      return this.#keep(node, { reading: undefined, usage: undefined }) // not asked again at once
    }
  }

  #keep(node: string, { reading, usage }: Omit<Kept, 'atMs'>): NodeUsage | undefined {
    const atMs = this.#deps.clock.monotonicMs()
    this.#kept.delete(node)
    this.#kept.set(node, { atMs, reading, usage })
    for (const [oldest, kept] of this.#kept) {
      if (this.#kept.size <= NODES_KEPT_MAX && atMs - kept.atMs < EARLIER_MS_MAX) break
      this.#kept.delete(oldest)
    }
    return usage
  }

  /** Undefined when there was no turn in time. */
  async #read(node: string): Promise<NodeReading | undefined> {
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
      return readSummary(await fetch(node, AbortSignal.any([late.signal, this.#closed.signal])))
    } finally {
      timer.cancel()
      const next = this.#waiting.pop()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
