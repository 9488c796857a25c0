import type { DnsUpstream } from './addresses.ts'
import { isWithin } from './dns-answer.ts'
import { NO_SETTINGS, type DnsSettings, type StubDomain } from './settings.ts'

/** Whom a name is asked of, and whose answers those are. */
export interface UpstreamChoice {
  /** Answers are kept by this: '' for what all share, else the tenant whose own servers these are. */
  readonly owner: string
  readonly servers: readonly DnsUpstream[]
}

export interface UpstreamSources {
  /** Undefined for who has no settings of its own. */
  readonly settingsOf: (tenant: string) => DnsSettings | undefined
  /** The operators' settings, for everybody. */
  readonly clusterSettings: () => DnsSettings | undefined
  /** The host's own resolvers. */
  readonly hostUpstreams: () => readonly DnsUpstream[]
}

/**
 * Servers for a name that is not the cluster's, most particular first: the longest stub domain, a tenant's before an equal one of the cluster; then the
 * tenant's upstream servers, the cluster's, the host's. Pure.
 */
export function chooseUpstreams(name: string, tenant: string | undefined, sources: UpstreamSources): UpstreamChoice {
  const cluster = sources.clusterSettings() ?? NO_SETTINGS
  const own = (tenant === undefined ? undefined : sources.settingsOf(tenant)) ?? NO_SETTINGS
  const ownStub = findStub(name, own)
  const clusterStub = findStub(name, cluster)
  if (ownStub !== undefined && ownStub.domain.length >= (clusterStub?.domain.length ?? 0))
    return { owner: tenant ?? '', servers: ownStub.servers }
  if (clusterStub !== undefined) return { owner: '', servers: clusterStub.servers }
  if (own.upstreams !== undefined) return { owner: tenant ?? '', servers: own.upstreams }
  return { owner: '', servers: cluster.upstreams ?? sources.hostUpstreams() }
}

function findStub(name: string, { stubDomains }: DnsSettings): StubDomain | undefined {
  let best: StubDomain | undefined
  for (const stub of stubDomains) {
    const isTheirs = name === stub.domain || isWithin(name, stub.domain)
    if (isTheirs && stub.domain.length > (best?.domain.length ?? -1)) best = stub
  }
  return best
}
