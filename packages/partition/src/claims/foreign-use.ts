import { StatusError } from '@centaurus/api'
import { decodeText, type Clock, type Logger, type Random, type Timer } from '@centaurus/base'
import type { PeerStates } from '../epoch/peer-states.ts'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink } from '../membership/partition-link.ts'
import {
  COALESCE_MS,
  foreignUse,
  HEARTBEAT_INTERVAL_MS,
  isUnused,
  type AllocationLine,
  type NodeUse,
} from './allocation-stream.ts'
import { ALLOCATIONS_PATH } from './claims-extension.ts'
import type { ClaimBook } from './claim-book.ts'
import type { PartitionReach } from './partition-reach.ts'

/** A stream that is silent for this long is taken for dead. */
const SILENCE_MAX_MS = 3 * HEARTBEAT_INTERVAL_MS
/** Between tries to open a stream, doubled up to the maximum, with jitter. */
const RECONNECT_BASE_MS = 200
/** A partition that is back is used again after at most this. */
const RECONNECT_MAX_MS = 3_000

/** The scheduler's `ForeignUseChange`. */
export interface NodeUseChange extends Omit<NodeUse, 'node'> {
  readonly nodeName: string
}

export interface ForeignUseDeps {
  readonly membership: Pick<Membership, 'self' | 'list' | 'onChange'>
  readonly openLink: OpenLink
  /** The book of this partition when it has nodes of its own. */
  readonly localClaims?: ClaimBook | undefined
  /** Remembers the stores of resource partitions: one that went back in time is not believed. */
  readonly peers?: Pick<PeerStates, 'expect' | 'note'> | undefined
  /** Is told which partitions tell. */
  readonly reach?: Pick<PartitionReach, 'synced' | 'lost'> | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** Fits the scheduler's `ForeignUseSource`. */
export interface ForeignUse {
  /** Calls back with what is known first, then with every change. Returns what ends it. */
  subscribe(listener: (changes: readonly NodeUseChange[]) => void): () => void
  close(): Promise<void>
}

/** What other partitions use of the nodes of all resource partitions. What was told by one that is away stays as it was. */
export function createForeignUse(deps: ForeignUseDeps): ForeignUse {
  return new ForeignUseFollower(deps)
}

interface Follower {
  readonly endpoints: string
  readonly stop: AbortController
  readonly running: Promise<void>
}

class ForeignUseFollower implements ForeignUse {
  readonly #deps: ForeignUseDeps
  readonly #listeners = new Set<(changes: readonly NodeUseChange[]) => void>()
  readonly #known = new Map<string, Map<string, NodeUse>>()
  readonly #followers = new Map<string, Follower>()
  readonly #removes: (() => void)[]

  constructor(deps: ForeignUseDeps) {
    this.#deps = deps
    this.#removes = [deps.membership.onChange(() => this.#follow()), this.#followLocal()]
    this.#follow()
  }

  subscribe(listener: (changes: readonly NodeUseChange[]) => void): () => void {
    const own = (changes: readonly NodeUseChange[]): void => listener(changes)
    this.#listeners.add(own)
    const known = Array.from(this.#known.values(), (uses) => Array.from(uses.values(), toChange)).flat()
    if (known.length > 0) own(known)
    return () => this.#listeners.delete(own)
  }

  async close(): Promise<void> {
    for (const remove of this.#removes) remove()
    for (const { stop } of this.#followers.values()) stop.abort(new Error('Closed'))
    await Promise.all(Array.from(this.#followers.values(), ({ running }) => running))
  }

  #followLocal(): () => void {
    const { localClaims, membership } = this.#deps
    if (localClaims === undefined) return () => {}
    const { ledger, rules } = localClaims
    const dirty = new Set(ledger.claimedNodes())
    let timer: Timer | undefined
    const flush = (): void => {
      timer = undefined
      const uses = Array.from(dirty, (node) => ({ node, ...foreignUse(ledger.claims(node), membership.self, rules) }))
      dirty.clear()
      this.#put(membership.self, uses)
    }
    flush()
    const remove = ledger.onChange((node, now, before) => {
      const isForeign = [...now.claims, ...before.claims].some(({ terms }) => terms.partition !== membership.self)
      if (!isForeign && now.nominations === before.nominations) return
      dirty.add(node)
      timer ??= this.#deps.clock.setTimer(COALESCE_MS, flush)
    })
    return () => {
      timer?.cancel()
      remove()
    }
  }

  #follow(): void {
    const { membership } = this.#deps
    const wanted = new Map(
      membership
        .list()
        .filter(({ metadata, spec }) => metadata.name !== membership.self && spec.roles.includes('Resource'))
        .map((partition) => [partition.metadata.name, partition]),
    )
    for (const [name, follower] of this.#followers) {
      if (wanted.get(name)?.spec.endpoints.join() === follower.endpoints) continue
      follower.stop.abort(new Error('The partition has other addresses, or is no member any more'))
      this.#followers.delete(name)
    }
    for (const [name, partition] of wanted) {
      if (this.#followers.has(name)) continue
      const stop = new AbortController()
      const running = this.#run(name, () => this.#deps.openLink(partition), stop.signal)
      this.#followers.set(name, { endpoints: partition.spec.endpoints.join(), stop, running })
    }
  }

  /** Keeps a stream open until `signal` aborts. Never throws. */
  async #run(partition: string, open: () => ReturnType<OpenLink>, signal: AbortSignal): Promise<void> {
    const { clock, random, logger, reach } = this.#deps
    const link = open()
    let failures = 0
    const onSynced = (): void => {
      failures = 0
      reach?.synced(partition)
    }
    while (!signal.aborted) {
      try {
        await this.#read(partition, link, { signal, onSynced })
      } catch (error) {
        if (signal.aborted) break
        if (failures === 0) logger.warn('Lost the allocations of a partition, will retry', { partition, error })
      }
      failures++
      reach?.lost(partition)
      const delayMs = Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** (failures - 1))
      await clock.sleep(delayMs * (0.5 + random.next() / 2), { signal }).catch(() => {})
    }
    await link.close()
  }

  async #read(
    partition: string,
    link: ReturnType<OpenLink>,
    { signal, onSynced }: { readonly signal: AbortSignal; readonly onSynced: () => void },
  ): Promise<void> {
    const { clock, peers, membership } = this.#deps
    const verdictOf = peers?.expect(partition)
    const named = new Set<string>()
    const silence = new AbortController()
    let timer: Timer | undefined
    const listen = (): void => {
      timer?.cancel()
      timer = clock.setTimer(SILENCE_MAX_MS, () => silence.abort(new Error(`Heard nothing for ${SILENCE_MAX_MS} ms`)))
    }
    const onLine = (bytes: Uint8Array): void => {
      listen()
      const line = JSON.parse(decodeText(bytes)) as AllocationLine
      if (line.type === 'HELLO') {
        const verdict = verdictOf?.(line)
        if (verdict?.type === 'fenced') throw fencedError(partition, verdict.reason)
      } else if (line.type === 'NODES') {
        for (const { node } of line.nodes) named.add(node)
        this.#put(partition, line.nodes)
      } else if (line.type === 'SYNCED') {
        this.#forgetUnnamed(partition, named)
        onSynced()
      }
    }
    listen()
    try {
      const path = `${ALLOCATIONS_PATH}?partition=${encodeURIComponent(membership.self)}`
      await link.stream({ path, signal: AbortSignal.any([signal, silence.signal]), onLine })
    } finally {
      timer?.cancel()
    }
  }

  #put(partition: string, uses: readonly NodeUse[]): void {
    const known = this.#known.get(partition) ?? new Map<string, NodeUse>()
    this.#known.set(partition, known)
    for (const use of uses) {
      if (isUnused(use)) known.delete(use.node)
      else known.set(use.node, use)
    }
    const changes = uses.map(toChange)
    if (changes.length > 0) for (const listener of this.#listeners) listener(changes)
  }

  #forgetUnnamed(partition: string, named: ReadonlySet<string>): void {
    const gone = Array.from(this.#known.get(partition)?.keys() ?? []).filter((node) => !named.has(node))
    this.#put(
      partition,
      gone.map((node) => ({ node, requests: {} })),
    )
  }
}

function toChange({ node, ...use }: NodeUse): NodeUseChange {
  return { nodeName: node, ...use }
}

function fencedError(partition: string, reason: string): Error {
  return new StatusError({ reason: 'Conflict', message: `partition "${partition}" is fenced: ${reason}` })
}
