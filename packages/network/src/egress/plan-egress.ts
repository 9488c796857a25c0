import type { Vpc, VpcEgressAddress } from '@centaurus/api/centaurus/v1'
import type { Node } from '@centaurus/api/core/v1'
import type { Egress } from '../dataplane/dataplane.ts'
import type { LocalEndpoint } from '../daemon/network-state.ts'
import { ownNameOf, tenantOf } from '../daemon/tenants.ts'
import { internalAddressOf } from '../daemon/topology.ts'

export interface EgressInputs {
  readonly nodeName: string
  /** Address of this node on the network between hosts. */
  readonly nodeIP: string
  readonly nodes: readonly Readonly<Node>[]
  /** Of all tenants. */
  readonly vpcs: readonly Readonly<Vpc>[]
  /** Addresses of devices of this host that are up. */
  readonly hostAddresses: ReadonlySet<string>
}

/** What this host does about networks that have addresses of their own in the world. */
export interface EgressPlan {
  /** By the number of the network. */
  readonly egresses: ReadonlyMap<number, Egress>
  /** Addresses that this host gives to what networks send, by their numbers. */
  readonly sources: ReadonlyMap<number, string>
  /** Addresses that this host is to have and has not. */
  readonly missing: readonly MissingAddress[]
}

export interface MissingAddress {
  readonly tenant: string
  readonly vpc: string
  readonly address: string
}

/** The addresses of a network that count. Those with addresses of pods of their own have none: their pods can't be told apart outside. */
export function egressAddressesOf({ spec }: Pick<Readonly<Vpc>, 'spec'>): readonly VpcEgressAddress[] {
  return spec?.cidr === undefined ? (spec?.egressAddresses ?? []) : []
}

/**
 * Decides. Pure. A network leaves by the first of its addresses whose node is Ready. A host that is named takes what arrives whoever is first in its own view: others
 * may have heard of a change sooner or later.
 */
export function planEgress({ nodeName, nodeIP, nodes, vpcs, hostAddresses }: EgressInputs): EgressPlan {
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
    const wanted = egressAddressesOf(vpc)
    if (vni === undefined || wanted.length === 0) continue
    for (const { address, node } of wanted) {
      if (node !== nodeName) continue
      if (!hostAddresses.has(address)) missing.push({ tenant: tenantOf(vpc), vpc: ownNameOf(vpc), address })
      else if (!sources.has(vni)) sources.set(vni, address)
    }
    const node = wanted.map((each) => hosts.get(each.node)).find((address) => address !== undefined)
    egresses.set(vni, { vni, node, isHere: sources.has(vni) })
  }
  return { egresses, sources, missing }
}

/** Says of a pod whether its network has addresses. As long as nobody knows the network, it stays as it is. */
export function withEgress(endpoint: LocalEndpoint, vpc: Readonly<Vpc> | undefined): LocalEndpoint {
  if (vpc === undefined) return endpoint
  const { hasEgress: _, ...others } = endpoint
  return egressAddressesOf(vpc).length === 0 ? others : { ...others, hasEgress: true }
}

/** What a node does not say of itself yet keeps nobody from using it. */
function isReady({ status }: Readonly<Node>): boolean {
  return (status?.conditions?.find(({ type }) => type === 'Ready')?.status ?? 'True') === 'True'
}
