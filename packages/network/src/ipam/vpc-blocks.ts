import type { Stored } from '@centaurus/api'
import type { Subnet, Vpc } from '@centaurus/api/centaurus/v1'
import { CniError } from '../cni/cni-error.ts'
import type { PodNetwork } from '../cni/pod-network-source.ts'
import type { AddressBlocks } from './address-blocks.ts'
import type { AddressBlock } from './address-pool.ts'

export interface VpcBlocksDeps {
  readonly nodeName: string
  /** The node's own blocks, for networks that share them. */
  readonly shared: AddressBlocks
  /** All that the node knows of, as its view names them. */
  readonly vpcs: () => readonly Stored<Vpc>[]
  readonly subnets: () => readonly Stored<Subnet>[]
  /** Resolves after something of these may have changed. Rejects when the signal aborts. */
  readonly whenChanged: (signal: AbortSignal) => Promise<void>
}

/**
 * The node's blocks of networks with addresses of their own: its Subnets. They come by themselves with its first pod of a network, and more as pods come; one that is
 * about to be taken back (`spec.released`) is not used any more.
 */
export function createVpcBlocks(deps: VpcBlocksDeps): AddressBlocks {
  const { shared, nodeName } = deps
  const blocksOf = (network: PodNetwork): readonly AddressBlock[] => {
    if (network.routeDomain === 0) return shared.blocksOf(network)
    const vpc = deps.vpcs().find(({ status }) => status?.vni === network.vni)?.metadata.name
    return deps
      .subnets()
      .filter(({ spec }) => spec.vpc === vpc && spec.node === nodeName && spec.released !== true)
      .map(({ spec }) => ({ cidr: spec.cidr, reserved: [] }))
  }
  return {
    blocksOf,
    async grow(network, signal) {
      if (network.routeDomain === 0) return shared.grow(network, signal)
      const before = blocksOf(network).length
      try {
        while (blocksOf(network).length <= before) await deps.whenChanged(signal)
      } catch {
        const have = before === 0 ? 'has no block' : `uses all of its ${before} blocks`
        const what = `Node ${nodeName} ${have} of VPC "${network.vpc}"'s own addresses, and has not got another one yet`
        throw new CniError('tryAgainLater', `${what}; Events of the Vpc say when there are none left`)
      }
    },
  }
}
