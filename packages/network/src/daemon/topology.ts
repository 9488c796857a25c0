import type { Subnet, Vpc } from '@centaurus/api/centaurus/v1'
import type { Node } from '@centaurus/api/core/v1'
import { doIpv4BlocksOverlap, parseIpv4Block } from '@centaurus/base'
import type { Route } from '../dataplane/dataplane.ts'
import { ownNameOf, tenantOf, unqualify } from './tenants.ts'

export interface TopologyInputs {
  readonly nodeName: string
  readonly nodes: readonly Readonly<Node>[]
  /** Of all tenants, as are the subnets. */
  readonly vpcs: readonly Readonly<Vpc>[]
  readonly subnets: readonly Readonly<Subnet>[]
}

/** Where pods of other nodes are, and whose packets are believed. */
export interface TopologyPlan {
  /** By {@link routeKey}. */
  readonly routes: ReadonlyMap<string, Route>
  /** Addresses of the other nodes. */
  readonly believed: ReadonlySet<string>
  /** CIDRs of networks that have one of their own, by number. */
  readonly networks: ReadonlyMap<number, string>
}

/** Domain of the networks whose pods have addresses of their nodes. */
export const SHARED_DOMAIN = 0

/** Decides what a host knows of the others. Pure. A node without an address or a block is not there yet. */
export function planTopology({ nodeName, nodes, vpcs, subnets }: TopologyInputs): TopologyPlan {
  const routes = new Map<string, Route>()
  const addresses = new Map<string, string>()
  for (const node of nodes) {
    const address = internalAddressOf(node)
    if (node.metadata.name === nodeName || address === undefined) continue
    addresses.set(node.metadata.name!, address)
    for (const cidr of podBlocksOf(node)) addRoute(routes, { domain: SHARED_DOMAIN, cidr, node: address })
  }
  const domains = new Map(vpcs.map((vpc) => [`${tenantOf(vpc)}/${ownNameOf(vpc)}`, vpc.status?.vni]))
  for (const subnet of subnets) {
    const domain = domains.get(`${tenantOf(subnet)}/${unqualify(subnet.spec.vpc)}`)
    const node = addresses.get(subnet.spec.node)
    if (domain !== undefined && node !== undefined) addRoute(routes, { domain, cidr: subnet.spec.cidr, node })
  }
  const networks = new Map<number, string>()
  for (const { spec, status } of vpcs)
    if (spec?.cidr !== undefined && status?.vni !== undefined) networks.set(status.vni, spec.cidr)
  return { routes, believed: new Set(addresses.values()), networks }
}

/** Names a route in a {@link TopologyPlan}. */
export function routeKey({ domain, cidr }: Pick<Route, 'domain' | 'cidr'>): string {
  return `${domain}/${cidr}`
}

/** The address at which other hosts reach it: the first InternalIP of IPv4. */
export function internalAddressOf({ status }: Readonly<Node>): string | undefined {
  return status?.addresses?.find(({ type, address }) => type === 'InternalIP' && address.includes('.'))?.address
}

/** Blocks of IPv4 from which its pods' addresses are. */
export function podBlocksOf({ spec }: Readonly<Node>): string[] {
  const blocks = spec?.podCIDRs ?? (spec?.podCIDR === undefined ? [] : [spec.podCIDR])
  return blocks.filter((block) => block.includes('.'))
}

/** Blocks in which pods of this host's network are: `common`, and those of nodes that are outside of it. */
export function podNetworksOf(nodes: readonly Readonly<Node>[], common: readonly string[]): string[] {
  const blocks = common.map((block) => parseIpv4Block(block)).filter((block) => block !== undefined)
  const others = nodes.flatMap(podBlocksOf).filter((text) => {
    const block = parseIpv4Block(text)
    return block !== undefined && !blocks.some((other) => doIpv4BlocksOverlap(block, other))
  })
  return [...common, ...new Set(others.toSorted())]
}

function addRoute(routes: Map<string, Route>, route: Route): void {
  routes.set(routeKey(route), route)
}
