import { execFileSync } from 'node:child_process'
import type { AttachedPod, EndpointReference, KnownEndpoint, PodNetworkSource } from '../pod-network-source.ts'

/** A data plane of the kernel's own routes, for tests of what attaches pods: it carries packets, and knows nothing of policies. */
export class HostRouteSource implements PodNetworkSource {
  readonly #endpoints = new Map<string, KnownEndpoint & { readonly device: string }>()

  async preparePod() {
    return { vpc: 'default', vni: 7, routeDomain: 0, blockPrefix: 24, identity: 300 }
  }

  async activate(pod: AttachedPod): Promise<void> {
    execFileSync('ip', ['route', 'replace', `${pod.hostIP}/32`, 'dev', pod.device], { stdio: 'pipe' })
    this.#endpoints.set(keyOf(pod), pod)
  }

  async forget(endpoint: EndpointReference): Promise<void> {
    this.#endpoints.delete(keyOf(endpoint)) // the route goes with the device
  }

  listEndpoints(): readonly KnownEndpoint[] {
    return [...this.#endpoints.values()]
  }

  whyNotReady(): undefined {
    return undefined
  }
}

function keyOf({ vni, ip }: EndpointReference): string {
  return `${vni} ${ip}`
}
