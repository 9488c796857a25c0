import type { Clock } from '@centaurus/base'
import type { CreateExtension, Exchange } from '@centaurus/apiserver'
import { Backend } from '../gateway/backend.ts'
import type { EndpointDeps } from '../gateway/endpoint.ts'
import type { LinkIdentity } from '../membership/partition-link.ts'
import type { Membership } from '../membership/membership.ts'
import { FORWARDED_HEADER, handOn, handWatchOn, moving, READS } from './hand-on.ts'
import type { TenantFences } from './tenant-fence.ts'

/** Requests under way at once, watches included; beyond, callers are told to come back. */
const FORWARDS_MAX = 2_000
/** A request that finds its tenant moving waits so long for the end of it, which usually comes within a tenth of a second. */
const MOVING_WAIT_MS = 2_000

export interface ForwardDeps {
  readonly membership: Membership
  readonly identity: LinkIdentity
  /** Absent in a partition without tenants. */
  readonly fences: TenantFences | undefined
}

/**
 * Hands requests of tenants that live elsewhere on to where they live, so that whoever knows the old address of a tenant goes on working: pods,
 * that learned it when they started, above all. Bearer tokens are handed on and checked there; of client certificates, which were checked here, it
 * says whose they were, and is believed as a partition is. What can't be handed on is told to come back: nothing looks as if it did not exist. Watches
 * that were open when their tenant left go on as well.
 */
export function createRequestForwarding({ membership, identity, fences }: ForwardDeps): CreateExtension {
  return ({ tenants, clock, logger }) => {
    const { ca, certificate } = identity
    const tls = { ca, cert: certificate.certificatePem, key: certificate.keyPem }
    const backends = new Backends(membership, { tls, clock, logger })
    const open = new Set<Exchange>()
    /** One that never moved has no fence to wait for. */
    const hasMoved = (tenant: string): boolean => {
      const fence = fences?.get(tenant)
      return fence !== undefined && (fence.epoch > 0 || fence.state !== 'serving')
    }
    return {
      async forward(exchange, { user, tenant }) {
        const isRead = READS.has(exchange.method)
        const isHandedOn = exchange.headers[FORWARDED_HEADER] !== undefined
        const isHere = (): boolean => tenants.isHosted(tenant)
        const isServed = (): boolean =>
          isHere() && (isRead || fences?.get(tenant).state === 'serving' || !hasMoved(tenant))
        if (isServed()) return false
        // either it goes, or it comes and this partition hears of it later than who handed the request on
        if (isHere() || isHandedOn) {
          const isSettled = (): boolean => isServed() || (!isHere() && !isHandedOn)
          const hear = (listener: () => void): (() => void)[] => [
            tenants.onChange(listener),
            ...(fences === undefined ? [] : [fences.onChange(tenant, listener)]),
          ]
          await waitFor(isSettled, { hear, clock, exchange })
          if (isServed()) return false
        }
        const owner = membership.tenant(tenant)?.status?.partition
        if (owner === undefined) return false
        if (owner === membership.self || isHandedOn || open.size >= FORWARDS_MAX) throw moving()
        open.add(exchange)
        try {
          await handOn(exchange, { backend: backends.of(owner), tls, user })
        } finally {
          open.delete(exchange)
        }
        return true
      },
      async followWatch(exchange, { user, tenant, resourceVersion }) {
        const owner = membership.tenant(tenant)?.status?.partition
        if (owner === undefined || owner === membership.self || open.size >= FORWARDS_MAX) return false
        open.add(exchange)
        exchange.onClose(() => open.delete(exchange))
        return handWatchOn(exchange, { backend: backends.of(owner), tls, user }, resourceVersion)
      },
      drain() {
        for (const exchange of open) if (exchange.query.has('watch')) exchange.end() // it resumes elsewhere
      },
      close: async () => backends.close(),
    }
  }
}

interface WaitOptions {
  /** Registers what is to be called when the condition may have changed; returns what removes it. */
  readonly hear: (listener: () => void) => readonly (() => void)[]
  readonly clock: Clock
  readonly exchange: Exchange
}

/** Resolves when the condition holds, the client is gone, or {@link MOVING_WAIT_MS} have passed. */
async function waitFor(condition: () => boolean, { hear, clock, exchange }: WaitOptions): Promise<void> {
  if (condition()) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      timer.cancel()
      for (const remove of removes) remove()
      resolve()
    }
    const timer = clock.setTimer(MOVING_WAIT_MS, done)
    const removes = hear(() => {
      if (condition()) done()
    })
    exchange.onClose(done)
  })
}

class Backends {
  readonly #membership: Membership
  readonly #deps: EndpointDeps
  readonly #backends = new Map<string, Backend>()

  constructor(membership: Membership, deps: EndpointDeps) {
    this.#membership = membership
    this.#deps = deps
  }

  of(partition: string): Backend {
    let backend = this.#backends.get(partition)
    if (backend === undefined) this.#backends.set(partition, (backend = new Backend(partition, this.#deps)))
    backend.setUrls(this.#membership.get(partition)?.spec.endpoints ?? [])
    return backend
  }

  close(): void {
    for (const backend of this.#backends.values()) backend.close()
  }
}
