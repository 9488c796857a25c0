import type { PodReference } from '../cni/pod-network-source.ts'
import type { LocalEndpoint } from './network-state.ts'

/** A pod that is attached on this host. */
export interface LocalPod {
  readonly endpoint: LocalEndpoint
  /** Undefined after a crash that lost who it is: it stays as it is until it is taken away. */
  readonly reference: PodReference | undefined
}

/** Names an endpoint among all networks. */
export function endpointKey({ vni, ip }: { readonly vni: number; readonly ip: string }): string {
  return `${vni}/${ip}`
}
