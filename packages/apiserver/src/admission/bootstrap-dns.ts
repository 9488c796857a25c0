import { StatusError } from '@centaurus/api'
import { endpoints, services, type Service } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { formatIpv4 } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { AdmissionOptions } from './built-in.ts'
import { ensure, find, put } from './ensure-objects.ts'
import { parseIpRange } from './ip-range.ts'
import { DEFAULT_SERVICE_RANGE } from './service-allocation.ts'

const NAMESPACE = 'kube-system'
/** Source: kubernetes cluster/addons/dns/coredns and kubeadm's manifest of it, v1.37. */
const NAME = 'kube-dns'
const LABELS = { 'k8s-app': NAME, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' }
const PORTS = [
  { name: 'dns', port: 53, protocol: 'UDP' },
  { name: 'dns-tcp', port: 53, protocol: 'TCP' },
]
/** Place of the resolver in the range of Services. Source: kubeadm GetDNSIP. */
const PLACE_IN_RANGE = 10

/**
 * Makes the Service that people and programs look for the resolver under. There are no pods behind it: each host answers at `clusterDns` itself, so that
 * is its only endpoint, on every host. A tenant's has an address of its own, which leads there too.
 */
export async function ensureDnsService(
  client: Client,
  { clusterDns, isTenant, serviceRange = DEFAULT_SERVICE_RANGE }: AdmissionOptions & { readonly isTenant: boolean },
): Promise<void> {
  if (clusterDns === undefined) return
  const tenth = formatIpv4(parseIpRange(serviceRange).first + PLACE_IN_RANGE)
  const service: Service = {
    metadata: { name: NAME, namespace: NAMESPACE, labels: LABELS },
    spec: { type: 'ClusterIP', ...(isTenant ? {} : { clusterIP: tenth }), ports: PORTS },
  }
  // operators who run a resolver of their own have pods behind it
  if ((await find(client, services, service))?.spec?.selector !== undefined) return
  try {
    await ensure(client, services, service)
  } catch (error) {
    // its address is another Service's, or a quota has no room for it: the resolver answers all the same
    if (error instanceof StatusError && error.code < 500) return
    throw error
  }
  const metadata = { name: NAME, namespace: NAMESPACE }
  const ports = PORTS.map((port) => ({ ...port }))
  await put(client, endpoints, {
    metadata: { ...metadata, labels: { ...LABELS, 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
    subsets: [{ addresses: [{ ip: clusterDns }], ports }],
  })
  await put(client, endpointslices, {
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': NAME } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [clusterDns], conditions: { ready: true } }],
    ports,
  })
}
