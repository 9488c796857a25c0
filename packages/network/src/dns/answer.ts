import { isIP } from 'node:net'
import type { Answer } from 'dns-packet'
import { qualifyName, SYSTEM_TENANT } from '@centaurus/api'
import type { Service } from '@centaurus/api/core/v1'
import { answerReverse } from './answer-reverse.ts'
import { answerService } from './answer-service.ts'
import {
  addresses,
  isWithin,
  NO_DATA,
  NOT_FOUND,
  TTL_SECONDS,
  type DnsAnswer,
  type DnsContext,
  type DnsLookup,
  type DnsQuestion,
} from './dns-answer.ts'
import { TYPE } from './protocol.ts'

/** Source: CoreDNS plugin/kubernetes Services, v1.15. */
const VERSION_TTL_SECONDS = 28_800
const SCHEMA_VERSION = '1.1.0'
/** Source: CoreDNS plugin/backend_lookup.go maxCnameChainLength, v1.15. */
const NAMES_FOLLOWED_MAX = 10
const REVERSE_SUFFIX = '.in-addr.arpa'

const FORWARD: DnsAnswer = { type: 'forward' }
const REFUSED: DnsAnswer = { type: 'refused' }

/**
 * Answers one question about the cluster's names. A tenant's pod finds what its tenant has, under the names that a cluster of its own would have, and
 * nothing else. Pure. Source: kubernetes/dns specification 1.1.0; where that leaves it open, CoreDNS plugin/kubernetes v1.15: which names exist without
 * data, ports and endpoints as labels before a service's name, weights.
 */
export function answerQuestion(question: DnsQuestion, context: DnsContext): DnsAnswer {
  const { name, type } = question
  const { domain } = context
  if (type === TYPE.AXFR || type === TYPE.IXFR) return REFUSED
  if (name.endsWith(REVERSE_SUFFIX)) {
    if (type !== TYPE.PTR && type !== TYPE.ANY) return FORWARD
    return answerReverse(name, name.slice(0, -REVERSE_SUFFIX.length), context) ?? FORWARD
  }
  if (name === domain) return answerApex(question, context)
  if (!isWithin(name, domain)) return FORWARD
  const labels = name
    .slice(0, -domain.length - 1)
    .split('.')
    .toReversed()
  const [kind, namespace, ...inner] = labels
  const lookup = { ...context, question }
  switch (kind) {
    case 'svc':
      return namespace === undefined ? NO_DATA : answerInNamespace(namespace, inner, lookup)
    case 'pod':
      return namespace === undefined ? NO_DATA : answerPod(namespace, inner, lookup)
    case 'dns':
      // source: CoreDNS plugin/kubernetes/ns.go defaultNSName
      return namespace === 'ns' && inner.length === 0 ? addresses(lookup, [context.address]) : NOT_FOUND
    case 'dns-version':
      return namespace === undefined ? answerVersion(question) : NOT_FOUND
    default:
      return NOT_FOUND
  }
}

/** What is said of names that don't exist or have no data: how long that may be remembered. Source: CoreDNS plugin/backend_lookup.go SOA. */
export function startOfAuthority({ domain, lookups }: Pick<DnsContext, 'domain' | 'lookups'>): Answer {
  return {
    type: 'SOA',
    name: domain,
    ttl: TTL_SECONDS,
    data: {
      mname: `ns.dns.${domain}`,
      rname: `hostmaster.${domain}`,
      serial: lookups.serial(),
      refresh: 7_200,
      retry: 1_800,
      expire: 86_400,
      minimum: TTL_SECONDS,
    },
  }
}

function answerApex({ type }: DnsQuestion, context: DnsContext): DnsAnswer {
  const { domain, address } = context
  if (type === TYPE.SOA) return { type: 'records', answers: [startOfAuthority(context)] }
  if (type !== TYPE.NS) return NO_DATA
  const server = `kube-dns.kube-system.svc.${domain}`
  return {
    type: 'records',
    answers: [{ type: 'NS', name: domain, ttl: TTL_SECONDS, data: server }],
    additionals: [{ type: 'A', name: server, ttl: TTL_SECONDS, data: address }],
  }
}

function answerVersion({ name, type }: DnsQuestion): DnsAnswer {
  if (type !== TYPE.TXT && type !== TYPE.ANY) return NO_DATA
  return { type: 'records', answers: [{ type: 'TXT', name, ttl: VERSION_TTL_SECONDS, data: SCHEMA_VERSION }] }
}

/** `inner`: labels before the namespace, the last one first. */
function answerInNamespace(namespace: string, inner: readonly string[], lookup: DnsLookup): DnsAnswer {
  const { lookups, tenant } = lookup
  const owner = lookups.tenantOf(namespace)
  const own = tenant === undefined ? namespace : qualifyName(namespace, tenant)
  const answer = answerIn(own, inner, lookup)
  if (answer.type !== 'notFound' || owner === undefined || (tenant !== undefined && owner !== tenant)) return answer
  const qualified = own === namespace ? answer : answerIn(namespace, inner, lookup)
  return qualified.type === 'notFound' ? answerForTenant(owner, inner, lookup) : qualified
}

function answerIn(namespace: string, inner: readonly string[], lookup: DnsLookup): DnsAnswer {
  const [name, ...rest] = inner
  if (name === undefined) return lookup.lookups.hasNamespace(namespace) ? NO_DATA : NOT_FOUND
  const service = lookup.lookups.service(namespace, name)
  if (service === undefined) return answerResolver(namespace, inner, lookup)
  if (service.spec?.type === 'ExternalName') return rest.length > 0 ? NOT_FOUND : answerExternal(service, lookup)
  return answerService(service, rest, lookup)
}

/** Programs find the resolver by its usual name, also where the Service of that name is not made or was deleted. */
function answerResolver(namespace: string, inner: readonly string[], lookup: DnsLookup): DnsAnswer {
  const isResolver = inner.length === 1 && inner[0] === 'kube-dns'
  const { tenant = SYSTEM_TENANT } = lookup
  return isResolver && namespace === qualifyName('kube-system', tenant)
    ? addresses(lookup, [lookup.address])
    : NOT_FOUND
}

/**
 * What a tenant's pod calls a service of another of its namespaces, `web.prod` or `web.prod.svc.cluster.local`, may come with a search domain of the
 * qualified namespace behind it, from kubelets of upstream's and pods in the host's network: `web.prod.default--acme.svc.cluster.local`. That domain says
 * which tenant's `prod` is meant.
 */
function answerForTenant(tenant: string, inner: readonly string[], lookup: DnsLookup): DnsAnswer {
  const suffix = [...lookup.domain.split('.').toReversed(), 'svc']
  const hasSuffix = suffix.every((label, i) => inner[i] === label)
  const [namespace, ...rest] = inner.slice(hasSuffix ? suffix.length : inner[0] === 'svc' ? 1 : 0)
  if (namespace === undefined || rest.length === 0) return NOT_FOUND
  return answerIn(qualifyName(namespace, tenant), rest, lookup)
}

/** `10-244-0-5.default.pod`: the address is in the name. Source: CoreDNS' `pods insecure`, which kubeadm configures. */
function answerPod(namespace: string, inner: readonly string[], lookup: DnsLookup): DnsAnswer {
  const { lookups, tenant } = lookup
  const isTheirs = tenant !== undefined && lookups.tenantOf(namespace) === tenant
  const own = tenant === undefined ? namespace : qualifyName(namespace, tenant)
  if (!lookups.hasNamespace(own) && !(isTheirs && lookups.hasNamespace(namespace))) return NOT_FOUND
  const [label] = inner
  if (label === undefined) return NO_DATA
  const address = label.replaceAll('-', '.')
  return inner.length === 1 && isIP(address) === 4 ? addresses(lookup, [address]) : NOT_FOUND
}

/** Names of the cluster are followed here, in the eyes of who made the service; those of others upstream. */
function answerExternal(service: Readonly<Service>, lookup: DnsLookup): DnsAnswer {
  const { question, domain, lookups, depth = 0 } = lookup
  const target = (service.spec?.externalName ?? '').toLowerCase().replace(/\.$/, '')
  if (target === '' || isIP(target) !== 0) return NOT_FOUND
  const alias: Answer = { type: 'CNAME', name: question.name, ttl: TTL_SECONDS, data: target }
  if (question.type === TYPE.CNAME) return { type: 'records', answers: [alias] }
  if (question.type === TYPE.SRV || target === question.name || depth >= NAMES_FOLLOWED_MAX) return NO_DATA
  if (target !== domain && !isWithin(target, domain)) return { type: 'records', answers: [alias], follow: target }
  const tenant = lookups.tenantOf(service.metadata.namespace ?? '')
  const next = answerQuestion({ name: target, type: question.type }, { ...lookup, tenant, depth: depth + 1 })
  return next.type === 'records' ? { ...next, answers: [alias, ...next.answers] } : NO_DATA
}
