import type { Answer } from 'dns-packet'
import type { Service } from '@centaurus/api/core/v1'
import { addresses, asksFor, NO_DATA, NOT_FOUND, TTL_SECONDS, type DnsAnswer, type DnsLookup } from './dns-answer.ts'
import { ownNamespace } from './lookups.ts'
import { TYPE } from './protocol.ts'

/** What a name of a service leads to: one address and one port. */
interface Target {
  readonly address: string
  /** Label of the endpoint; '' for the service's own address. */
  readonly label: string
  /** Undefined: the endpoint has no port. */
  readonly port: number | undefined
}

interface Wanted {
  /** '' in each: any. */
  readonly endpoint: string
  readonly port: string
  readonly protocol: string
}

/**
 * Answers for a service with an address of its own, or a headless one. `rest`: labels before its name, the last one first. Pure. Source: CoreDNS
 * plugin/kubernetes parseRequest and findServices, plugin/backend_lookup.go SRV, v1.15.
 */
export function answerService(service: Readonly<Service>, rest: readonly string[], lookup: DnsLookup): DnsAnswer {
  const wanted = readWanted(rest)
  const targets = wanted === undefined ? [] : findTargets(service, wanted, lookup)
  if (targets.length === 0) return NOT_FOUND
  if (lookup.question.type === TYPE.SRV) return answerPorts(service, targets, lookup)
  return asksFor(lookup.question, TYPE.A) ? addresses(lookup, new Set(targets.map(({ address }) => address))) : NO_DATA
}

/** Undefined: no name that a service has is that long. */
function readWanted(rest: readonly string[]): Wanted | undefined {
  const [first = '', second = ''] = rest
  if (rest.length > 2) return undefined
  if (rest.length < 2) return { endpoint: first, port: '', protocol: '' }
  return { endpoint: '', protocol: withoutUnderscore(first), port: withoutUnderscore(second) }
}

function withoutUnderscore(label: string): string {
  return label.startsWith('_') ? label.slice(1) : label
}

function findTargets(service: Readonly<Service>, wanted: Wanted, { lookups }: DnsLookup): Target[] {
  const { spec, metadata } = service
  const matches = (port: { name?: string | undefined; protocol?: string | undefined }): boolean =>
    (wanted.port === '' || wanted.port === port.name?.toLowerCase()) &&
    (wanted.protocol === '' || wanted.protocol === (port.protocol ?? 'TCP').toLowerCase())
  const clusterIP = spec?.clusterIP ?? ''
  if (clusterIP !== 'None' && wanted.endpoint === '') {
    const ports = clusterIP === '' ? [] : (spec?.ports ?? [])
    return ports.filter(matches).map(({ port }) => ({ address: clusterIP, label: '', port }))
  }
  return lookups.slices(metadata.namespace ?? '', metadata.name ?? '').flatMap(({ ports = [], endpoints = [] }) => {
    const wantedPorts = ports.filter(matches)
    const numbers =
      ports.length === 0 && wanted.port === '' && wanted.protocol === ''
        ? [undefined]
        : wantedPorts.map(({ port }) => port)
    return endpoints
      .filter(({ conditions }) => conditions?.ready !== false)
      .flatMap(({ addresses: list = [], hostname }) =>
        list
          .map((address) => ({ address, label: endpointLabel(address, hostname) }))
          .filter(({ label }) => wanted.endpoint === '' || label === wanted.endpoint)
          .flatMap((target) => numbers.map((port) => ({ ...target, port }))),
      )
  })
}

/** An endpoint's own label below the name of its service: its hostname, or its address with dashes. */
export function endpointLabel(address: string, hostname: string | undefined): string {
  return hostname === undefined || hostname === '' ? address.replaceAll('.', '-') : hostname.toLowerCase()
}

/** Source of the weights: CoreDNS, where all have the same and together about 100. */
function answerPorts(service: Readonly<Service>, targets: readonly Target[], lookup: DnsLookup): DnsAnswer {
  const base = serviceDomain(service, lookup)
  const weight = Math.max(1, Math.floor(100 / targets.length))
  const answers = new Map<string, Answer>()
  const additionals = new Map<string, Answer>()
  for (const { address, label, port } of targets) {
    if (port === undefined) continue
    const target = label === '' ? base : `${label}.${base}`
    const data = { priority: 0, weight, port, target }
    answers.set(`${target} ${port}`, { type: 'SRV', name: lookup.question.name, ttl: TTL_SECONDS, data })
    additionals.set(`${target} ${address}`, { type: 'A', name: target, ttl: TTL_SECONDS, data: address })
  }
  if (answers.size === 0) return NO_DATA
  return { type: 'records', answers: [...answers.values()], additionals: [...additionals.values()] }
}

/** As who asks calls it: a tenant by its own name, the operators with the tenant in it. */
export function serviceDomain(
  object: Pick<Service, 'metadata'>,
  { domain, tenant }: Pick<DnsLookup, 'domain' | 'tenant'>,
  name: string = object.metadata.name ?? '',
): string {
  const namespace = tenant === undefined ? (object.metadata.namespace ?? '') : ownNamespace(object)
  return `${name}.${namespace}.svc.${domain}`
}
