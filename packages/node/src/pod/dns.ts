import { NAMESPACE_ANNOTATION, TENANT_ANNOTATION } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'

import type { DnsConfig } from '../runtime/config.ts'

export interface DnsContext {
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  /** The host's own resolv.conf. */
  readonly host: DnsConfig
}

const CLUSTER_OPTIONS = ['ndots:5']

/** What goes into the pod's resolv.conf. Source: kubelet network/dns Configurer.GetPodDNS, v1.37. */
export function podDns(pod: Pod, context: DnsContext): DnsConfig {
  const merged = basePolicy(pod, context)
  const extra = pod.spec?.dnsConfig
  const options = new Map(merged.options.map((option) => [option.split(':')[0]!, option]))
  for (const { name, value } of extra?.options ?? [])
    if (name !== undefined) options.set(name, value === undefined || value === '' ? name : `${name}:${value}`)
  return {
    servers: unique([...merged.servers, ...(extra?.nameservers ?? [])]),
    searches: unique([...merged.searches, ...(extra?.searches ?? [])]),
    options: [...options.values()],
  }
}

function basePolicy(pod: Pod, { clusterDns, clusterDomain, host }: DnsContext): DnsConfig {
  const policy = pod.spec?.dnsPolicy ?? 'ClusterFirst'
  if (policy === 'None') return { servers: [], searches: [], options: [] }
  if (!asksCluster(pod) || clusterDns.length === 0) return host
  const namespace = pod.metadata.namespace ?? ''
  const domains =
    clusterDomain === '' ? [] : [`${namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain]
  // The first one answers for all namespaces of a tenant; the others would lead to those of the system tenant.
  if (pod.metadata.annotations?.[TENANT_ANNOTATION] !== undefined) domains.splice(1)
  return { servers: clusterDns, searches: unique([...domains, ...host.searches]), options: CLUSTER_OPTIONS }
}

/** Whether the pod's names are the cluster's. */
export function asksCluster({ spec }: Pod): boolean {
  const policy = spec?.dnsPolicy ?? 'ClusterFirst'
  return policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && spec?.hostNetwork !== true)
}

/** Reads resolv.conf(5). */
export function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = []
  let searches: string[] = []
  let options: string[] = []
  for (const line of text.split('\n')) {
    const [word, ...rest] = line.trim().split(/\s+/)
    if (word === 'nameserver' && rest[0] !== undefined) servers.push(rest[0])
    else if (word === 'search' || word === 'domain') searches = rest
    else if (word === 'options') options = rest
  }
  return { servers, searches, options }
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
