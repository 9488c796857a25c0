import { networkInterfaces } from 'node:os'
import { SYSTEM_TENANT } from '@centaurus/api'
import type { Clock } from '@centaurus/base'

/** A pod that asks: its tenant, and its namespace as the tenant calls it. */
export interface DnsClient {
  readonly tenant: string
  readonly namespace: string
}

/** Whose names somebody may see. */
export type DnsScope =
  /** A pod of the `system` tenant, or a program of the host: the operators' names, and those of tenants with their tenant in them. */
  | { readonly type: 'operator' }
  /** A pod of a tenant: names of that tenant alone. */
  | { readonly type: 'tenant'; readonly tenant: string }
  /** Neither a pod nor the host, as far as is known yet: nothing is told or forwarded, and who asks again may be known by then. */
  | { readonly type: 'unknown' }

export interface DnsScopesOptions {
  /** The pod that has an address of this host; pods can't choose theirs. Pods in the host's network are the host. */
  readonly clientAt: (address: string) => DnsClient | undefined
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Addresses of this host; default: those of its devices. */
  readonly hostAddresses?: (() => Iterable<string>) | undefined
}

/** The host's addresses are read again when one is not among them, but not more often than this. */
const HOST_REFRESH_MS = 1_000

/** Tells who asks by the source address. */
export function createDnsScopes({
  clientAt,
  clock,
  hostAddresses = deviceAddresses,
}: DnsScopesOptions): (address: string) => DnsScope {
  let ofHost = new Set(hostAddresses())
  let readAtMs = clock.monotonicMs()
  const isHost = (address: string): boolean => {
    if (ofHost.has(address)) return true
    if (clock.monotonicMs() - readAtMs < HOST_REFRESH_MS) return false
    readAtMs = clock.monotonicMs()
    ofHost = new Set(hostAddresses())
    return ofHost.has(address)
  }
  return (address) => {
    const client = clientAt(address)
    if (client === undefined) return isHost(address) ? { type: 'operator' } : { type: 'unknown' }
    return client.tenant === SYSTEM_TENANT ? { type: 'operator' } : { type: 'tenant', tenant: client.tenant }
  }
}

function deviceAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))
}
