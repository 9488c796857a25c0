import type { BpfMap } from '../kernel/bpf-map.ts'
import { ruleKey } from '../layouts/layouts.ts'

/** Counters that are kept of rules that no list has any more: who reads them now and then sees the last packets too. */
const RETIRED_MAX = 4096

/** Programs make a rule's counter when it first decides. The table has a limit, so counters of rules that are gone must go too. */
export class RuleCounters {
  readonly #map: BpfMap
  /** By rule: lists that have it. */
  readonly #uses = new Map<number, number>()
  /** Oldest first. */
  readonly #retired = new Set<number>()

  constructor(map: BpfMap) {
    this.#map = map
  }

  /** What an earlier daemon left and no list has. Call when all lists are there. */
  retireUnused(): void {
    for (const key of this.#map.keys()) {
      const { rule } = ruleKey.decode(key)
      if (!this.#uses.has(rule)) this.#retire(rule)
    }
  }

  hold(rules: Iterable<number>): void {
    for (const rule of rules) {
      this.#uses.set(rule, (this.#uses.get(rule) ?? 0) + 1)
      this.#retired.delete(rule)
    }
  }

  release(rules: Iterable<number>): void {
    for (const rule of rules) {
      const uses = (this.#uses.get(rule) ?? 0) - 1
      if (uses > 0) {
        this.#uses.set(rule, uses)
        continue
      }
      this.#uses.delete(rule)
      this.#retire(rule)
    }
  }

  #retire(rule: number): void {
    if (rule === 0) return // the open default is always there
    this.#retired.add(rule)
    if (this.#retired.size <= RETIRED_MAX) return
    const [oldest] = this.#retired
    this.#retired.delete(oldest!)
    this.#map.delete(ruleKey.encode({ rule: oldest! }))
  }
}
