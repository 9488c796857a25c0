import type { DnsClient } from '../dns/dns-client.ts'
import type { ClusterView } from './cluster-view.ts'
import type { PodNetworks } from './pod-networks.ts'

/** The pod that the host knows by an address; undefined: none of this host. */
export function findDnsClient(
  { view, networks }: { readonly view: ClusterView; readonly networks: PodNetworks },
  hostAddress: string,
): DnsClient | undefined {
  const pod = networks.atHostAddress(hostAddress)
  if (pod?.reference === undefined) return undefined
  const tenant = view.tenantOfVni(pod.endpoint.vni)
  const namespace = view.ownNamespace(pod.reference.namespace)
  return tenant === undefined || namespace === undefined ? undefined : { tenant, namespace }
}
