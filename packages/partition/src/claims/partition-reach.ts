import type { Clock, Timer } from '@centaurus/base'
import type { PeerStates } from '../epoch/peer-states.ts'

export interface PartitionReachDeps {
  /** This partition, which reaches itself. */
  readonly self: string
  readonly peers?: Pick<PeerStates, 'whyFenced' | 'onChange'> | undefined
  readonly clock: Clock
}

/**
 * Which resource partitions can be asked for room now: those that tell what is used of their nodes, whose last answer to a claim was one, and
 * that are believed. Whoever talks to them says what it sees.
 */
export class PartitionReach {
  readonly #deps: PartitionReachDeps
  readonly #telling = new Set<string>()
  /** Partitions that did not answer a claim, until they are worth another try. */
  readonly #silent = new Map<string, Timer>()
  readonly #listeners = new Set<() => void>()
  readonly #removeListener: () => void

  constructor(deps: PartitionReachDeps) {
    this.#deps = deps
    this.#removeListener = deps.peers?.onChange(() => this.#tell()) ?? (() => {})
  }

  isReachable(partition: string): boolean {
    if (this.#deps.peers?.whyFenced(partition) !== undefined) return false
    return partition === this.#deps.self || (this.#telling.has(partition) && !this.#silent.has(partition))
  }

  /** The same of nodes. Fits the scheduler's `NodeReach`. */
  ofNodes(partitionOf: (node: string) => string | undefined): {
    isReachable: (node: string) => boolean
    onChange: (listener: () => void) => () => void
  } {
    return {
      isReachable: (node) => this.isReachable(partitionOf(node) ?? ''),
      onChange: (listener) => this.onChange(listener),
    }
  }

  /** Everything that is used of its nodes is known, and news come. */
  synced(partition: string): void {
    this.#silent.get(partition)?.cancel()
    this.#silent.delete(partition)
    this.#telling.add(partition)
    this.#tell()
  }

  /** No news come any more. */
  lost(partition: string): void {
    if (this.#telling.delete(partition)) this.#tell()
  }

  /** A claim got no answer; the next one is worth a try after `retryMs`. */
  claimFailed(partition: string, retryMs: number): void {
    this.#silent.get(partition)?.cancel()
    this.#silent.set(
      partition,
      this.#deps.clock.setTimer(retryMs, () => this.#forgive(partition)),
    )
    this.#tell()
  }

  /** Calls `listener` when a partition may have come or gone. Returns what removes it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#removeListener()
    this.#listeners.clear()
    for (const timer of this.#silent.values()) timer.cancel()
  }

  #forgive(partition: string): void {
    this.#silent.delete(partition)
    this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
