import type { Stored } from '@centaurus/api'
import type { Lease } from '@centaurus/api/coordination/v1'
import type { Node } from '@centaurus/api/core/v1'
import { observeHealth, silentTooLongMs, type GracePeriods, type NodeHealth } from './health.ts'
import { needsEvictionTaint } from './taints.ts'
import { planZones, RateLimit, zoneOf, type ZoneRates } from './zones.ts'

/** What the controller remembers of nodes between rounds. Bounded by the nodes and zones that there are. */
export class NodeMemory {
  readonly #options: GracePeriods & ZoneRates
  readonly #health = new Map<string, NodeHealth>()
  readonly #limits = new Map<string, RateLimit>()
  /** Names of nodes that wait for a NoExecute taint, first come first served. */
  readonly #waiting = new Set<string>()
  #isAllDown = false
  #isJudged = false

  constructor(options: GracePeriods & ZoneRates) {
    this.#options = options
  }

  /** True while every zone is down, when nobody is evicted. */
  get isAllDown(): boolean {
    return this.#isAllDown
  }

  knows(name: string): boolean {
    return this.#health.has(name)
  }

  observe(node: Stored<Node>, lease: Stored<Lease> | undefined, nowMs: number): void {
    const { name } = node.metadata
    const old = this.#health.get(name)
    const health = observeHealth(old, { node, lease }, nowMs)
    if (health !== old) this.#health.set(name, health)
  }

  isSilent(name: string, nowMs: number): boolean {
    const health = this.#health.get(name)
    return health !== undefined && silentTooLongMs(health, this.#options, nowMs) > 0
  }

  /** Gives nodes back up to `ms` of their grace period: nobody could hear them, or they could not be heard. */
  excuse(ms: number, nowMs: number): void {
    for (const [name, health] of this.#health) {
      this.#health.set(name, { ...health, probedMs: Math.min(nowMs, health.probedMs + ms) })
    }
  }

  forget(name: string): void {
    this.#health.delete(name)
    this.#waiting.delete(name)
  }

  /** Puts a node into the queue for eviction, or takes it out. */
  wait(node: Stored<Node>): void {
    if (!needsEvictionTaint(node)) this.#waiting.delete(node.metadata.name)
    else this.#waiting.add(node.metadata.name)
  }

  /**
   * Judges the zones. When the first node is back after all were down, every node gets a new grace period: it was perhaps the
   * control plane that was away. Returns true when all went down or came back.
   */
  judgeZones(nodes: readonly Stored<Node>[], nowMs: number): boolean {
    const { rates, isAllDown } = planZones(nodes, this.#options)
    const hasTurned = isAllDown !== this.#isAllDown
    if (hasTurned && !isAllDown) this.excuse(Number.POSITIVE_INFINITY, nowMs)
    for (const zone of this.#limits.keys()) if (!rates.has(zone)) this.#limits.delete(zone)
    for (const [zone, rate] of rates) {
      const limit = this.#limits.get(zone)
      if (limit === undefined) this.#limits.set(zone, new RateLimit(rate))
      else limit.set(rate, nowMs)
    }
    this.#isAllDown = isAllDown
    this.#isJudged = true
    return hasTurned
  }

  /** Nodes whose turn it is to be tainted, and how long until the next turn. None before the zones were judged. */
  takeTurns(
    nodeOf: (name: string) => Stored<Node> | undefined,
    nowMs: number,
  ): { due: string[]; waitMs: number | undefined } {
    const due: string[] = []
    let waitMs = Number.POSITIVE_INFINITY
    for (const name of this.#isJudged ? this.#waiting : []) {
      const node = nodeOf(name)
      if (node === undefined || !needsEvictionTaint(node)) {
        this.#waiting.delete(name)
        continue
      }
      const limit = this.#limits.get(zoneOf(node))
      if (limit?.tryTake(nowMs) === true) due.push(name)
      else waitMs = Math.min(waitMs, limit?.waitMs(nowMs) ?? Number.POSITIVE_INFINITY)
    }
    return { due, waitMs: waitMs === Number.POSITIVE_INFINITY ? undefined : waitMs }
  }
}
