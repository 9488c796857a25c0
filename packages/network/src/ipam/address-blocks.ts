import { formatIpv4, parseIpv4Block } from '@centaurus/base'
import { CniError } from '../cni/cni-error.ts'
import type { PodNetwork } from '../cni/pod-network-source.ts'
import type { AddressBlock } from './address-pool.ts'

/** Where a host's addresses for pods come from. */
export interface AddressBlocks {
  /** Blocks from which this host may give addresses to pods of the network; empty: none yet. Of blocks that later calls do not name, no more addresses are given. */
  blocksOf(network: PodNetwork): readonly AddressBlock[]
  /** Resolves when the host has got one more block. Rejects with a `CniError` when it can't. */
  grow(network: PodNetwork, signal: AbortSignal): Promise<void>
}

/** The node's own block alone: for networks that share the nodes' addresses. `podCIDR` is its `spec.podCIDR`, undefined until it has one. */
export function createNodeBlocks(podCIDR: () => string | undefined): AddressBlocks {
  return {
    blocksOf({ routeDomain }) {
      const cidr = podCIDR()
      return cidr === undefined || routeDomain !== 0 ? [] : [{ cidr, reserved: [hostAddressOf(cidr)] }]
    },
    async grow({ routeDomain, vpc }) {
      if (routeDomain !== 0)
        throw new CniError(
          'noAddress',
          `Cannot give an address: this node has no block of VPC "${vpc}"'s own addresses`,
        )
      const cidr = podCIDR()
      if (cidr === undefined)
        throw new CniError('tryAgainLater', 'This node has no spec.podCIDR yet; node-ipam gives it one')
      throw new CniError(
        'noAddress',
        `Cannot give an address: those of the node's ${cidr} are all in use, or rest for a minute after their pod ended`,
      )
    },
  }
}

/** Address of a host's own device on the pods' network: the first one of the node's block. Throws RangeError when it is no block. */
export function hostAddressOf(podCIDR: string): string {
  const block = parseIpv4Block(podCIDR)
  if (block === undefined || block.size < 4)
    throw new RangeError(`"${podCIDR}" is no block of IPv4 addresses for a node's pods, such as 10.244.3.0/24`)
  return formatIpv4(block.first + 1)
}
