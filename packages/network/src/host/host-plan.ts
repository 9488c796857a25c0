import { GATEWAY_ADDRESS } from '../cni/attachment.ts'
import { hostAddressOf } from '../ipam/address-blocks.ts'
import { TRANSIT_CIDR, TRANSIT_HOST } from '../ipam/ipam.ts'
import { ALIAS_CIDR } from '../egress/plan-aliases.ts'
import { GATEWAY_MAC } from '../layouts/layouts.ts'

/** The host's device on the pods' network. */
export const HOST_DEVICE = 'centaurus0'
/** Its other end, which has nothing to do but to be there. */
export const HOST_PEER = 'centaurus1'
/**
 * Source that packets of this host, or the world, have when they ask this host itself by a Service: answers to it leave by {@link HOST_DEVICE}, where programs
 * meet them. The same in bpf/service_tables.h.
 */
export const HAIRPIN_ADDRESS = '169.254.42.1'
const PEER_MAC = '02:ce:47:00:00:02'

/** What `ip -json` says of the device; `kind` is that of its link info. */
export interface SeenHostDevice {
  readonly kind: string | undefined
  readonly mtu: number
  readonly mac: string
  readonly addresses: readonly string[]
  readonly routes: readonly SeenHostRoute[]
  /** State folder of the daemon that made it. */
  readonly owner: string | undefined
}

export interface SeenHostRoute {
  readonly cidr: string
  readonly gateway: string | undefined
  readonly source: string | undefined
}

/** What the host is to have. */
export interface HostDevicePlan {
  /** Of which the first one is the host's on the pods' network. */
  readonly addresses: readonly string[]
  readonly mtu: number
  /** Blocks that are reached over the pods' network, and what address the host has there. */
  readonly routes: readonly HostRoute[]
}

export interface HostRoute {
  readonly cidr: string
  readonly source: string
}

export interface PodNetworkFacts {
  /** This node's `spec.podCIDR`. */
  readonly podCIDR: string
  /** Blocks of all the cluster's pods. */
  readonly podNetworks: readonly string[]
  readonly serviceCIDRs: readonly string[]
  /** Of pods. */
  readonly mtu: number
}

/** What a host is to have so that its stack reaches pods and Services. Pods that have addresses of their own see it by {@link TRANSIT_HOST}. Pure. */
export function describeHostDevice({ podCIDR, podNetworks, serviceCIDRs, mtu }: PodNetworkFacts): HostDevicePlan {
  const source = hostAddressOf(podCIDR)
  const shared = new Set([...podNetworks, podCIDR, ...serviceCIDRs, HAIRPIN_ADDRESS])
  return {
    addresses: [source, TRANSIT_HOST],
    mtu,
    routes: [
      ...Array.from(shared, (cidr) => ({ cidr, source })),
      ...[TRANSIT_CIDR, ALIAS_CIDR].map((cidr) => ({ cidr, source: TRANSIT_HOST })),
    ],
  }
}

/** A host that has a device of that name which is not ours. */
export class ForeignDeviceError extends Error {
  constructor(kind: string) {
    super(
      `Cannot set up the host's network: "${HOST_DEVICE}" exists and is a ${kind}; stop the pods that use it and remove it with "ip link delete ${HOST_DEVICE}"`,
    )
    this.name = 'ForeignDeviceError'
  }
}

/** A host whose network is another cluster's. */
export class OccupiedHostError extends Error {
  constructor(owner: string) {
    super(
      `Cannot set up the host's network: it is that of another cluster, which keeps it in "${owner}"; stop that first`,
    )
    this.name = 'OccupiedHostError'
  }
}

/**
 * Lines for `ip -batch` that make the device what it is to be; none when it is. All routes go to one neighbour that never has to be asked for: the program at
 * the device decides by the packet. Its MAC address is not the peer's, so that without the program packets end there instead of going round. Pure.
 */
export function planHostDevice(
  seen: SeenHostDevice | undefined,
  plan: HostDevicePlan,
  { hasIpv6 }: { readonly hasIpv6: boolean },
): string[] {
  if (seen !== undefined && seen.kind !== 'veth') throw new ForeignDeviceError(seen.kind ?? 'device of another kind')
  const { mtu } = plan
  const wanted = plan.addresses.map((address) => `${address}/32`)
  const lines: string[] = []
  if (seen === undefined) {
    lines.push(
      `link add ${HOST_DEVICE} mtu ${mtu} address ${GATEWAY_MAC} type veth peer name ${HOST_PEER} mtu ${mtu} address ${PEER_MAC}`,
    )
  } else {
    if (seen.mac !== GATEWAY_MAC) lines.push(`link set ${HOST_DEVICE} address ${GATEWAY_MAC}`)
    if (seen.mtu !== mtu) lines.push(`link set ${HOST_DEVICE} mtu ${mtu}`, `link set ${HOST_PEER} mtu ${mtu}`)
  }
  for (const device of [HOST_DEVICE, HOST_PEER]) {
    if (hasIpv6 && seen === undefined) lines.push(`link set ${device} addrgenmode none`)
    lines.push(`link set ${device} up`)
  }
  const stale = seen?.routes.filter((route) => !isRight(route, plan)) ?? []
  for (const { cidr } of stale) lines.push(`route del ${cidr} dev ${HOST_DEVICE}`)
  // new ones first: without any address the kernel would drop all routes
  const added = wanted.filter((address) => seen?.addresses.includes(address) !== true)
  const stray = seen?.addresses.filter((address) => !wanted.includes(address)) ?? []
  for (const address of added) lines.push(`addr add ${address} dev ${HOST_DEVICE}`)
  for (const address of stray) lines.push(`addr del ${address} dev ${HOST_DEVICE}`)
  lines.push(`neigh replace ${GATEWAY_ADDRESS} lladdr ${GATEWAY_MAC} dev ${HOST_DEVICE} nud permanent`)
  const present = new Set(seen?.routes.filter((route) => isRight(route, plan)).map(({ cidr }) => cidr))
  for (const { cidr, source } of plan.routes) {
    if (!present.has(cidr))
      lines.push(`route add ${cidr} via ${GATEWAY_ADDRESS} dev ${HOST_DEVICE} onlink src ${source}`)
  }
  return lines
}

function isRight({ cidr, gateway, source }: SeenHostRoute, { routes }: HostDevicePlan): boolean {
  return gateway === GATEWAY_ADDRESS && routes.some((route) => route.cidr === cidr && route.source === source)
}
