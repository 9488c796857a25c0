import { isDeepStrictEqual } from 'node:util'
import { DEFAULT_QUALITY } from '@centaurus/api'
import type { Node } from '@centaurus/api/core/v1'
import { endpointKey, type LocalPod } from '../daemon/local-pod.ts'
import type { NetworkState } from '../daemon/network-state.ts'
import { internalAddressOf, podBlocksOf, SHARED_DOMAIN } from '../daemon/topology.ts'
import type { ChannelInputs, ChannelNode, ChannelPod } from './plan-channels.ts'

/** Where `quark channel` of each host listens for those of others. */
export const CHANNEL_PORT = 7788
/** Label of nodes that have the sandbox runtime, with the name of its handler. */
export const SANDBOX_LABEL = 'centaurus.io/sandbox'
/** Name of the sandbox' RuntimeClass, and of the handler in the container runtime's configuration. */
export const SANDBOX_CLASS = 'quark'
/** Label by which operators turn channels off: `off`. */
export const CHANNELS_LABEL = 'centaurus.io/channels'

export interface ChannelSources {
  readonly nodeName: string
  readonly nodes: readonly Readonly<Node>[]
  /** What the kernel has, by number. */
  readonly networks: ReadonlyMap<number, NetworkState>
  /** By {@link endpointKey}. */
  readonly localPods: ReadonlyMap<string, LocalPod>
}

/** What channels are planned from. Pure. */
export function gatherChannels({ nodeName, nodes, networks, localPods }: ChannelSources): ChannelInputs {
  const states = [...networks.values()]
  return {
    pods: states.flatMap((state) => gatherPods(state, localPods)),
    identities: new Map(states.map(({ vni, identities }) => [vni, identities])),
    nodes: nodes.filter(({ metadata }) => metadata.name !== nodeName).flatMap(channelNodeOf),
  }
}

/** Why a node has no channels; undefined: it has. A node that is not known yet has none. */
export function whyNoChannels(node: Readonly<Node> | undefined): string | undefined {
  const labels = node?.metadata.labels ?? {}
  if (labels[SANDBOX_LABEL] !== SANDBOX_CLASS) return 'The node does not offer the sandbox'
  if (labels[CHANNELS_LABEL] === 'off') return `Turned off by the node's label ${CHANNELS_LABEL}`
  return undefined
}

/**
 * Pods whose connections are like anybody's: with the address of their node, as others may have those of networks of their own, and without a class or bandwidth that only the network
 * can give them. Those that are closed have nothing to say.
 */
function gatherPods({ vni, endpoints, slots }: NetworkState, localPods: ChannelSources['localPods']): ChannelPod[] {
  return [...endpoints.values()].flatMap((endpoint) => {
    const { ip, identity, routeDomain, slot, quality } = endpoint
    const sandbox = localPods.get(endpointKey(endpoint))?.reference?.containerId
    const set = slot === undefined ? undefined : slots.get(slot)
    const isCommon = routeDomain === SHARED_DOMAIN && isDeepStrictEqual(quality, DEFAULT_QUALITY)
    if (!isCommon || identity === 0 || sandbox === undefined || set === undefined) return []
    return [{ ip, sandbox, network: vni, identity, set }]
  })
}

function channelNodeOf(node: Readonly<Node>): ChannelNode[] {
  const address = internalAddressOf(node)
  if (address === undefined || whyNoChannels(node) !== undefined) return []
  return [{ service: `${address}:${CHANNEL_PORT}`, blocks: podBlocksOf(node) }]
}
