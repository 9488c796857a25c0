import { sharedPriority } from '@centaurus/api'
import type { Clock, Timer } from '@centaurus/base'
import type { Exchange } from '@centaurus/apiserver'
import type { StoreState } from '../epoch/check-peer.ts'
import type { ClaimBook } from './claim-book.ts'
import type { PreemptionRules } from './decide-preemption.ts'
import type { Ledger } from './ledger.ts'
import type { Amounts, HostPort } from './model.ts'
import { addAmounts, type NodeClaims } from './node-claims.ts'

/** Changes of this long are told together; of a node that changes often only the last. */
export const COALESCE_MS = 50
/** A reader that hears nothing for three of these may take the connection for dead. */
export const HEARTBEAT_INTERVAL_MS = 5_000
/** A reader with more than this unread is dropped; it comes back and gets a snapshot. */
const UNREAD_BYTES_MAX = 8 * 1024 * 1024
/** Nodes in one line of a snapshot. */
const SNAPSHOT_NODES_A_LINE = 500

/** What others than the reader use of one node, or will in place of pods that leave it; absolute. Nothing is used when `requests` is empty. */
export interface NodeUse {
  readonly node: string
  readonly requests: Amounts
  readonly ports?: readonly HostPort[] | undefined
  /** `requests` by `sharedPriority` of the pods, rising; absent: all of it is of pods that have 0. */
  readonly priorities?: readonly (readonly [priority: number, requests: Amounts])[] | undefined
  /** Pods of the reader that must leave the node, by uid: pods of others take their room. */
  readonly evict?: readonly string[] | undefined
  /** Pods of the reader for which room is kept on the node, by uid. */
  readonly nominated?: readonly string[] | undefined
}

/**
 * Lines of `GET /partition/v1/allocations`. First HELLO, with what the store is and how far; then NODES for whatever is used, then SYNCED: nodes that were not named since the stream began
 * are not used. Then NODES for changes. Lines may repeat what is known.
 */
export type AllocationLine =
  | ({ readonly type: 'HELLO' } & StoreState)
  | { readonly type: 'NODES'; readonly nodes: readonly NodeUse[] }
  | { readonly type: 'SYNCED' }
  | { readonly type: 'HEARTBEAT' }

interface Reader {
  readonly partition: string
  readonly exchange: Exchange
}

/** Tells tenant partitions what others use of the nodes, as the ledger changes. */
export class AllocationStreams {
  readonly #ledger: Ledger
  readonly #rules: PreemptionRules
  readonly #clock: Clock
  readonly #readers = new Set<Reader>()
  /** Changed nodes: the one partition whose use changed, or null for several. */
  readonly #dirty = new Map<string, string | null>()
  readonly #removeListener: () => void
  #flushTimer: Timer | undefined
  #heartbeatTimer: Timer | undefined

  constructor({ ledger, rules }: Pick<ClaimBook, 'ledger' | 'rules'>, clock: Clock) {
    this.#ledger = ledger
    this.#rules = rules
    this.#clock = clock
    this.#removeListener = ledger.onChange((node, now, before) => this.#mark(node, now, before))
  }

  /** Serves one reader until it goes away. Resolves when the snapshot is sent. */
  async serve(exchange: Exchange, partition: string, state: StoreState | undefined): Promise<void> {
    exchange.startStream(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-cache, private' })
    const reader: Reader = { exchange, partition }
    this.#readers.add(reader)
    exchange.onClose(() => this.#readers.delete(reader))
    this.#keepTime()
    if (state !== undefined) send(exchange, { type: 'HELLO', ...state })
    const nodes = this.#ledger.claimedNodes()
    for (let at = 0; at < nodes.length; at += SNAPSHOT_NODES_A_LINE) {
      // What is written is what holds now; later changes come behind it, so the last line of a node is always the truth.
      const uses = nodes.slice(at, at + SNAPSHOT_NODES_A_LINE).map((node) => this.#useOf(node, partition))
      const used = uses.filter((use) => !isUnused(use))
      if (used.length > 0) send(exchange, { type: 'NODES', nodes: used })
      await exchange.drained()
      if (exchange.closed) return
    }
    send(exchange, { type: 'SYNCED' })
  }

  close(): void {
    this.#removeListener()
    this.#flushTimer?.cancel()
    this.#heartbeatTimer?.cancel()
    for (const { exchange } of this.#readers) exchange.end()
    this.#readers.clear()
  }

  #mark(node: string, now: NodeClaims, before: NodeClaims): void {
    if (this.#readers.size === 0) return
    if (now.nominations !== before.nominations) this.#dirty.set(node, null)
    for (const partition of changedPartitions(now, before)) {
      const known = this.#dirty.get(node)
      this.#dirty.set(node, known === undefined || known === partition ? partition : null)
    }
    this.#flushTimer ??= this.#clock.setTimer(COALESCE_MS, () => this.#flush())
  }

  #flush(): void {
    this.#flushTimer = undefined
    const dirty = [...this.#dirty]
    this.#dirty.clear()
    for (const { partition, exchange } of this.#readers) {
      const nodes = dirty.filter(([, changed]) => changed !== partition).map(([node]) => this.#useOf(node, partition))
      if (nodes.length > 0) send(exchange, { type: 'NODES', nodes })
    }
  }

  #useOf(node: string, partition: string): NodeUse {
    return { node, ...foreignUse(this.#ledger.claims(node), partition, this.#rules) }
  }

  #keepTime(): void {
    this.#heartbeatTimer ??= this.#clock.setTimer(HEARTBEAT_INTERVAL_MS, () => {
      this.#heartbeatTimer = undefined
      for (const { exchange } of this.#readers) send(exchange, { type: 'HEARTBEAT' })
      if (this.#readers.size > 0) this.#keepTime()
    })
  }
}

/** What a reader need not be told. */
export function isUnused({ requests, nominated }: Omit<NodeUse, 'node'>): boolean {
  return nominated === undefined && Object.keys(requests).length === 0
}

/** What partitions other than `partition` use of a node, and what that means for its own pods there. */
export function foreignUse(
  { claims, nominations }: NodeClaims,
  partition: string,
  { maxPriorityOf }: Pick<PreemptionRules, 'maxPriorityOf'>,
): Omit<NodeUse, 'node'> {
  const requests: Record<string, number> = {}
  const ports: HostPort[] = []
  const byPriority = new Map<number, Record<string, number>>()
  for (const { terms } of nominations.length === 0 ? claims : [...claims, ...nominations]) {
    if (terms.partition === partition) continue
    addAmounts(requests, terms.requests)
    ports.push(...terms.ports)
    const priority = sharedPriority(terms, maxPriorityOf)
    const sum = byPriority.get(priority) ?? {}
    byPriority.set(priority, sum)
    addAmounts(sum, terms.requests)
  }
  const isPlain = byPriority.size === 0 || (byPriority.size === 1 && byPriority.has(0))
  const victims = new Set(nominations.flatMap((each) => each.victims))
  const evict =
    victims.size === 0 ? [] : claims.filter(({ uid, terms }) => terms.partition === partition && victims.has(uid))
  const nominated = nominations.filter(({ terms }) => terms.partition === partition)
  return {
    requests,
    ...(ports.length === 0 ? {} : { ports }),
    ...(isPlain ? {} : { priorities: [...byPriority].toSorted(([a], [b]) => a - b) }),
    ...(evict.length === 0 ? {} : { evict: evict.map(({ uid }) => uid) }),
    ...(nominated.length === 0 ? {} : { nominated: nominated.map(({ uid }) => uid) }),
  }
}

function changedPartitions(now: NodeClaims, before: NodeClaims): Set<string> {
  const kept = new Set(before.claims)
  const changed = new Set<string>()
  for (const claim of now.claims) if (!kept.delete(claim)) changed.add(claim.terms.partition)
  for (const { terms } of kept) changed.add(terms.partition)
  return changed
}

function send(exchange: Exchange, line: AllocationLine): void {
  if (exchange.queuedBytes > UNREAD_BYTES_MAX) return exchange.destroy()
  exchange.write(Buffer.from(`${JSON.stringify(line)}\n`))
}
