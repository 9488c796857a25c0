import { CniError } from '../cni/cni-error.ts'
import type { AttachedPod, PodNetwork, PodNetworkSource, PodReference } from '../cni/pod-network-source.ts'
import type { PodNetworks } from './pod-networks.ts'
import type { ShapingKeeper } from './shaping-keeper.ts'

/** How long a pod that is being attached waits for its object, its network's number and its identity. */
const PREPARE_TIMEOUT_MS = 10_000
/** How long it waits for an identity that says all that policies ask for, when there is one that says less: what asks for more does not let it through. */
const EXACT_TIMEOUT_MS = 2_000

/** What attaching pods asks of a host's network. `shaping` is told of each pod before it sends. */
export function createPodSource(network: PodNetworks, shaping: Pick<ShapingKeeper, 'followShapers'>): PodNetworkSource {
  return {
    preparePod: (pod, signal) => preparePod(network, pod, signal),
    async activate(pod: AttachedPod) {
      try {
        network.activate(pod)
      } catch (cause) {
        throw new CniError('tryAgainLater', `Cannot give pod ${pod.namespace}/${pod.name} its policies`, { cause })
      }
      await shaping.followShapers()
    },
    async forget(endpoint) {
      network.forget(endpoint)
    },
    listEndpoints: () => network.listEndpoints(),
    whyNotReady: () => network.problem,
  }
}

async function preparePod(network: PodNetworks, pod: PodReference, signal: AbortSignal): Promise<PodNetwork> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(PREPARE_TIMEOUT_MS)])
  const patience = AbortSignal.any([deadline, AbortSignal.timeout(EXACT_TIMEOUT_MS)])
  for (;;) {
    const found = network.networkOf(pod)
    if (found.type === 'found' && (found.isExact || patience.aborted)) return found.network
    try {
      await network.whenChanged(found.type === 'found' ? patience : deadline)
    } catch (cause) {
      if (found.type === 'missing') throw new CniError('tryAgainLater', found.what, { cause })
      signal.throwIfAborted()
    }
  }
}
