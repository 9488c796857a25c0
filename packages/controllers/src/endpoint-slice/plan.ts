import { deepEqual, isPodReady, isPodTerminal, ownerReferenceTo, type Stored } from '@centaurus/api'
import type { Node, Pod, Service, ServicePort } from '@centaurus/api/core/v1'
import type { Endpoint, EndpointPort, EndpointSlice } from '@centaurus/api/discovery/v1'
import { isOfNetwork } from './service-network.ts'
import { endpointKey, packSlices, portsKey, type PortGroup, type SliceChanges } from './pack.ts'

/** Source: MaxEndpointsPerSlice default, pkg/controller/endpointslice/config v1.37. */
const ENDPOINTS_PER_SLICE_MAX = 100
export const SERVICE_NAME_LABEL = 'kubernetes.io/service-name'
export const MANAGED_BY_LABEL = 'endpointslice.kubernetes.io/managed-by'
export const HEADLESS_LABEL = 'service.kubernetes.io/headless'
export const SLICE_CONTROLLER = 'endpointslice-controller.k8s.io'
const ZONE_LABEL = 'topology.kubernetes.io/zone'

export interface EndpointSlicePlanInput {
  readonly service: Stored<Service>
  /** Those that its selector takes; of other networks are left out. */
  readonly pods: readonly Stored<Pod>[]
  readonly nodeOf: (name: string) => Node | undefined
  /** Whether the pod's node may be there although {@link nodeOf} does not know it: its partition can't be asked. Default: it is gone. */
  readonly isNodeUnknown?: ((pod: Readonly<Pod>) => boolean) | undefined
  /** Slices of this service that this controller manages. */
  readonly existing: readonly Stored<EndpointSlice>[]
}

/** The writes that make the slices of a service tell where its pods are. Source: endpointslice/reconciler.go v0.37. */
export function planEndpointSlices(input: EndpointSlicePlanInput): SliceChanges {
  const { service, existing } = input
  const types = addressTypesOf(service)
  const changes: SliceChanges = {
    create: [],
    update: [],
    remove: existing.filter((slice) => !types.includes(slice.addressType)),
  }
  for (const addressType of types) {
    const ofType = existing.filter((slice) => slice.addressType === addressType)
    const owned = ofType.filter((slice) => isOwnedBy(slice, service))
    const packed = packSlices({
      existing: owned,
      desired: groupEndpoints(input, addressType),
      endpointsPerSliceMax: ENDPOINTS_PER_SLICE_MAX,
      build: (ports) => buildSlice(service, addressType, ports),
    })
    packed.remove.push(...ofType.filter((slice) => !owned.includes(slice)))
    keepPlaceholder(packed, { service, addressType, existing: ofType })
    changes.create.push(...packed.create)
    changes.update.push(...packed.update)
    changes.remove.push(...packed.remove)
  }
  return changes
}

/** A service without endpoints has one empty slice, so that readers can tell "none" from "not yet". */
function keepPlaceholder(
  changes: SliceChanges,
  {
    service,
    addressType,
    existing,
  }: {
    readonly service: Stored<Service>
    readonly addressType: string
    readonly existing: readonly Stored<EndpointSlice>[]
  },
): void {
  if (changes.create.length > 0 || changes.remove.length !== existing.length) return
  const placeholder = buildSlice(service, addressType, [])
  const [only] = changes.remove
  if (only !== undefined && isOwnedBy(only, service)) {
    changes.remove.splice(0, 1)
    const isSame =
      (only.endpoints ?? []).length === 0 &&
      (only.ports ?? []).length === 0 &&
      deepEqual(only.metadata.labels, placeholder.metadata.labels)
    if (!isSame)
      changes.update.push({
        from: only,
        to: { ...placeholder, metadata: { ...only.metadata, labels: placeholder.metadata.labels } },
      })
    return
  }
  changes.create.push(placeholder)
}

function groupEndpoints(
  { service, pods, nodeOf, isNodeUnknown, existing }: EndpointSlicePlanInput,
  addressType: string,
): Map<string, PortGroup> {
  const groups = new Map<string, { ports: EndpointPort[]; endpoints: Map<string, Endpoint> }>()
  for (const pod of pods) {
    if (isPodTerminal(pod) || podAddresses(pod).length === 0 || !isOfNetwork(service, pod)) continue
    const ports = endpointPorts(service, pod)
    const key = portsKey(ports)
    const group = groups.get(key) ?? { ports, endpoints: new Map<string, Endpoint>() }
    groups.set(key, group)
    const node = nodeOf(pod.spec?.nodeName ?? '')
    const isUnknown = node === undefined && isNodeUnknown?.(pod) === true
    if (node === undefined && !isUnknown && service.spec?.publishNotReadyAddresses !== true) continue // the node's event brings it back
    const zone = isUnknown ? zoneToldBefore(pod, existing) : node?.metadata.labels?.[ZONE_LABEL]
    const endpoint = buildEndpoint(service, pod, { zone, addressType })
    if (endpoint.addresses.length > 0) group.endpoints.set(endpointKey(endpoint), endpoint)
  }
  return groups
}

function buildEndpoint(
  service: Service,
  pod: Stored<Pod>,
  { zone, addressType }: { readonly zone: string | undefined; readonly addressType: string },
): Endpoint {
  const serving = isPodReady(pod)
  const terminating = pod.metadata.deletionTimestamp !== undefined
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating)
  const { hostname, subdomain, nodeName } = pod.spec ?? {}
  const hasHostname = hostname !== undefined && hostname !== '' && subdomain === service.metadata.name
  return {
    addresses: podAddresses(pod).filter((address) => familyOf(address) === addressType),
    conditions: { ready, serving, terminating },
    ...(hasHostname ? { hostname } : {}),
    targetRef: { kind: 'Pod', namespace: pod.metadata.namespace, name: pod.metadata.name, uid: pod.metadata.uid },
    ...(nodeName === undefined || nodeName === '' ? {} : { nodeName }),
    ...(zone === undefined || zone === '' ? {} : { zone }),
    ...planHints(service, { zone, nodeName }),
  }
}

/** What the slices say of a pod whose node's partition can't be asked. */
function zoneToldBefore({ metadata }: Stored<Pod>, existing: readonly EndpointSlice[]): string | undefined {
  for (const { endpoints } of existing) {
    const told = endpoints?.find(({ targetRef }) => targetRef?.uid === metadata.uid)
    if (told !== undefined) return told.zone
  }
  return undefined
}

/** Source: endpointslice/trafficdist v0.37: each endpoint serves its own zone, or its own node before. */
function planHints(
  service: Service,
  { zone, nodeName }: { readonly zone: string | undefined; readonly nodeName: string | undefined },
): Pick<Endpoint, 'hints'> {
  const distribution = service.spec?.trafficDistribution
  if (distribution === undefined || zone === undefined || zone === '') return {}
  const forZones = [{ name: zone }]
  if (distribution === 'PreferSameNode' && nodeName !== undefined)
    return { hints: { forNodes: [{ name: nodeName }], forZones } }
  return { hints: { forZones } }
}

export function podAddresses(pod: Pod): string[] {
  const list = (pod.status?.podIPs ?? []).map(({ ip }) => ip)
  if (list.length > 0) return list
  return pod.status?.podIP ? [pod.status.podIP] : []
}

export function familyOf(address: string): 'IPv4' | 'IPv6' {
  return address.includes(':') ? 'IPv6' : 'IPv4'
}

function addressTypesOf({ spec }: Service): string[] {
  const families = spec?.ipFamilies ?? []
  if (families.length > 0) return families
  const address = spec?.clusterIP
  return address === undefined || address === '' || address === 'None' ? ['IPv4', 'IPv6'] : [familyOf(address)]
}

function endpointPorts(service: Service, pod: Pod): EndpointPort[] {
  return (service.spec?.ports ?? []).flatMap((servicePort): EndpointPort[] => {
    const port = findPort(pod, servicePort)
    if (port === undefined) return []
    const { name = '', protocol = 'TCP', appProtocol } = servicePort
    return [{ name, port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) }]
  })
}

/** The number that a service's port has in this pod; undefined when it names a port that the pod has not. Source: FindPort v0.37. */
export function findPort(pod: Pod, { port, targetPort, protocol = 'TCP' }: ServicePort): number | undefined {
  if (targetPort === undefined || targetPort === 0 || targetPort === '') return port
  if (typeof targetPort === 'number') return targetPort
  const sidecars = (pod.spec?.initContainers ?? []).filter((container) => container.restartPolicy === 'Always')
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    const named = container.ports?.find(
      (candidate) => candidate.name === targetPort && (candidate.protocol ?? 'TCP') === protocol,
    )
    if (named !== undefined) return named.containerPort
  }
  return undefined
}

function buildSlice(service: Stored<Service>, addressType: string, ports: readonly EndpointPort[]): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      generateName: `${service.metadata.name}-`,
      namespace: service.metadata.namespace,
      labels: sliceLabels(service),
      ownerReferences: [{ ...ownerReferenceTo(service), apiVersion: 'v1', kind: 'Service' }],
    },
    addressType,
    endpoints: [],
    ports: [...ports],
  }
}

function sliceLabels({ metadata, spec }: Stored<Service>): Record<string, string> {
  const { [HEADLESS_LABEL]: _headless, ...labels } = metadata.labels ?? {}
  return {
    ...labels,
    ...(isHeadless(spec) ? { [HEADLESS_LABEL]: '' } : {}),
    [SERVICE_NAME_LABEL]: metadata.name,
    [MANAGED_BY_LABEL]: SLICE_CONTROLLER,
  }
}

export function isHeadless(spec: Service['spec']): boolean {
  return spec?.clusterIP === undefined || spec.clusterIP === '' || spec.clusterIP === 'None'
}

function isOwnedBy(slice: EndpointSlice, service: Stored<Service>): boolean {
  return (slice.metadata.ownerReferences ?? []).some(
    (owner) => owner.uid === service.metadata.uid && owner.kind === 'Service',
  )
}
