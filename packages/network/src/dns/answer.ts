import type { Answer, Question } from 'dns-packet'
import { NAMESPACE_ANNOTATION, qualifyName, TENANT_ANNOTATION, type KubeObject } from '@centaurus/api'
import type { Service } from '@centaurus/api/core/v1'
import type { EndpointSlice } from '@centaurus/api/discovery/v1'

/** On each slice: the Service that it is of. */
export const SERVICE_LABEL = 'kubernetes.io/service-name'

/** What names are made of. */
export interface DnsLookups {
  readonly service: (namespace: string, name: string) => Readonly<Service> | undefined
  /** Tenant whose namespace it is; undefined: the `system` tenant's, or nobody's. */
  readonly tenantOf: (namespace: string) => string | undefined
  /** IPv4 slices of one Service. */
  readonly slices: (namespace: string, service: string) => readonly Readonly<EndpointSlice>[]
  /** The Service that has this ClusterIP. */
  readonly serviceByAddress: (address: string) => Readonly<Service> | undefined
  /** The slice that has a pod's address with a hostname, and that hostname. */
  readonly hostnameByAddress: (address: string) => { hostname: string; slice: Readonly<EndpointSlice> } | undefined
}

/** Where names are looked up, and for whom. */
export interface DnsContext {
  /** Such as `cluster.local`. */
  readonly domain: string
  readonly lookups: DnsLookups
  /** Whose pod asks; undefined: the operators', or a program of the host. */
  readonly tenant?: string | undefined
}

export type DnsAnswer =
  /** Ours: no answers means that the name exists without this type. */
  | { readonly type: 'answer'; readonly answers: Answer[]; readonly additionals: Answer[] }
  | { readonly type: 'notFound' }
  /** Not a name of the cluster: ask upstream. */
  | { readonly type: 'forward' }

/** Source: CoreDNS' kubernetes plugin as kubeadm configures it. */
const TTL_SECONDS = 30
const NOT_FOUND: DnsAnswer = { type: 'notFound' }
const FORWARD: DnsAnswer = { type: 'forward' }

/**
 * Answers one question about the cluster's names. A tenant's pod finds what its tenant has, under the names that a cluster of its own would have, and
 * nothing else. Pure. Source: kubernetes/dns specification 1.1.0: A, SRV, PTR and CNAME for services, headless services, their named endpoints, and pods by
 * address.
 */
export function answerQuestion(question: Question, context: DnsContext): DnsAnswer {
  const { domain } = context
  const name = question.name.toLowerCase().replace(/\.$/, '')
  if (name.endsWith('.in-addr.arpa')) return answerReverse(name, context)
  if (name !== domain && !name.endsWith(`.${domain}`)) return FORWARD
  const labels = name === domain ? [] : name.slice(0, -domain.length - 1).split('.')
  const kind = labels.at(-1)
  if (kind === 'pod' && labels.length === 3) return answerPod(question, labels[0]!)
  if (kind !== 'svc') return labels.length === 0 ? nothing() : NOT_FOUND
  const [namespace, ...inner] = labels.slice(0, -1).reverse()
  if (namespace === undefined || inner.length === 0) return nothing()
  const query = { ...context, question }
  const owner = context.lookups.tenantOf(namespace)
  if (context.tenant !== undefined && owner !== context.tenant) {
    return answerIn(qualifyName(namespace, context.tenant), inner, query)
  }
  const answer = answerIn(namespace, inner, query)
  return answer.type !== 'notFound' || owner === undefined ? answer : answerForTenant(owner, inner, query)
}

interface DnsQuery extends DnsContext {
  readonly question: Question
}

/** `labels`: those before the namespace, the last one first. */
function answerIn(namespace: string, labels: readonly string[], { question, ...query }: DnsQuery): DnsAnswer {
  const [name, ...rest] = labels
  const service = name === undefined ? undefined : query.lookups.service(namespace, name)
  return service === undefined ? NOT_FOUND : answerService(question, { ...query, service, rest: rest.toReversed() })
}

/**
 * What a tenant's pod calls a service of another of its namespaces, `web.prod` or `web.prod.svc.cluster.local`, comes with the pod's search domain
 * behind it: `web.prod.default--acme.svc.cluster.local`. That domain says which tenant's `prod` is meant. Works with the search list that any kubelet
 * makes from the qualified namespace.
 */
function answerForTenant(tenant: string, labels: readonly string[], query: DnsQuery): DnsAnswer {
  const suffix = [...query.domain.split('.').toReversed(), 'svc']
  const hasSuffix = suffix.every((label, i) => labels[i] === label)
  const [namespace, ...inner] = labels.slice(hasSuffix ? suffix.length : labels[0] === 'svc' ? 1 : 0)
  if (namespace === undefined || inner.length === 0) return NOT_FOUND
  return answerIn(qualifyName(namespace, tenant), inner, query)
}

interface ServiceQuery extends DnsContext {
  readonly service: Readonly<Service>
  /** Labels before the service's name: none, `[hostname]`, or `[_port, _protocol]`. */
  readonly rest: readonly string[]
}

function answerService(question: Question, query: ServiceQuery): DnsAnswer {
  const { service, rest } = query
  if (service.spec?.type === 'ExternalName') {
    if (rest.length > 0) return NOT_FOUND
    return answers([{ type: 'CNAME', name: question.name, ttl: TTL_SECONDS, data: service.spec.externalName ?? '' }])
  }
  if (rest.length === 2 && rest.every((label) => label.startsWith('_'))) return answerPort(question, query)
  const targets = targetsOf(query).filter(
    (target) => rest.length === 0 || (rest.length === 1 && target.hostname === rest[0]),
  )
  if (targets.length === 0) return rest.length === 0 && !isHeadless(service) ? nothing() : NOT_FOUND
  if (!asksFor(question, 'A')) return nothing()
  const addresses = [...new Set(targets.map((target) => target.address))]
  return answers(addresses.map((address) => addressRecord(question.name, address)))
}

function answerPort(question: Question, query: ServiceQuery): DnsAnswer {
  const { service, rest } = query
  const [portName, protocol] = rest.map((label) => label.slice(1))
  const matching = targetsOf(query).flatMap((target) =>
    target.ports
      .filter((port) => port.name === portName && port.protocol.toLowerCase() === protocol)
      .map((port) => ({ target, port })),
  )
  if (matching.length === 0) return NOT_FOUND
  if (!asksFor(question, 'SRV')) return nothing()
  const base = `${service.metadata.name}.${shownNamespace(service, query)}.svc.${query.domain}`
  const records = matching.map(({ target, port }) => ({
    target: isHeadless(service) ? `${target.hostname ?? target.address.replaceAll('.', '-')}.${base}` : base,
    port: port.port,
    address: target.address,
  }))
  const weight = Math.max(1, Math.floor(100 / records.length))
  return {
    type: 'answer',
    answers: records.map((record) => ({
      type: 'SRV',
      name: question.name,
      ttl: TTL_SECONDS,
      data: { priority: 0, weight, port: record.port, target: record.target },
    })),
    additionals: records.map((record) => addressRecord(record.target, record.address)),
  }
}

interface Target {
  readonly address: string
  readonly hostname: string | undefined
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[]
}

/** Where a name of the service leads: its ClusterIP, or each ready endpoint of a headless one. */
function targetsOf({ service, lookups }: ServiceQuery): Target[] {
  const { namespace = '', name = '' } = service.metadata
  if (!isHeadless(service)) {
    const ports = (service.spec?.ports ?? []).map((port) => ({
      name: port.name ?? '',
      protocol: port.protocol ?? 'TCP',
      port: port.port,
    }))
    return service.spec?.clusterIP ? [{ address: service.spec.clusterIP, hostname: undefined, ports }] : []
  }
  return lookups.slices(namespace, name).flatMap((slice) =>
    (slice.endpoints ?? [])
      .filter((endpoint) => endpoint.conditions?.ready !== false)
      .flatMap((endpoint) =>
        (endpoint.addresses ?? []).map((address) => ({
          address,
          hostname: endpoint.hostname,
          ports: (slice.ports ?? []).map((port) => ({
            name: port.name ?? '',
            protocol: port.protocol ?? 'TCP',
            port: port.port ?? 0,
          })),
        })),
      ),
  )
}

/** `10-244-0-5.default.pod`: the address is in the name. */
function answerPod(question: Question, label: string): DnsAnswer {
  const address = label.replaceAll('-', '.')
  if (!/^(\d{1,3}\.){3}\d{1,3}$/.test(address)) return NOT_FOUND
  return asksFor(question, 'A') ? answers([addressRecord(question.name, address)]) : nothing()
}

function answerReverse(name: string, context: DnsContext): DnsAnswer {
  const { lookups, domain, tenant } = context
  const address = name.slice(0, -'.in-addr.arpa'.length).split('.').reverse().join('.')
  const pointer = (data: string): DnsAnswer => answers([{ type: 'PTR', name, ttl: TTL_SECONDS, data }])
  const isHidden = ({ metadata }: KubeObject): boolean =>
    tenant !== undefined && metadata.annotations?.[TENANT_ANNOTATION] !== tenant
  const service = lookups.serviceByAddress(address)
  if (service !== undefined) {
    if (isHidden(service)) return FORWARD // like one of which nobody knows
    return pointer(`${service.metadata.name}.${shownNamespace(service, context)}.svc.${domain}`)
  }
  const { hostname, slice } = lookups.hostnameByAddress(address) ?? {}
  if (slice === undefined || isHidden(slice)) return FORWARD
  return pointer(
    `${hostname}.${slice.metadata.labels?.[SERVICE_LABEL]}.${shownNamespace(slice, context)}.svc.${domain}`,
  )
}

/** As who asks calls it: a tenant by its own name, the operators with the tenant in it. */
function shownNamespace({ metadata }: KubeObject, { tenant }: DnsContext): string {
  const own = tenant === undefined ? undefined : metadata.annotations?.[NAMESPACE_ANNOTATION]
  return own ?? metadata.namespace ?? ''
}

/** `ANY` is missing from the library's types but not from the wire. */
function asksFor(question: Question, type: 'A' | 'SRV'): boolean {
  const asked: string = question.type
  return asked === type || asked === 'ANY'
}

function isHeadless(service: Readonly<Service>): boolean {
  return service.spec?.clusterIP === 'None'
}

function addressRecord(name: string, address: string): Answer {
  return { type: 'A', name, ttl: TTL_SECONDS, data: address }
}

function answers(list: Answer[]): DnsAnswer {
  return { type: 'answer', answers: list, additionals: [] }
}

function nothing(): DnsAnswer {
  return answers([])
}
