import type { VpcEgressAddress } from '@centaurus/api/centaurus/v1'
import type { Node } from '@centaurus/api/core/v1'
import { isMissingOn } from './describe-egress.ts'
import { isReady } from './plan-egress.ts'

/** A network with addresses towards the world, under its tenant's own name. */
export interface EgressNetwork {
  readonly tenant: string
  readonly vpc: string
  readonly addresses: readonly VpcEgressAddress[]
}

/** One of them, and whether pods leave by it now. */
export interface EgressAddressState extends VpcEgressAddress {
  readonly isUsed: boolean
  /** For people, such as `node edge-1 is not Ready`. */
  readonly words: string
}

/** What the API says of the addresses, in their order. The first one whose node is Ready counts, also when that node does not have it. Pure. */
export function describeAddresses(network: EgressNetwork, nodes: readonly Readonly<Node>[]): EgressAddressState[] {
  let isFound = false
  return network.addresses.map(({ address, node: name }) => {
    const node = nodes.find(({ metadata }) => metadata.name === name)
    const state = (isUsed: boolean, words: string): EgressAddressState => ({ address, node: name, isUsed, words })
    if (node === undefined) return state(false, `there is no node ${name}`)
    if (!isReady(node)) return state(false, `node ${name} is not Ready`)
    if (isFound) return state(false, `for when the nodes before ${name} are away`)
    isFound = true
    if (isMissingOn(node, { ...network, address })) return state(false, `on no device of ${name} that is up`)
    return state(true, `in use, on ${name}`)
  })
}

/** Why nothing leaves the network now, as a sentence; undefined: something can. Pure. */
export function whyNoEgress(network: EgressNetwork, nodes: readonly Readonly<Node>[]): string | undefined {
  const states = describeAddresses(network, nodes)
  if (states.length === 0 || states.some(({ isUsed }) => isUsed)) return undefined
  const list = states.map(({ address, words }) => `${address}: ${words}`).join('; ')
  return `Nothing leaves network ${network.vpc} for the world, since none of its addresses can be used: ${list}`
}
