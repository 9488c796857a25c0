import { DomainCounts } from './domain-counts.ts'
import type { NodeTable } from './node-table.ts'
import type { PodFootprint } from './pod-footprint.ts'
import { NO_VALUE, type TopologyColumn } from './topology.ts'

/** The first `count` of an array of slots. */
export interface Slots {
  readonly slots: Int32Array
  readonly count: number
}

/** What to count. */
export interface TrackerInit {
  /** Equal for trackers that count the same. */
  readonly key: string
  readonly topologyKey: string
  /** How much a pod adds; 0: nothing. Depends on the footprint alone. */
  readonly weigh: (footprint: PodFootprint) => number
  /** Only pods with this {@link PodFootprint.identityKey} add something; absent: any may. */
  readonly identityKey?: string | undefined
  /** Nodes whose pods count; absent: every node that has the topology key. Depends on labels and taints alone. */
  readonly takes?: ((slot: number) => boolean) | undefined
  /** Also count in which domains there are nodes that take part. */
  readonly countsNodes?: boolean | undefined
}

/** Placed pods of some kind, counted by topology domain; kept up to date as pods and nodes come and go. */
export class Tracker {
  readonly key: string
  readonly identityKey: string | undefined
  readonly weigh: (footprint: PodFootprint) => number
  readonly counts = new DomainCounts()
  /** Nodes that take part, by domain; empty unless asked for. */
  readonly nodes = new DomainCounts()
  readonly #column: TopologyColumn
  readonly #takes: ((slot: number) => boolean) | undefined
  readonly #countsNodes: boolean

  constructor(column: TopologyColumn, init: TrackerInit) {
    this.key = init.key
    this.identityKey = init.identityKey
    this.weigh = init.weigh
    this.#column = column
    this.#takes = init.takes
    this.#countsNodes = init.countsNodes === true
  }

  /** Adds `weight` times what is counted in the domain of each of the slots, and `plus` where there is a domain, to `sums`. */
  addTo(sums: Float64Array, { slots, count }: Slots, { weight, plus }: { weight: number; plus: number }): void {
    const { values } = this.#column
    const { dense } = this.counts
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const domain = slot < values.length ? values[slot]! : NO_VALUE
      if (domain === NO_VALUE) continue
      const counted = domain < dense.length ? dense[domain]! : this.counts.get(domain)
      sums[i]! += weight * counted + plus
    }
  }

  /** How much is counted in the domain of a node; 0 for a node that is in none. */
  at(slot: number): number {
    const domain = this.domainOf(slot)
    return domain === NO_VALUE ? 0 : this.counts.get(domain)
  }

  /** The number of the node's domain; {@link NO_VALUE}: it has none. */
  domainOf(slot: number): number {
    const { values } = this.#column
    return slot < values.length ? values[slot]! : NO_VALUE
  }

  /** Each domain's number is below it. */
  get domainCount(): number {
    return this.#column.valueCount
  }

  /** A pod came or went. */
  count(slot: number, weight: number): void {
    const domain = this.domainOf(slot)
    if (domain !== NO_VALUE && (this.#takes === undefined || this.#takes(slot))) this.counts.add(domain, weight)
  }

  /** A node came or went. */
  countNode(slot: number, sign: 1 | -1): void {
    if (!this.#countsNodes) return
    const domain = this.domainOf(slot)
    if (domain !== NO_VALUE && (this.#takes === undefined || this.#takes(slot))) this.nodes.add(domain, sign)
  }

  /** The smallest number over the domains that have a node. */
  least(): number {
    return this.counts.nonZero < this.nodes.nonZero ? 0 : this.counts.least()
  }
}

/** Trackers that somebody needs, one for each key. */
export class Trackers {
  readonly #nodes: NodeTable
  /** Makes a new tracker count what is placed already, or an old one not count any more. */
  readonly #hooks: { readonly added: (tracker: Tracker) => void; readonly removed: (tracker: Tracker) => void }
  readonly #known = new Map<string, { readonly tracker: Tracker; readonly topologyKey: string; users: number }>()

  readonly #byIdentity = new Map<string | undefined, Set<Tracker>>()

  constructor(nodes: NodeTable, hooks: { added: (tracker: Tracker) => void; removed: (tracker: Tracker) => void }) {
    this.#nodes = nodes
    this.#hooks = hooks
  }

  /** Kept until {@link release} was called as often. */
  acquire(init: TrackerInit): Tracker {
    let known = this.#known.get(init.key)
    if (known === undefined) {
      const column = this.#nodes.topology.acquire(init.topologyKey, this.#nodes.labels)
      known = { tracker: new Tracker(column, init), topologyKey: init.topologyKey, users: 0 }
      this.#known.set(init.key, known)
      const alike = this.#byIdentity.get(init.identityKey) ?? new Set<Tracker>()
      this.#byIdentity.set(init.identityKey, alike.add(known.tracker))
      for (let slot = 0; slot < this.#nodes.slotCount; slot++) known.tracker.countNode(slot, 1)
      this.#hooks.added(known.tracker)
    }
    known.users++
    return known.tracker
  }

  release(tracker: Tracker): void {
    const known = this.#known.get(tracker.key)
    if (known === undefined || --known.users > 0) return
    this.#known.delete(tracker.key)
    const alike = this.#byIdentity.get(tracker.identityKey)
    alike?.delete(tracker)
    if (alike?.size === 0) this.#byIdentity.delete(tracker.identityKey)
    this.#nodes.topology.release(known.topologyKey)
    this.#hooks.removed(tracker)
  }

  /** Those to which pods of the footprint may add something. */
  *about({ identityKey }: PodFootprint): Iterable<Tracker> {
    yield* this.#byIdentity.get(identityKey) ?? []
    yield* this.#byIdentity.get(undefined) ?? []
  }

  *all(): Iterable<Tracker> {
    for (const { tracker } of this.#known.values()) yield tracker
  }
}
