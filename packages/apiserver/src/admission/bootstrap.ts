import { isStatus } from '@centaurus/api'
import { endpoints, namespaces, serviceaccounts, services, type Service } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { servicecidrs } from '@centaurus/api/networking/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import { formatIpv4 } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import { ensureDnsService } from './bootstrap-dns.ts'
import type { AdmissionOptions } from './built-in.ts'
import { ensure, put } from './ensure-objects.ts'
import { parseIpRange } from './ip-range.ts'
import { DEFAULT_SERVICE_RANGE } from './service-allocation.ts'

/** Source: kubernetes pkg/controlplane/controller/systemnamespaces, v1.37. */
const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease']
/** A tenant has no nodes, and so no leases of theirs. */
const TENANT_NAMESPACES = NAMESPACES.slice(0, 3)
/** Source: kubernetes pkg/apis/scheduling/v1/helpers.go SystemPriorityClasses. */
const PRIORITY_CLASSES = [
  {
    name: 'system-node-critical',
    value: 2_000_001_000,
    description: 'Used for system critical pods that must not be moved from their current node.',
  },
  {
    name: 'system-cluster-critical',
    value: 2_000_000_000,
    description:
      'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
  },
]
const DEFAULT_PORT = 6443
const SERVICE_LABELS = { component: 'apiserver', provider: 'kubernetes' }

export interface BootstrapOptions extends AdmissionOptions {
  /** Default `system`. */
  readonly tenant?: string | undefined
}

/**
 * Makes the objects that every cluster has, and every tenant, whose `client` it is. Safe to run at each start; what people changed
 * stays as it is.
 */
export async function bootstrapObjects(client: Client, options: BootstrapOptions): Promise<void> {
  const isTenant = (options.tenant ?? SYSTEM_TENANT) !== SYSTEM_TENANT
  const names = isTenant ? TENANT_NAMESPACES : NAMESPACES
  if (!isTenant) await ensureStorageClass(client, options)
  await Promise.all(names.map((name) => ensure(client, namespaces, { metadata: { name } })))
  // A controller would make them a moment later; this way the first Pod need not wait.
  await Promise.all(
    names.map((namespace) => ensure(client, serviceaccounts, { metadata: { name: 'default', namespace } })),
  )
  await Promise.all(
    PRIORITY_CLASSES.map(({ name, ...rest }) => ensure(client, priorityclasses, { metadata: { name }, ...rest })),
  )
  await ensureKubernetesService(client, { ...options, isTenant })
  await ensureDnsService(client, { ...options, isTenant })
}

/** Comes before the namespaces: they are how a later start knows that the cluster had its class. */
async function ensureStorageClass(client: Client, { storageClass }: AdmissionOptions): Promise<void> {
  if (storageClass === undefined) return
  try {
    await client.get(namespaces, { name: 'kube-system' })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
    await ensure(client, storageclasses, storageClass)
  }
}

async function ensureKubernetesService(
  client: Client,
  options: AdmissionOptions & { readonly isTenant: boolean },
): Promise<void> {
  const range = options.serviceRange ?? DEFAULT_SERVICE_RANGE
  await ensure(client, servicecidrs, { metadata: { name: 'kubernetes' }, spec: { cidrs: [range] } })
  const port = options.advertisePort ?? DEFAULT_PORT
  const metadata = { name: 'kubernetes', namespace: 'default', labels: SERVICE_LABELS }
  const service: Service = {
    metadata,
    spec: {
      type: 'ClusterIP',
      // the first address is the cluster's own; each tenant's comes from those that are free
      ...(options.isTenant ? {} : { clusterIP: formatIpv4(parseIpRange(range).first + 1) }),
      ports: [{ name: 'https', port: 443, targetPort: port, protocol: 'TCP' }],
    },
  }
  await ensure(client, services, service)
  const address = options.advertiseAddress ?? ''
  // Endpoints may not be on the loopback: a server that only this machine reaches, as in tests, has none.
  if (address !== '' && !/^(127\.|::1$)/.test(address)) await putEndpoints(client, address, port)
}

/** Source: kubernetes pkg/controlplane/reconcilers/instancecount.go; the server's address may differ at each start. */
async function putEndpoints(client: Client, address: string, port: number): Promise<void> {
  const metadata = {
    name: 'kubernetes',
    namespace: 'default',
    labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
  }
  const ports = [{ name: 'https', port, protocol: 'TCP' }]
  await put(client, endpoints, { metadata, subsets: [{ addresses: [{ ip: address }], ports }] })
  await put(client, endpointslices, {
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    addressType: address.includes(':') ? 'IPv6' : 'IPv4',
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports,
  })
}
