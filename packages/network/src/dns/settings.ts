import { BlockList } from 'node:net'
import { formatUpstream, isIn, isPublic, listOf, parseUpstream, type DnsUpstream } from './addresses.ts'
import { isWithin } from './dns-answer.ts'

/** Names below `domain` are asked of these servers. */
export interface StubDomain {
  /** In lower case, without a dot at the end. */
  readonly domain: string
  readonly servers: readonly DnsUpstream[]
}

/** What a tenant, or the operators for all, say of names that are not the cluster's. */
export interface DnsSettings {
  readonly stubDomains: readonly StubDomain[]
  /** Undefined: they say nothing of it. */
  readonly upstreams: readonly DnsUpstream[] | undefined
  /** Where tenants may have servers of theirs, besides the internet. */
  readonly tenantNetworks: BlockList
}

export interface ParsedSettings {
  readonly settings: DnsSettings
  /** What is wrong and was left out, a sentence each. */
  readonly problems: readonly string[]
}

export interface SettingsScope {
  /**
   * Undefined: the operators wrote it. For a tenant: where its servers may be besides the internet. The host asks them, and it reaches what the tenant's pods do
   * not: hosts' own services, pods of others. Source of the rule: decision 010, for webhooks.
   */
  readonly tenantNetworks: BlockList | undefined
  /** The cluster's own domain, and the address of its own resolver. */
  readonly domain: string
  readonly address: string
}

export const NO_SETTINGS: DnsSettings = { stubDomains: [], upstreams: undefined, tenantNetworks: new BlockList() }

/** Source: kube-dns, which took as many as resolv.conf(5) does. */
const SERVERS_MAX = 3
const STUB_DOMAINS_MAX = 100
const NETWORKS_MAX = 100
const DOMAIN_LENGTH_MAX = 253
const LABEL = /^[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?$/

/**
 * Reads the data of a ConfigMap `centaurus-dns`. What is wrong is left out and told; the rest is used. Pure. Source of the first two keys: kube-dns'
 * ConfigMap (kubernetes/dns docs, pkg/dns/config).
 */
export function parseSettings(data: Readonly<Record<string, string>>, scope: SettingsScope): ParsedSettings {
  const problems: string[] = []
  const report = (problem: string): void => void problems.push(problem)
  const isOfOperators = scope.tenantNetworks === undefined
  const known = ['stubDomains', 'upstreamNameservers', ...(isOfOperators ? ['tenantNetworks'] : [])]
  for (const key of Object.keys(data)) {
    if (!known.includes(key)) report(`${key} is not used here: the keys are ${known.join(', ')}`)
  }
  const settings: DnsSettings = {
    stubDomains: readStubDomains(data['stubDomains'], { ...scope, report }),
    upstreams: readUpstreams(data['upstreamNameservers'], { ...scope, report }),
    tenantNetworks: readNetworks(isOfOperators ? data['tenantNetworks'] : undefined, report),
  }
  return { settings, problems }
}

type Report = (problem: string) => void
type Reading = SettingsScope & { readonly report: Report }

function readUpstreams(text: string | undefined, reading: Reading): readonly DnsUpstream[] | undefined {
  const list = readList(text, 'upstreamNameservers', reading.report)
  const servers = readServers(list ?? [], 'upstreamNameservers', reading)
  return servers.length === 0 ? undefined : servers
}

function readStubDomains(text: string | undefined, reading: Reading): StubDomain[] {
  const { report } = reading
  const value = readJson(text, 'stubDomains', report)
  if (value === undefined) return []
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    report('stubDomains must be an object of lists, such as {"corp.example": ["192.0.2.53"]}')
    return []
  }
  const entries = Object.entries(value as Record<string, unknown>)
  if (entries.length > STUB_DOMAINS_MAX)
    report(`stubDomains must have at most ${STUB_DOMAINS_MAX} domains: only the first ones are used`)
  return entries.slice(0, STUB_DOMAINS_MAX).flatMap(([name, list]) => {
    const domain = readDomain(name, reading)
    const field = `stubDomains["${name}"]`
    if (domain === undefined) return []
    if (!isTextList(list)) {
      report(`${field} must be a list of addresses, such as ["192.0.2.53"]`)
      return []
    }
    const servers = readServers(list, field, reading)
    return servers.length === 0 ? [] : [{ domain, servers }]
  })
}

function readDomain(name: string, { domain: own, report }: Reading): string | undefined {
  const domain = name.toLowerCase().replace(/\.$/, '')
  if (domain.length > DOMAIN_LENGTH_MAX || !domain.split('.').every((label) => LABEL.test(label))) {
    report(`stubDomains: "${name}" must be a domain name, such as corp.example`)
    return undefined
  }
  if (domain !== own && !isWithin(domain, own)) return domain
  report(`stubDomains: "${name}" must not be within ${own}, which the cluster answers itself`)
  return undefined
}

function readServers(list: readonly string[], field: string, reading: Reading): DnsUpstream[] {
  const { report, address, tenantNetworks } = reading
  if (list.length > SERVERS_MAX)
    report(`${field} must have at most ${SERVERS_MAX} servers: only the first ones are used`)
  return list.slice(0, SERVERS_MAX).flatMap((text) => {
    const server = parseUpstream(text)
    if (server === undefined) {
      report(`${field}: "${text}" must be an IP address, with a port if need be, such as 192.0.2.53 or 192.0.2.53:5353`)
      return []
    }
    if (server.host === address) {
      report(`${field}: ${formatUpstream(server)} must not be the cluster's own resolver, which would ask itself`)
      return []
    }
    if (tenantNetworks === undefined || isPublic(server.host) || isIn(tenantNetworks, server.host)) return [server]
    report(
      `${field}: ${formatUpstream(server)} must be an address of the internet, or in a network that operators opened`,
    )
    return []
  })
}

function readNetworks(text: string | undefined, report: Report): BlockList {
  const list = readList(text, 'tenantNetworks', report) ?? []
  if (list.length > NETWORKS_MAX)
    report(`tenantNetworks must have at most ${NETWORKS_MAX} networks: only the first ones are used`)
  const good = list.slice(0, NETWORKS_MAX).filter((network) => {
    try {
      listOf([network])
      return true
    } catch (error) {
      report(`tenantNetworks: ${(error as Error).message}`)
      return false
    }
  })
  return listOf(good)
}

function readList(text: string | undefined, field: string, report: Report): readonly string[] | undefined {
  const value = readJson(text, field, report)
  if (value === undefined || isTextList(value)) return value
  report(`${field} must be a list, such as ["192.0.2.53"]`)
  return undefined
}

function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function readJson(text: string | undefined, field: string, report: Report): unknown {
  if (text === undefined || text.trim() === '') return undefined
  try {
    return JSON.parse(text)
  } catch (error) {
    report(`${field} must be JSON: ${(error as Error).message}`)
    return undefined
  }
}
