import { serviceUnavailable, StatusError, SYSTEM_TENANT, tooManyRequests } from '@centaurus/api'
import { assert, encodeText, type Clock, type Logger } from '@centaurus/base'
import { StoreFullError, type Change, type CommitResult, type Comparison, type Store } from '@centaurus/store'
import { ClaimFeed, claimantKey, nodeClaimsKey } from './claim-feed.ts'
import { LedgerDraft } from './decide-claims.ts'
import { DEFAULT_RULES, type PreemptionRules } from './decide-preemption.ts'
import { Ledger } from './ledger.ts'
import {
  CLAIM_ITEMS_MAX,
  type ClaimAnswer,
  type ClaimItem,
  type ClaimsRequest,
  type ClaimsResponse,
  type HeldClaim,
} from './model.ts'
import { planReconcile, type BoundPods } from './reconcile-claims.ts'
import { encodeNodeClaims, isNothing, TermsTable, type NodeClaims } from './node-claims.ts'

/** Items that wait for the commit before; beyond, callers are told to come back. */
const QUEUE_ITEMS_MAX = 65_536
/** Items decided and committed together. */
const GROUP_ITEMS_MAX = 4_096
/** Tenant partitions whose requests are committed together: their keys stand in every transaction of the group. */
const GROUP_CLAIMANTS_MAX = 16
/** Comparisons, and changes, of one transaction. Source: etcd's default --max-txn-ops (128), less what its engine adds of its own. */
const TRANSACTION_KEYS_MAX = 120
/** How often a group is decided anew because another API server was faster. */
const ATTEMPTS_MAX = 50

export interface ClaimBookDeps {
  readonly store: Store
  readonly clock: Clock
  readonly logger: Logger
  /** Which partition serves a tenant now; undefined: the one that claimed. */
  readonly ownerOf?: ((tenant: string) => string | undefined) | undefined
  /** Who may take whose room; default {@link DEFAULT_RULES}. */
  readonly rules?: PreemptionRules | undefined
}

interface Entry {
  /** Absent for the partition's own housekeeping, which no fence concerns. */
  readonly request: ClaimsRequest | undefined
  readonly partition: string
  readonly items: readonly ClaimItem[]
  readonly resolve: (answers: readonly ClaimAnswer[]) => void
  readonly reject: (error: unknown) => void
}

/**
 * Claims of a resource partition: decides, makes durable, then answers. Requests that come while a commit is under way are decided and
 * committed together. Any number of API servers may do so over one store: each node's claims are one key, and each tenant partition has a
 * key that every request of it changes; both are compared in the commit, and who loses looks again.
 */
export class ClaimBook {
  readonly ledger = new Ledger()
  readonly rules: PreemptionRules
  readonly #deps: ClaimBookDeps
  readonly #table = new TermsTable()
  readonly #feed: ClaimFeed
  #queue: Entry[] = []
  #queuedItems = 0
  #running: Promise<void> | undefined
  #closed = false

  constructor(deps: ClaimBookDeps) {
    this.#deps = deps
    this.rules = deps.rules ?? DEFAULT_RULES
    this.#feed = new ClaimFeed({ ...deps, ledger: this.ledger, table: this.#table })
  }

  /** True while the store's news arrive. */
  get live(): boolean {
    return this.#feed.live
  }

  /** Highest epoch that was seen of a tenant partition; 0: it never claimed. */
  epochOf(partition: string): number {
    return this.#feed.claimant(partition).epoch
  }

  /** Loads what the store has, and follows it. */
  async start(): Promise<void> {
    await this.#feed.start()
  }

  /**
   * Answers when everything that was accepted is durable. Throws Conflict with cause `StaleEpoch` or `StaleRequest`, ServiceUnavailable
   * and TooManyRequests; after another error the request may have been acted upon: send it again, with a higher sequence.
   */
  async submit(request: ClaimsRequest): Promise<ClaimsResponse> {
    const { partition, items, epoch } = request
    return { epoch, items: await this.#enqueue({ request, partition, items }) }
  }

  /** Releases on the partition's own account, such as for pods that ended. `partition` is the one that claimed. */
  async release(partition: string, items: readonly ClaimItem[]): Promise<void> {
    await this.whenCurrent()
    await this.#enqueue({ request: undefined, partition, items })
  }

  /**
   * Resolves when the ledger has all that was committed before the call, by whichever API server. Requests of tenant partitions need not wait:
   * the number of the request before is compared in their commit. Throws ServiceUnavailable when it takes too long.
   */
  async whenCurrent(): Promise<void> {
    await this.#feed.waitRevision(await this.#deps.store.currentRevision())
  }

  /** What a partition claimed, or claimed again, at an epoch. */
  *held(partition: string, epoch: number): Generator<HeldClaim, void> {
    for (const node of this.ledger.claimedNodes()) {
      for (const { uid, terms } of this.ledger.claims(node).claims) {
        if (terms.partition === partition && terms.epoch === epoch) yield [uid, node, terms.tenant]
      }
    }
  }

  /** Claims room on a partition's account without its scheduler, such as for pods that nodes run by themselves. */
  async claimFor(partition: string, items: readonly ClaimItem[]): Promise<readonly ClaimAnswer[]> {
    await this.whenCurrent()
    return this.#enqueue({ request: undefined, partition, items })
  }

  /**
   * Gives back claims of a tenant partition that have no pod. Call it when everything that the partition has bound at `epoch` is known: claims
   * of schedulers before that one which are not bound then never will be. Claims of tenants that have moved to it become its own.
   */
  async reconcile(partition: string, bound: BoundPods): Promise<void> {
    await this.#raiseEpoch(partition, bound.epoch)
    await this.whenCurrent()
    const ownerOf = (tenant: string): string | undefined => this.#deps.ownerOf?.(tenant)
    await this.#enqueue({ request: undefined, partition, items: [] }) // what was decided before tenants moved is in the ledger then
    const { release, takeOver } = planReconcile(this.ledger, partition, { ...bound, ownerOf })
    for (const [holder, items] of release) await this.#inParts(holder, items)
    await this.#inParts(partition, takeOver)
  }

  /** From here on no claim of an earlier scheduler is accepted. */
  async #raiseEpoch(partition: string, epoch: number): Promise<void> {
    if (this.epochOf(partition) >= epoch) return
    await this.#enqueue({ request: { partition, epoch, sequence: 0, items: [] }, partition, items: [] })
  }

  async #inParts(partition: string, items: readonly ClaimItem[]): Promise<void> {
    for (let at = 0; at < items.length; at += CLAIM_ITEMS_MAX) {
      await this.#enqueue({ request: undefined, partition, items: items.slice(at, at + CLAIM_ITEMS_MAX) })
    }
  }

  /** Waits for what is under way; what waits is refused. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
    this.#feed.close()
  }

  #enqueue(wanted: Pick<Entry, 'request' | 'partition' | 'items'>): Promise<readonly ClaimAnswer[]> {
    if (this.#closed || !this.live) return Promise.reject(serviceUnavailable('claims are not loaded yet'))
    if (this.#queuedItems + wanted.items.length > QUEUE_ITEMS_MAX) {
      return Promise.reject(tooManyRequests('too many claims are waiting; please try again', 1))
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ ...wanted, resolve, reject })
      this.#queuedItems += wanted.items.length
      this.#running ??= this.#run()
    })
  }

  async #run(): Promise<void> {
    await Promise.resolve() // others that come in the same turn join the first group
    while (this.#queue.length > 0) {
      const group = this.#takeGroup()
      try {
        await this.#settle(group)
      } catch (error) {
        for (const entry of group) entry.reject(this.#toAnswer(error))
      }
    }
    this.#running = undefined
  }

  #toAnswer(error: unknown): unknown {
    if (!(error instanceof StoreFullError)) return error
    this.#deps.logger.error('Could not store claims: the store is full', { error })
    return serviceUnavailable('the store has no room left; free some space and try again')
  }

  #takeGroup(): Entry[] {
    const claimants = new Set<string>()
    let items = 0
    let count = 0
    for (const { request, items: own } of this.#queue) {
      items += own.length
      if (count > 0 && items > GROUP_ITEMS_MAX) break
      if (request !== undefined) {
        // One request of a partition in a group: the record shows at any time which it was.
        if (claimants.has(request.partition) || claimants.size === GROUP_CLAIMANTS_MAX) break
        claimants.add(request.partition)
      }
      count++
    }
    const group = this.#queue.slice(0, count)
    this.#queue = this.#queue.slice(count)
    for (const entry of group) this.#queuedItems -= entry.items.length
    return group
  }

  async #settle(group: readonly Entry[]): Promise<void> {
    let open = group
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      open = open.filter((entry) => this.#isAllowed(entry))
      if (open.length === 0) return
      const draft = new LedgerDraft(this.ledger, this.#table, this.rules)
      const answers = open.map(({ partition, request, items }) =>
        draft.decide({ partition, epoch: request?.epoch ?? 0, serves: this.#servesOf(request) }, items),
      )
      const lostAt = await this.#commitAll(
        draft.changes,
        open.flatMap(({ request }) => request ?? []),
      )
      if (lostAt === undefined) {
        for (const [i, entry] of open.entries()) entry.resolve(answers[i]!)
        return
      }
      await this.#feed.waitRevision(lostAt)
    }
    throw serviceUnavailable('too many API servers decide on the same nodes; please try again')
  }

  /** A pod of a tenant that has moved is never bound by the partition that it left, so room for it would be lost. */
  #servesOf(request: ClaimsRequest | undefined): ((tenant: string) => boolean) | undefined {
    const { ownerOf } = this.#deps
    if (request === undefined || ownerOf === undefined) return undefined
    return (tenant) => tenant === SYSTEM_TENANT || (ownerOf(tenant) ?? request.partition) === request.partition
  }

  /** Tells the caller of a request that came too late. */
  #isAllowed({ request, reject }: Entry): boolean {
    if (request === undefined) return true
    const { partition, epoch, sequence } = request
    const seen = this.#feed.claimant(partition)
    if (epoch > seen.epoch || (epoch === seen.epoch && sequence >= seen.sequence)) return true
    if (epoch < seen.epoch) {
      const message = `partition "${partition}" has a newer scheduler (epoch ${seen.epoch}, this one has ${epoch}): stop`
      reject(staleRequest('StaleEpoch', message))
    } else reject(staleRequest('StaleRequest', `request ${sequence} came after ${seen.sequence} of the same epoch`))
    return false
  }

  /** Commits in as few transactions as there may be; returns the store's revision when one was lost. What came before it stays. */
  async #commitAll(changes: Map<string, NodeClaims>, requests: readonly ClaimsRequest[]): Promise<number | undefined> {
    const nodes = [...changes]
    const perTransaction = TRANSACTION_KEYS_MAX - requests.length
    let first = 0
    do {
      const part = nodes.slice(first, first + perTransaction)
      const result = await this.#commit(part, requests)
      if (!result.committed) return result.revision
      first += perTransaction
    } while (first < nodes.length)
    return undefined
  }

  async #commit(
    nodes: readonly (readonly [string, NodeClaims])[],
    requests: readonly ClaimsRequest[],
  ): Promise<CommitResult> {
    if (nodes.length === 0 && requests.length === 0) return { committed: true, revision: 0 }
    const compare: Comparison[] = []
    const changes: Change[] = []
    for (const { partition, epoch, sequence } of requests) {
      const key = claimantKey(partition)
      compare.push({ key, modRevision: this.#feed.claimant(partition).revision })
      changes.push({ type: 'put', key, value: encodeText(JSON.stringify({ epoch, sequence })) })
    }
    for (const [node, content] of nodes) {
      const key = nodeClaimsKey(node)
      compare.push({ key, modRevision: this.ledger.compareRevision(node) })
      if (isNothing(content)) changes.push({ type: 'delete', key })
      else changes.push({ type: 'put', key, value: encodeNodeClaims(content) })
    }
    const result = await this.#deps.store.commit({ compare, changes })
    if (!result.committed) return result
    const { revision } = result
    assert(revision > 0, 'a commit has a revision')
    for (const { partition, epoch, sequence } of requests) {
      this.#feed.setClaimant(partition, { epoch, sequence, revision })
    }
    for (const [node, content] of nodes) {
      this.ledger.put(node, isNothing(content) ? undefined : content, revision)
    }
    return result
  }
}

function staleRequest(cause: 'StaleEpoch' | 'StaleRequest', message: string): StatusError {
  return new StatusError({ reason: 'Conflict', message, details: { causes: [{ reason: cause, message }] } })
}
