import { isPodReady, isPodTerminal, type Stored } from '@centaurus/api'
import type { EndpointAddress, EndpointPort, EndpointSubset, Pod, Service } from '@centaurus/api/core/v1'
import { familyOf, findPort, isHeadless, podAddresses } from '../endpoint-slice/plan.ts'
import { isOfNetwork } from '../endpoint-slice/service-network.ts'

/** Source: maxCapacity, pkg/controller/endpoint/endpoints_controller.go v1.37. */
const ADDRESSES_MAX = 1000

export interface SubsetPlan {
  readonly subsets: EndpointSubset[]
  /** More addresses than an Endpoints object holds: the rest was cut, those that are not ready first. */
  readonly isTruncated: boolean
}

/** The old, flat form of a service's endpoints, without pods of other networks. Source: endpoints_controller.go v1.37 and pkg/api/v1/endpoints RepackSubsets. */
export function planSubsets(service: Service, pods: readonly Stored<Pod>[]): SubsetPlan {
  const ports = new Map<string, { port: EndpointPort | undefined; addresses: Map<string, AddressState> }>()
  for (const pod of pods.filter((each) => isOfNetwork(service, each))) {
    const isReady = service.spec?.publishNotReadyAddresses === true || isPodReady(pod)
    const isTerminating = pod.metadata.deletionTimestamp !== undefined
    if (isPodTerminal(pod) || (isTerminating && service.spec?.publishNotReadyAddresses !== true)) continue
    const address = buildAddress(service, pod)
    if (address === undefined) continue
    for (const port of portsOf(service, pod)) {
      const key = JSON.stringify(port ?? null)
      const entry = ports.get(key) ?? { port, addresses: new Map<string, AddressState>() }
      entry.addresses.set(address.ip, { address, isReady })
      ports.set(key, entry)
    }
  }
  return truncate(repack([...ports.values()]))
}

interface AddressState {
  readonly address: EndpointAddress
  readonly isReady: boolean
}

function buildAddress(service: Service, pod: Stored<Pod>): EndpointAddress | undefined {
  const wantsIPv6 = (service.spec?.ipFamilies?.[0] ?? familyOf(service.spec?.clusterIP ?? '')) === 'IPv6'
  const ip = podAddresses(pod).find((address) => (familyOf(address) === 'IPv6') === wantsIPv6)
  if (ip === undefined) return undefined
  const { hostname, subdomain, nodeName } = pod.spec ?? {}
  const hasHostname = hostname !== undefined && hostname !== '' && subdomain === service.metadata.name
  return {
    ip,
    ...(nodeName ? { nodeName } : {}),
    targetRef: { kind: 'Pod', namespace: pod.metadata.namespace, name: pod.metadata.name, uid: pod.metadata.uid },
    ...(hasHostname ? { hostname } : {}),
  }
}

/** One undefined port for a headless service without ports, whose addresses count nevertheless. */
function portsOf(service: Service, pod: Pod): (EndpointPort | undefined)[] {
  const servicePorts = service.spec?.ports ?? []
  if (servicePorts.length === 0) return isHeadless(service.spec) ? [undefined] : []
  return servicePorts.flatMap((servicePort): EndpointPort[] => {
    const port = findPort(pod, servicePort)
    if (port === undefined) return []
    const { name, protocol = 'TCP', appProtocol } = servicePort
    return [{ ...(name ? { name } : {}), port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) }]
  })
}

/** Ports with the very same addresses share a subset; all is sorted, so that the same endpoints are always written the same way. */
function repack(
  entries: readonly { port: EndpointPort | undefined; addresses: Map<string, AddressState> }[],
): EndpointSubset[] {
  const groups = Map.groupBy(entries, ({ addresses }) =>
    JSON.stringify([...addresses.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1))),
  )
  const subsets = [...groups.values()].map((group): EndpointSubset => {
    const states = [...group[0]!.addresses.values()].toSorted((a, b) => (a.address.ip < b.address.ip ? -1 : 1))
    const ready = states.filter(({ isReady }) => isReady).map(({ address }) => address)
    const notReady = states.filter(({ isReady }) => !isReady).map(({ address }) => address)
    const ports = group.flatMap(({ port }) => (port === undefined ? [] : [port]))
    return {
      ...(ready.length === 0 ? {} : { addresses: ready }),
      ...(notReady.length === 0 ? {} : { notReadyAddresses: notReady }),
      ...(ports.length === 0
        ? {}
        : { ports: ports.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) }),
    }
  })
  return subsets.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

function truncate(subsets: EndpointSubset[]): SubsetPlan {
  const count = (field: 'addresses' | 'notReadyAddresses'): number =>
    subsets.reduce((sum, subset) => sum + (subset[field]?.length ?? 0), 0)
  const ready = count('addresses')
  const notReady = count('notReadyAddresses')
  if (ready + notReady <= ADDRESSES_MAX) return { subsets, isTruncated: false }
  const field = ready > ADDRESSES_MAX ? 'addresses' : 'notReadyAddresses'
  const total = field === 'addresses' ? ready : notReady
  const room = field === 'addresses' ? ADDRESSES_MAX : ADDRESSES_MAX - ready
  let left = room
  const cut = subsets.map((subset): EndpointSubset => {
    const own = subset[field] ?? []
    const kept = own.slice(0, Math.min(left, Math.ceil((own.length / total) * room)))
    left -= kept.length
    const { notReadyAddresses: _dropped, ...readyOnly } = subset
    return field === 'addresses' ? { ...readyOnly, addresses: kept } : { ...subset, notReadyAddresses: kept }
  })
  return { subsets: cut, isTruncated: true }
}
