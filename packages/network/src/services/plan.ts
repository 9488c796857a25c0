/**
 * From Services and EndpointSlices to what this host's kernel must know.
 * Source: kubernetes pkg/proxy/serviceport.go and iptables/proxier.go, v1.34; "Virtual IPs and Service Proxies".
 */
import type { Service, ServicePort, ServiceSpec } from '@centaurus/api/core/v1'
import type { EndpointSlice } from '@centaurus/api/discovery/v1'
import { isBackendAddress, normalizeIPv4Block } from './address.ts'
import { chooseEndpoints, findEndpoints, type ChosenEndpoints, type HostPlace, type PortEndpoint } from './endpoints.ts'
import { planHealthCheck, type HealthCheck } from './health-check.ts'
import type { ServiceFrontend, ServiceProtocol, ServiceTables } from './service-tables.ts'

export interface ServiceInputs extends HostPlace {
  readonly services: readonly Readonly<Service>[]
  readonly slices: readonly Readonly<EndpointSlice>[]
  /** Numbers of the networks that reach the Service; a text: why there is none. */
  networksOf(service: Readonly<Service>): readonly number[] | string
  /** Tells why an endpoint's address is left out; undefined: it is not. Absent: none is. */
  strangersOf?(service: Readonly<Service>): (address: string) => string | undefined
}

/** Something of a Service that is not served. */
export interface SkippedService {
  /** `namespace/name`. */
  readonly service: string
  readonly reason: string
}

export interface ServicePlan {
  readonly tables: ServiceTables
  readonly healthChecks: readonly HealthCheck[]
  readonly skipped: readonly SkippedService[]
}

const SERVICE_LABEL = 'kubernetes.io/service-name'
const PROTOCOLS: readonly string[] = ['TCP', 'UDP', 'SCTP'] satisfies ServiceProtocol[]
/** Source: kubernetes pkg/apis/core DefaultClientIPServiceAffinitySeconds. */
const DEFAULT_AFFINITY_SECONDS = 10_800

/** What one Service adds; conflicts with others are not decided yet. */
interface OneService {
  readonly frontends: readonly ServiceFrontend[]
  readonly healthCheck: HealthCheck | undefined
  readonly reasons: readonly string[]
}

/** Decides what this host serves. Pure: equal inputs give equal plans. Bad values are left out and named in `skipped`; the rest is served. IPv4 only. */
export function planServices(inputs: ServiceInputs): ServicePlan {
  const slices = groupSlices(inputs.slices)
  const skipped: SkippedService[] = []
  const healthChecks: HealthCheck[] = []
  const frontends: ServiceFrontend[] = []
  const ordered = [...inputs.services].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  for (const service of ordered) {
    const plan = planService(service, slices.get(keyOf(service)) ?? [], inputs)
    frontends.push(...plan.frontends)
    if (plan.healthCheck !== undefined) healthChecks.push(plan.healthCheck)
    skipped.push(...plan.reasons.map((reason) => ({ service: keyOf(service), reason })))
  }
  const { kept, conflicts } = settleConflicts(frontends)
  return { tables: { frontends: kept }, healthChecks, skipped: [...skipped, ...conflicts] }
}

function keyOf(service: Readonly<Service>): string {
  return `${service.metadata.namespace}/${service.metadata.name}`
}

function groupSlices(slices: ServiceInputs['slices']): Map<string, Readonly<EndpointSlice>[]> {
  const groups = new Map<string, Readonly<EndpointSlice>[]>()
  for (const slice of slices) {
    const service = slice.metadata.labels?.[SERVICE_LABEL]
    if (service === undefined) continue
    const key = `${slice.metadata.namespace}/${service}`
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [slice])
    else group.push(slice)
  }
  return groups
}

const NOTHING: OneService = { frontends: [], healthCheck: undefined, reasons: [] }

function planService(
  service: Readonly<Service>,
  slices: readonly Readonly<EndpointSlice>[],
  inputs: ServiceInputs,
): OneService {
  const { spec } = service
  if (spec === undefined || spec.type === 'ExternalName' || spec.clusterIP === 'None' || !spec.clusterIP) return NOTHING
  const vnis = inputs.networksOf(service)
  if (typeof vnis === 'string') return { ...NOTHING, reasons: [vnis] }
  const reasons: string[] = []
  const addresses = listAddresses(service, reasons)
  const whyStranger = inputs.strangersOf?.(service)
  const frontends: ServiceFrontend[] = []
  const localReady = new Set<string>()
  for (const port of spec.ports ?? []) {
    const protocol = port.protocol ?? 'TCP'
    if (!isProtocol(protocol)) {
      reasons.push(`Port ${port.port}: protocol "${protocol}" must be TCP, UDP or SCTP`)
      continue
    }
    const found = findEndpoints(slices, { ...inputs, portName: port.name ?? '', protocol })
    const strangers = new Map(found.endpoints.map(({ ip }) => [ip, whyStranger?.(ip)]))
    const endpoints = found.endpoints.filter(({ ip }) => strangers.get(ip) === undefined)
    reasons.push(...found.problems, ...[...strangers.values()].filter((reason) => reason !== undefined))
    endpoints.filter(isLocalReady).forEach(({ ip }) => localReady.add(ip))
    const chosen = chooseEndpoints(endpoints, inputs)
    const name = `${keyOf(service)}:${port.name ?? port.port}`
    const planned = planPort({ name, protocol, port, spec, addresses, chosen }, reasons)
    frontends.push(...vnis.flatMap((vni) => planned.map((frontend) => ({ ...frontend, vni }))))
  }
  const healthCheck = planHealthCheck(service, localReady.size)
  return { frontends, healthCheck, reasons: [...new Set(reasons)] }
}

function isProtocol(protocol: string): protocol is ServiceProtocol {
  return PROTOCOLS.includes(protocol)
}

/** Source: kubernetes pkg/proxy/endpoints.go LocalReadyEndpoints. */
function isLocalReady({ isLocal, isReady }: PortEndpoint): boolean {
  return isLocal && isReady
}

interface Addresses {
  readonly cluster: readonly string[]
  readonly external: readonly string[]
  readonly loadBalancer: readonly string[]
}

function listAddresses({ spec = {}, status }: Readonly<Service>, reasons: string[]): Addresses {
  const usable = (field: string) => (address: string) => {
    if (isBackendAddress(address)) return true
    if (!address.includes(':')) reasons.push(`${field}: "${address}" must be the IPv4 address of a host`) // IPv6 is for another family's proxy
    return false
  }
  const clusterIPs = spec.clusterIPs ?? [spec.clusterIP ?? '']
  const ingress = (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode }) =>
    ip === undefined || ip === '' || ipMode === 'Proxy' ? [] : [ip],
  )
  return {
    cluster: clusterIPs.filter(usable('spec.clusterIPs')),
    external: (spec.externalIPs ?? []).filter(usable('spec.externalIPs')),
    loadBalancer: ingress.filter(usable('status.loadBalancer.ingress')),
  }
}

interface PortPlan {
  readonly name: string
  readonly protocol: ServiceProtocol
  readonly port: ServicePort
  readonly spec: ServiceSpec
  readonly addresses: Addresses
  readonly chosen: ChosenEndpoints
}

function planPort({ name, protocol, port, spec, addresses, chosen }: PortPlan, reasons: string[]) {
  const isInternalLocal = spec.internalTrafficPolicy === 'Local'
  const isExternalLocal = spec.externalTrafficPolicy === 'Local'
  const whenNotLocal = chosen.hasAny ? 'drop' : 'refuse' // others have some: a client may try there, so it is not told that nobody serves
  const shared = {
    name,
    protocol,
    draining: chosen.draining,
    affinitySeconds: affinityOf(spec),
    sourceRanges: undefined,
  }
  const inside: Omit<ServiceFrontend, 'vni' | 'ip' | 'port'> = {
    ...shared,
    scope: 'cluster',
    backends: isInternalLocal ? chosen.local : chosen.cluster,
    whenEmpty: isInternalLocal ? whenNotLocal : 'refuse',
    externalBackends: [],
    whenExternalEmpty: 'drop',
    keepsSource: false,
  }
  // Pods and this host reach all endpoints by an external address too, as kube-proxy's short cut does.
  const outside: Omit<ServiceFrontend, 'vni' | 'ip' | 'port'> = {
    ...shared,
    scope: 'external',
    backends: chosen.cluster,
    whenEmpty: 'refuse',
    externalBackends: isExternalLocal ? chosen.local : chosen.cluster,
    whenExternalEmpty: isExternalLocal ? whenNotLocal : 'refuse',
    keepsSource: isExternalLocal,
  }
  const sourceRanges = planSourceRanges(spec, reasons)
  const nodePort = port.nodePort ?? 0
  return [
    ...addresses.cluster.map((ip) => ({ ...inside, ip, port: port.port })),
    ...addresses.external.map((ip) => ({ ...outside, ip, port: port.port })),
    ...addresses.loadBalancer.map((ip) => ({ ...outside, ip, port: port.port, sourceRanges })),
    ...(nodePort > 0 ? [{ ...outside, ip: undefined, port: nodePort }] : []),
  ]
}

function affinityOf({ sessionAffinity, sessionAffinityConfig }: ServiceSpec): number {
  if (sessionAffinity !== 'ClientIP') return 0
  return sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS
}

/** Ranges that cannot be read let nobody in: a service that was to be closed must not become open by a typing error. */
function planSourceRanges({ loadBalancerSourceRanges = [] }: ServiceSpec, reasons: string[]): string[] | undefined {
  const stated = loadBalancerSourceRanges.map((range) => range.trim()) // upstream's validation allows spaces around
  if (stated.length === 0) return undefined
  const ranges = new Set<string>()
  for (const range of stated) {
    const block = normalizeIPv4Block(range)
    if (block !== undefined) ranges.add(block)
    else if (!range.includes(':')) reasons.push(`spec.loadBalancerSourceRanges: "${range}" must be an IPv4 block`)
  }
  return [...ranges].sort()
}

/**
 * One address, protocol and port leads to one Service: ClusterIPs first, since those are given out and others are claimed (CVE-2020-8554), then by name.
 * External addresses and node ports are the host's, so that they exclude each other whatever the network.
 */
function settleConflicts(frontends: readonly ServiceFrontend[]): {
  kept: ServiceFrontend[]
  conflicts: SkippedService[]
} {
  const owners = new Map<string, ServiceFrontend>()
  const kept: ServiceFrontend[] = []
  const conflicts: SkippedService[] = []
  const byScope = [
    ...frontends.filter(({ scope }) => scope === 'cluster'),
    ...frontends.filter(({ scope }) => scope === 'external'),
  ]
  for (const frontend of byScope) {
    const place = `${frontend.ip ?? 'node port'} ${frontend.protocol} ${frontend.port}`
    const own = `${frontend.vni} ${place}`
    const owner = owners.get(own) ?? (frontend.scope === 'external' ? owners.get(place) : undefined)
    if (owner === undefined) {
      owners.set(own, frontend)
      if (!owners.has(place)) owners.set(place, frontend)
      kept.push(frontend)
    } else if (owner.name !== frontend.name || owner.scope !== frontend.scope)
      conflicts.push({ service: serviceOf(frontend), reason: `${place} is already served for ${owner.name}` })
  }
  return { kept: kept.sort(compareFrontends), conflicts }
}

function serviceOf({ name }: ServiceFrontend): string {
  return name.slice(0, name.lastIndexOf(':'))
}

function compareFrontends(a: ServiceFrontend, b: ServiceFrontend): number {
  if (a.vni !== b.vni) return a.vni - b.vni
  const addressA = a.ip ?? ''
  const addressB = b.ip ?? ''
  if (addressA !== addressB) return addressA < addressB ? -1 : 1
  if (a.protocol !== b.protocol) return a.protocol < b.protocol ? -1 : 1
  return a.port - b.port
}
