import { NAMESPACE_ANNOTATION, TENANT_ANNOTATION } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'

import type { DnsConfig } from '../runtime/config.ts'
import { formatPod } from './runtime-state.ts'

export interface DnsContext {
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  /** The host's own resolv.conf. */
  readonly host: DnsConfig
}

/** What goes into the pod's resolv.conf, and what its owner is told of it. */
export interface PodDns {
  readonly config: DnsConfig
  /** Events about the pod; all are warnings. */
  readonly warnings: readonly { readonly reason: string; readonly message: string }[]
}

const CLUSTER_OPTIONS = ['ndots:5']
/** Source: kubernetes pkg/apis/core/validation MaxDNSNameservers, MaxDNSSearchPaths, MaxDNSSearchListChars, v1.37. */
const SERVERS_MAX = 3
const SEARCHES_MAX = 32
const SEARCH_LINE_LENGTH_MAX = 2_048
/** Longer ones make some resolvers abort. Source: apimachinery DNS1123SubdomainMaxLength. */
const SEARCH_LENGTH_MAX = 253

/** Resolvers, search list and options of one pod. Pure. Source: kubelet network/dns Configurer.GetPodDNS, v1.37. */
export function podDns(pod: Pod, context: DnsContext): PodDns {
  const merged = mergeConfig(basePolicy(pod, context), pod)
  const servers = merged.servers.slice(0, SERVERS_MAX)
  const searches = limitSearches(merged.searches)
  const warnings = []
  if (asksCluster(pod) && context.clusterDns.length === 0) {
    const message = `kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.`
    warnings.push({ reason: 'MissingClusterDNS', message: `pod: "${formatPod(pod)}". ${message}` })
  }
  if (servers.length < merged.servers.length) {
    const message = `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${servers.join(' ')}`
    warnings.push({ reason: 'DNSConfigForming', message })
  }
  if (searches.length < merged.searches.length) {
    const message = `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${searches.join(' ')}`
    warnings.push({ reason: 'DNSConfigForming', message })
  }
  return { config: { servers, searches, options: merged.options }, warnings }
}

function mergeConfig({ servers, searches, options: base }: DnsConfig, { spec }: Pod): DnsConfig {
  const extra = spec?.dnsConfig
  if (extra === undefined) return { servers, searches, options: base }
  const options = new Map(base.map((option) => [option.split(':')[0]!, option]))
  for (const { name, value } of extra.options ?? [])
    if (name !== undefined) options.set(name, value === undefined || value === '' ? name : `${name}:${value}`)
  return {
    servers: unique([...servers, ...(extra.nameservers ?? [])]),
    searches: unique([...searches, ...(extra.searches ?? [])]),
    options: [...options.values()],
  }
}

/** Source: Configurer.formDNSSearchFitsLimits: the first ones, without those that are too long, as far as the line may go. */
function limitSearches(searches: readonly string[]): string[] {
  const kept = searches.slice(0, SEARCHES_MAX).filter((search) => search.length <= SEARCH_LENGTH_MAX)
  while (kept.join(' ').length > SEARCH_LINE_LENGTH_MAX) kept.pop()
  return kept
}

function basePolicy(pod: Pod, { clusterDns, clusterDomain, host }: DnsContext): DnsConfig {
  if (pod.spec?.dnsPolicy === 'None') return { servers: [], searches: [], options: [] }
  if (!asksCluster(pod) || clusterDns.length === 0) return host
  const searches = unique([...clusterSearches(pod, clusterDomain), ...host.searches])
  return { servers: clusterDns, searches, options: CLUSTER_OPTIONS }
}

/**
 * The resolver knows a tenant's pod by its address, and by which names it calls its namespaces. In the host's network it does not: there the qualified
 * namespace says which tenant's names are meant, and answers for all of its namespaces; the other two domains would lead to the operators'.
 */
function clusterSearches({ metadata, spec }: Pod, domain: string): string[] {
  if (domain === '') return []
  const { namespace = '', annotations } = metadata
  if (annotations?.[TENANT_ANNOTATION] !== undefined && spec?.hostNetwork === true)
    return [`${namespace}.svc.${domain}`]
  return [`${annotations?.[NAMESPACE_ANNOTATION] ?? namespace}.svc.${domain}`, `svc.${domain}`, domain]
}

/** Whether the pod's names are the cluster's. Source: kubelet network/dns getPodDNSType: so it is too for policies that nobody knows. */
export function asksCluster({ spec }: Pod): boolean {
  const policy = spec?.dnsPolicy ?? 'ClusterFirst'
  if (policy === 'None' || policy === 'Default') return false
  return policy !== 'ClusterFirst' || spec?.hostNetwork !== true
}

/** Reads resolv.conf(5). Source: kubelet network/dns parseResolvConf, v1.37: the last line of a kind counts, the dot at the end of a domain does not. */
export function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = []
  let searches: string[] = []
  let options: string[] = []
  for (const line of text.split('\n')) {
    const [word, ...rest] = line.trim().split(/\s+/)
    if (word === 'nameserver' && rest[0] !== undefined) servers.push(rest[0])
    else if (word === 'search') searches = rest.map((domain) => (domain === '.' ? domain : domain.replace(/\.$/, '')))
    else if (word === 'options') options = rest
  }
  return { servers, searches, options }
}

/** Pods can't ask a resolver on the host's loopback, such as systemd-resolved: they ask whom it asks. Source: what kubeadm gives the kubelet as `--resolv-conf`. */
export function chooseResolvConf(host: DnsConfig, behindStub: DnsConfig | undefined): DnsConfig {
  const isStub = host.servers.length > 0 && host.servers.every((server) => /^127\.|^::1$/.test(server))
  return isStub && behindStub !== undefined && behindStub.servers.length > 0 ? behindStub : host
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)]
}

const HOSTNAME_LENGTH_MAX = 63

export interface PodHostname {
  readonly hostname: string
  /** '' when the pod has no subdomain. */
  readonly domain: string
}

/** Source: kubelet GeneratePodHostNameAndDomain, v1.37. */
export function podHostname(pod: Pod, clusterDomain: string): PodHostname {
  const { hostname, subdomain, hostnameOverride } = pod.spec ?? {}
  if (hostnameOverride !== undefined && hostnameOverride !== '') return { hostname: hostnameOverride, domain: '' }
  const name =
    hostname !== undefined && hostname !== ''
      ? hostname
      : (pod.metadata.name ?? '').slice(0, HOSTNAME_LENGTH_MAX).replace(/[-.]+$/, '')
  const domain =
    subdomain === undefined || subdomain === ''
      ? ''
      : `${subdomain}.${pod.metadata.annotations?.[NAMESPACE_ANNOTATION] ?? pod.metadata.namespace ?? ''}.svc.${clusterDomain}`
  return { hostname: name, domain }
}

/** /etc/hosts of a pod with its own network. Source: kubelet managedHostsFileContent, v1.37 (layout, not text). */
export function formatHosts(
  pod: Pod,
  { podIps, hostname, domain }: PodHostname & { readonly podIps: readonly string[] },
): string {
  const own = podIps.map((ip) => (domain === '' ? `${ip}\t${hostname}` : `${ip}\t${hostname}.${domain}\t${hostname}`))
  return [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    ...own,
    ...formatAliases(pod),
    '',
  ].join('\n')
}

/** Lines for `hostAliases`; appended to the host's file for pods with the host's network. */
export function formatAliases(pod: Pod): string[] {
  const aliases = pod.spec?.hostAliases ?? []
  if (aliases.length === 0) return []
  return [
    '',
    '# Entries added by HostAliases.',
    ...aliases.map(({ ip, hostnames }) => [ip, ...(hostnames ?? [])].join('\t')),
  ]
}
