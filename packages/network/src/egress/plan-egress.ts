import type { Subnet, Vpc } from '@centaurus/api/centaurus/v1'
import type { Node } from '@centaurus/api/core/v1'
import type { Egress } from '../dataplane/dataplane.ts'
import type { LocalEndpoint } from '../daemon/network-state.ts'
import { ownNameOf, tenantOf, unqualify } from '../daemon/tenants.ts'
import { internalAddressOf } from '../daemon/topology.ts'
import type { OwnBlock } from './plan-aliases.ts'

export interface EgressInputs {
  readonly nodeName: string
  /** Address of this node on the network between hosts. */
  readonly nodeIP: string
  readonly nodes: readonly Readonly<Node>[]
  /** Of all tenants, as are the subnets. */
  readonly vpcs: readonly Readonly<Vpc>[]
  readonly subnets: readonly Readonly<Subnet>[]
  /** Addresses of devices of this host that are up. */
  readonly hostAddresses: ReadonlySet<string>
}

/** What this host does about networks that have addresses of their own in the world. */
export interface EgressPlan {
  /** By the number of the network. */
  readonly egresses: ReadonlyMap<number, Egress>
  /** Addresses that this host gives to what networks send, by their numbers. */
  readonly sources: ReadonlyMap<number, string>
  /** Blocks of other hosts whose pods' packets this host gives addresses to, of networks with a CIDR of their own. */
  readonly blocks: readonly OwnBlock[]
  /** Addresses that this host is to have and has not. */
  readonly missing: readonly MissingAddress[]
}

export interface MissingAddress {
  readonly tenant: string
  readonly vpc: string
  readonly address: string
}

/**
 * Decides. Pure. A network leaves by the first of its addresses whose node is Ready. A host that is named takes what arrives whoever is first in its own view: others
 * may have heard of a change sooner or later.
 */
export function planEgress(inputs: EgressInputs): EgressPlan {
  const { nodeName, nodeIP, nodes, vpcs, hostAddresses } = inputs
  const egresses = new Map<number, Egress>()
  const sources = new Map<number, string>()
  const missing: MissingAddress[] = []
  const hosts = new Map<string, string>()
  for (const node of nodes) {
    const address = node.metadata.name === nodeName ? nodeIP : internalAddressOf(node)
    if (address !== undefined && isReady(node)) hosts.set(node.metadata.name!, address)
  }
  for (const vpc of vpcs) {
    const vni = vpc.status?.vni
    const wanted = vpc.spec?.egressAddresses ?? []
    if (vni === undefined || wanted.length === 0) continue
    for (const { address, node } of wanted) {
      if (node !== nodeName) continue
      if (!hostAddresses.has(address)) missing.push({ tenant: tenantOf(vpc), vpc: ownNameOf(vpc), address })
      else if (!sources.has(vni)) sources.set(vni, address)
    }
    const node = wanted.map((each) => hosts.get(each.node)).find((address) => address !== undefined)
    egresses.set(vni, { vni, node, isHere: sources.has(vni) })
  }
  return { egresses, sources, missing, blocks: findBlocks(inputs, sources) }
}

/** Pods of this host have other addresses: see {@link LocalEndpoint.hostIP}. */
function findBlocks({ nodeName, vpcs, subnets }: EgressInputs, sources: ReadonlyMap<number, string>): OwnBlock[] {
  const numbers = new Map(vpcs.map((vpc) => [`${tenantOf(vpc)}/${ownNameOf(vpc)}`, vpc.status?.vni]))
  return subnets.flatMap((subnet) => {
    const { node, vpc, cidr } = subnet.spec
    const vni = numbers.get(`${tenantOf(subnet)}/${unqualify(vpc)}`)
    return vni === undefined || node === nodeName || !sources.has(vni) ? [] : [{ vni, cidr }]
  })
}

/** Says of a pod whether its network has addresses. As long as nobody knows the network, it stays as it is. */
export function withEgress(endpoint: LocalEndpoint, vpc: Readonly<Vpc> | undefined): LocalEndpoint {
  if (vpc === undefined) return endpoint
  const { hasEgress: _, ...others } = endpoint
  return (vpc.spec?.egressAddresses ?? []).length === 0 ? others : { ...others, hasEgress: true }
}

/** What a node does not say of itself yet keeps nobody from using it. */
export function isReady({ status }: Readonly<Node>): boolean {
  return (status?.conditions?.find(({ type }) => type === 'Ready')?.status ?? 'True') === 'True'
}
