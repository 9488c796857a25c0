import type { Service } from '@centaurus/api/core/v1'
import type { Endpoint, EndpointSlice } from '@centaurus/api/discovery/v1'

/** One address and port that leads to pods. */
export interface Frontend {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly port: number
  /** Addresses of the service; node ports are for every address of the node. */
  readonly addresses: readonly string[]
  /** 0: none. */
  readonly nodePort: number
  /** For `addresses`. */
  readonly backends: readonly Backend[]
  /** For `nodePort` and addresses from outside: with `externalTrafficPolicy: Local` only pods of this node. */
  readonly externalBackends: readonly Backend[]
  /** Packets from outside keep their source (Local), or get the node's, so that answers come back through it (Cluster). */
  readonly keepsSource: boolean
  /** One client, one pod, while the pods stay the same. */
  readonly isSticky: boolean
  /** For people: `default/web:http`. */
  readonly name: string
}

export interface Backend {
  readonly address: string
  readonly port: number
}

export interface ServiceInputs {
  readonly services: readonly Readonly<Service>[]
  readonly slices: readonly Readonly<EndpointSlice>[]
  /** Name of this node, for policies that prefer its own pods. */
  readonly nodeName: string
}

const SERVICE_LABEL = 'kubernetes.io/service-name'
const PROTOCOLS = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' } as const

/**
 * What the kernel must know to serve all Services, ordered by name so that equal inputs give equal plans. Pure. IPv4 only.
 * Source: Kubernetes' "Virtual IPs and Service Proxies"; terminating endpoints serve when no other is ready (KEP-1669).
 */
export function planServices({ services, slices, nodeName }: ServiceInputs): Frontend[] {
  const byService = groupSlices(slices)
  return services
    .flatMap((service) => planService(service, byService.get(keyOf(service)) ?? [], nodeName))
    .sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)))
}

function keyOf(service: Readonly<Service>): string {
  return `${service.metadata.namespace}/${service.metadata.name}`
}

function groupSlices(slices: ServiceInputs['slices']): Map<string, Readonly<EndpointSlice>[]> {
  const groups = new Map<string, Readonly<EndpointSlice>[]>()
  for (const slice of slices) {
    const service = slice.metadata.labels?.[SERVICE_LABEL]
    if (service === undefined || slice.addressType !== 'IPv4') continue
    const key = `${slice.metadata.namespace}/${service}`
    groups.set(key, [...(groups.get(key) ?? []), slice])
  }
  return groups
}

function planService(
  service: Readonly<Service>,
  slices: readonly Readonly<EndpointSlice>[],
  nodeName: string,
): Frontend[] {
  const { spec, status } = service
  if (spec === undefined || spec.type === 'ExternalName' || spec.clusterIP === 'None' || !spec.clusterIP) return []
  const ingress = (status?.loadBalancer?.ingress ?? []).flatMap((item) => (item.ip === undefined ? [] : [item.ip]))
  const addresses = [spec.clusterIP, ...(spec.externalIPs ?? []), ...ingress].filter(isIPv4)
  return (spec.ports ?? []).map((port) => {
    const all = backendsOf(slices, { portName: port.name ?? '', nodeName: undefined })
    const local = backendsOf(slices, { portName: port.name ?? '', nodeName })
    return {
      name: `${keyOf(service)}:${port.name ?? port.port}`,
      protocol: PROTOCOLS[(port.protocol ?? 'TCP') as keyof typeof PROTOCOLS],
      port: port.port,
      addresses,
      nodePort: port.nodePort ?? 0,
      backends: spec.internalTrafficPolicy === 'Local' ? local : all,
      externalBackends: spec.externalTrafficPolicy === 'Local' ? local : all,
      keepsSource: spec.externalTrafficPolicy === 'Local',
      isSticky: spec.sessionAffinity === 'ClientIP',
    }
  })
}

interface BackendQuery {
  readonly portName: string
  /** Only pods of this node; undefined: all. */
  readonly nodeName: string | undefined
}

function backendsOf(slices: readonly Readonly<EndpointSlice>[], { portName, nodeName }: BackendQuery): Backend[] {
  const candidates = slices.flatMap((slice) => {
    const port = slice.ports?.find((item) => (item.name ?? '') === portName)?.port
    if (port === undefined) return []
    return (slice.endpoints ?? [])
      .filter((endpoint) => nodeName === undefined || endpoint.nodeName === nodeName)
      .flatMap((endpoint) => (endpoint.addresses ?? []).map((address) => ({ endpoint, backend: { address, port } })))
  })
  const ready = candidates.filter(({ endpoint }) => endpoint.conditions?.ready !== false)
  const chosen = ready.length > 0 ? ready : candidates.filter(({ endpoint }) => isServingWhileTerminating(endpoint))
  const unique = new Map(chosen.map(({ backend }) => [`${backend.address}:${backend.port}`, backend]))
  return [...unique.values()].sort((a, b) => (a.address < b.address ? -1 : Number(a.address > b.address)))
}

function isServingWhileTerminating({ conditions }: Readonly<Endpoint>): boolean {
  return conditions?.serving === true && conditions.terminating === true
}

function isIPv4(address: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(address)
}
