import type { Pod } from '@centaurus/api/core/v1'
import { DEFAULT_VPC, VPC_ANNOTATION } from '@centaurus/api/centaurus/v1'
import { internalAddressOf } from '../daemon/topology.ts'
import { describeAddresses, whyNoEgress } from '../egress/egress-state.ts'
import type { ExplainObjects } from './explain-world.ts'
import type { WayOut } from './explanation.ts'

/** By which address the world sees what the pod sends. Pure. */
export function explainLeaving({ tenant, vpcs, nodes }: ExplainObjects, pod: Readonly<Pod>): WayOut {
  const vpc = pod.metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC
  const addresses = vpcs.find(({ metadata }) => metadata.name === vpc)?.spec?.egressAddresses ?? []
  if (addresses.length === 0 || pod.spec?.hostNetwork === true) {
    const node = pod.spec?.nodeName
    const found = nodes.find(({ metadata }) => metadata.name === node)
    const address = found === undefined ? undefined : internalAddressOf(found)
    const why =
      pod.spec?.hostNetwork === true
        ? 'The pod uses the network of its node'
        : `Network ${vpc} has no address of its own`
    return { allowed: true, address, node, why: `${why}, so the world sees that of the node that it leaves by` }
  }
  const network = { tenant, vpc, addresses }
  const used = describeAddresses(network, nodes).find(({ isUsed }) => isUsed)
  if (used === undefined)
    return { allowed: false, address: undefined, node: undefined, why: whyNoEgress(network, nodes) ?? '' }
  return { allowed: true, address: used.address, node: used.node, why: `An address of network ${vpc}` }
}
