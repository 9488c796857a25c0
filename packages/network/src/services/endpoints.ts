/**
 * Which endpoints of a Service's port are used from this host.
 * Source: kubernetes pkg/proxy/topology.go CategorizeEndpoints and endpointslicecache.go, v1.34; KEP-1669 (terminating), KEP-2433 and KEP-3015 (hints).
 */
import type { Endpoint, EndpointSlice } from '@centaurus/api/discovery/v1'
import { isBackendAddress } from './address.ts'
import type { DrainingBackend, ServiceBackend } from './service-tables.ts'

/** The host that asks. */
export interface HostPlace {
  readonly nodeName: string
  /** Value of its node's label `topology.kubernetes.io/zone`; undefined: none. */
  readonly zone: string | undefined
}

export interface PortEndpoint extends ServiceBackend {
  readonly isReady: boolean
  readonly isServing: boolean
  readonly isTerminating: boolean
  readonly nodeHints: readonly string[]
  readonly zoneHints: readonly string[]
}

export interface EndpointQuery extends HostPlace {
  /** Name of the Service's port; empty when it has none. */
  readonly portName: string
  readonly protocol: string
}

export interface FoundEndpoints {
  /** Ordered by address and port; each pair once. */
  readonly endpoints: readonly PortEndpoint[]
  /** What was left out, and why. */
  readonly problems: readonly string[]
}

export interface ChosenEndpoints {
  /** Of the traffic policy `Cluster`. */
  readonly cluster: readonly ServiceBackend[]
  /** Of the traffic policy `Local`. */
  readonly local: readonly ServiceBackend[]
  /** Known, but in neither. */
  readonly draining: readonly DrainingBackend[]
  /** Whether the cluster has any that could serve, here or elsewhere. */
  readonly hasAny: boolean
}

/** Endpoints of one port in the Service's slices. Pure. IPv4 only. */
export function findEndpoints(slices: readonly Readonly<EndpointSlice>[], query: EndpointQuery): FoundEndpoints {
  const found = new Map<string, PortEndpoint>()
  const problems: string[] = []
  for (const slice of slices) {
    if (slice.addressType !== 'IPv4') continue
    for (const port of slice.ports ?? []) {
      if ((port.name ?? '') !== query.portName || (port.protocol ?? 'TCP') !== query.protocol) continue
      const number = port.port ?? 0
      if (!Number.isInteger(number) || number < 1 || number > 65_535) {
        problems.push(`EndpointSlice ${slice.metadata.name}: port ${number} must be 1 to 65535`)
        continue
      }
      for (const endpoint of slice.endpoints ?? []) {
        const address = endpoint.addresses?.[0] ?? '' // the others are never used: kubernetes pkg/apis/discovery EndpointSlice.addresses
        if (isBackendAddress(address)) keepBetter(found, toPortEndpoint(endpoint, { address, port: number, query }))
        else problems.push(`EndpointSlice ${slice.metadata.name}: "${address}" must be the IPv4 address of a host`)
      }
    }
  }
  return { endpoints: [...found.values()].sort(compareBackends), problems }
}

function toPortEndpoint(
  { conditions, hints, nodeName }: Readonly<Endpoint>,
  { address, port, query }: { address: string; port: number; query: EndpointQuery },
): PortEndpoint {
  return {
    ip: address,
    port,
    isLocal: query.nodeName !== '' && nodeName === query.nodeName,
    isReady: conditions?.ready !== false,
    isServing: conditions?.serving !== false,
    isTerminating: conditions?.terminating === true,
    nodeHints: (hints?.forNodes ?? []).map(({ name }) => name),
    zoneHints: (hints?.forZones ?? []).map(({ name }) => name),
  }
}

/** An endpoint may be in two slices while it moves between them. */
function keepBetter(found: Map<string, PortEndpoint>, endpoint: PortEndpoint): void {
  const key = `${endpoint.ip}:${endpoint.port}`
  const known = found.get(key)
  if (known === undefined || rank(endpoint) > rank(known)) found.set(key, endpoint)
}

function rank({ isReady, isServing, isLocal }: PortEndpoint): number {
  return (isReady ? 4 : 0) + (isServing ? 2 : 0) + (isLocal ? 1 : 0)
}

/** Decides which endpoints serve from this host. Pure. */
export function chooseEndpoints(endpoints: readonly PortEndpoint[], place: HostPlace): ChosenEndpoints {
  const ready = endpoints.filter(({ isReady }) => isReady)
  const lasting = endpoints.filter(({ isServing, isTerminating, isReady }) => isServing && isTerminating && !isReady)
  const near = ready.filter(preference(ready, place))
  const cluster = near.length > 0 ? near : lasting
  const localReady = ready.filter(({ isLocal }) => isLocal)
  const local = localReady.length > 0 ? localReady : lasting.filter(({ isLocal }) => isLocal)
  const chosen = new Set([...cluster, ...local])
  return {
    cluster: cluster.map(toBackend),
    local: local.map(toBackend),
    draining: endpoints
      .filter((endpoint) => !chosen.has(endpoint))
      .map((endpoint) => ({ ...toBackend(endpoint), isServing: endpoint.isServing })),
    hasAny: ready.length > 0 || lasting.length > 0,
  }
}

/** Hints count only when every ready endpoint has some and one of them is for this host. */
function preference(ready: readonly PortEndpoint[], { nodeName, zone }: HostPlace): (e: PortEndpoint) => boolean {
  const forNode = ({ nodeHints }: PortEndpoint): boolean => nodeHints.includes(nodeName)
  const forZone = ({ zoneHints }: PortEndpoint): boolean => zone !== undefined && zoneHints.includes(zone)
  if (ready.every(({ nodeHints }) => nodeHints.length > 0) && ready.some(forNode)) return forNode
  if (ready.every(({ zoneHints }) => zoneHints.length > 0) && ready.some(forZone)) return forZone
  return () => true
}

function toBackend({ ip, port, isLocal }: PortEndpoint): ServiceBackend {
  return { ip, port, isLocal }
}

function compareBackends(a: ServiceBackend, b: ServiceBackend): number {
  if (a.ip !== b.ip) return a.ip < b.ip ? -1 : 1
  return a.port - b.port
}
