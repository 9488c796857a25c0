import { tooManyRequests, quantityOfUnits, parseQuantity } from '@centaurus/api'
import type { Clock } from '@centaurus/base'
import type { RequestContext } from '../extension.ts'
import type { Exchange } from '../http/exchange.ts'
import { isTrue } from '../request/parse-request-info.ts'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import type { TenantDirectory } from '../tenants/tenant-directory.ts'
import { FairQueue, type QueueLimits } from './fair-queue.ts'

/** Watches, logs, shells and so on that one tenant may hold open. */
const LONG_RUNNING_MAX = 20_000
const RETRY_SECONDS = 1
/** The queue of all whom nobody knows; no tenant can be called so. */
const NOBODY = 'system:unauthenticated'
const NODES = 'system:nodes'
/** Leases and statuses of nodes: a write that waits for another partition must not keep a node from telling that it lives. */
const HEARTBEATS = 'system:nodes/heartbeats'
/**
 * Of all nodes together. They wait for nobody but each other, so that a server with more of them than it can bear still answers partitions, controllers and
 * operators at once; what waited too long is refused, and comes again. Source of a level for nodes: apiserver's `node-high`.
 */
const NODE_LIMITS: QueueLimits = {
  seats: 2_048,
  seatsEach: 1_024,
  waitingEach: 50_000,
  weightPerTurn: 64,
  sharedWeightPerTurn: 64,
}
const CONNECTIONS = new Set(['attach', 'exec', 'portforward', 'proxy'])
const NANOS_PER_UNIT = quantityOfUnits(1).nanos

export interface RequestLimitsDeps {
  readonly clock: Clock
  readonly tenants: TenantDirectory
}

/**
 * Shares the server between tenants. Users of `system` (the cluster's own parts, operators) are exempt, as upstream exempts
 * `system:masters`; nodes have a queue of their own, and so has whoever is not known. What tenants hold open is counted and holds no seat; a watch holds one
 * until it has begun.
 */
export class RequestLimits {
  readonly #queue: FairQueue
  readonly #nodes: FairQueue
  readonly #longRunning = new Map<string, number>()

  constructor({ clock, tenants }: RequestLimitsDeps) {
    this.#queue = new FairQueue({ clock, seatsOf: (tenant) => readSeats(tenants.find(tenant)?.seats) })
    this.#nodes = new FairQueue({ clock, seatsOf: () => undefined, limits: NODE_LIMITS })
  }

  /** Runs `work` when it may. Throws TooManyRequests. */
  run(exchange: Exchange, { user, info }: RequestContext, work: () => Promise<void>): Promise<void> {
    const isConnection = CONNECTIONS.has(info.subresource) || isFollowing(exchange, info)
    const waitIn = (queue: FairQueue, tenant: string): Promise<void> =>
      queue.run({ tenant, weight: weightOf(info.verb), isWanted: () => !exchange.closed }, work)
    const tenant = user.groups.includes(NOBODY) ? NOBODY : user.tenant
    if (tenant === SYSTEM_TENANT) {
      const isLimited = user.groups.includes(NODES) && !isConnection
      return isLimited ? waitIn(this.#nodes, nodeFlow(info)) : work()
    }
    if (isConnection || info.verb === 'watch') this.#hold(tenant, exchange)
    return isConnection ? work() : waitIn(this.#queue, tenant)
  }

  #hold(tenant: string, exchange: Exchange): void {
    const held = this.#longRunning.get(tenant) ?? 0
    if (held >= LONG_RUNNING_MAX) throw tooManyRequests('Too many requests, please try again later.', RETRY_SECONDS)
    this.#longRunning.set(tenant, held + 1)
    exchange.onClose(() => {
      const left = (this.#longRunning.get(tenant) ?? 1) - 1
      if (left === 0) this.#longRunning.delete(tenant)
      else this.#longRunning.set(tenant, left)
    })
  }
}

function nodeFlow({ resource }: RequestContext['info']): string {
  return resource === 'leases' || resource === 'nodes' ? HEARTBEATS : NODES
}

/** A list may be of thousands, and a write is parsed, validated and encoded. */
function weightOf(verb: string): number {
  if (verb === 'get') return 1
  return verb === 'list' || verb === 'deletecollection' || verb === 'watch' ? 8 : 2
}

function isFollowing({ query }: Exchange, { subresource }: RequestContext['info']): boolean {
  return subresource === 'log' && isTrue(query.get('follow'))
}

/** At least one, so that a tenant is never shut out. */
function readSeats(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  return Math.max(1, Number(parseQuantity(text).nanos / NANOS_PER_UNIT))
}
