import { formatKey, splitQualifiedName, SYSTEM_TENANT, TENANT_ANNOTATION } from '@centaurus/api'
import { services } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import type { InformerFactory } from '@centaurus/client'
import { SERVICE_LABEL, type DnsLookups } from './answer.ts'

const BY_ADDRESS = 'cluster-dns/address'
const BY_SERVICE = 'cluster-dns/service'

/** Names from the informers' caches: an answer costs a few look-ups, however large the cluster. */
export function createDnsLookups(informers: InformerFactory): DnsLookups {
  const serviceInformer = informers.informer(services)
  const sliceInformer = informers.informer(endpointslices)
  serviceInformer.addIndex(BY_ADDRESS, (service) => (service.spec?.clusterIP ? [service.spec.clusterIP] : []))
  sliceInformer.addIndex(BY_SERVICE, ({ metadata, addressType }) =>
    addressType === 'IPv4' ? [`${metadata.namespace}/${metadata.labels?.[SERVICE_LABEL] ?? ''}`] : [],
  )
  sliceInformer.addIndex(BY_ADDRESS, (slice) =>
    (slice.endpoints ?? [])
      .filter((endpoint) => endpoint.hostname !== undefined)
      .flatMap((endpoint) => endpoint.addresses ?? []),
  )
  return {
    tenantOf: (namespace) =>
      serviceInformer.list(namespace)[0]?.metadata.annotations?.[TENANT_ANNOTATION] ?? tenantIn(namespace),
    service: (namespace, name) => serviceInformer.get(formatKey(namespace, name)),
    slices: (namespace, service) => sliceInformer.byIndex(BY_SERVICE, `${namespace}/${service}`),
    serviceByAddress: (address) => (address === 'None' ? undefined : serviceInformer.byIndex(BY_ADDRESS, address)[0]),
    hostnameByAddress(address) {
      const slice = sliceInformer.byIndex(BY_ADDRESS, address)[0]
      const endpoint = slice?.endpoints?.find(
        (item) => item.hostname !== undefined && item.addresses?.includes(address),
      )
      return slice === undefined || endpoint?.hostname === undefined
        ? undefined
        : { hostname: endpoint.hostname, slice }
    },
  }
}

/** A namespace without a service says it by its name, unless that is shortened. */
function tenantIn(namespace: string): string | undefined {
  const tenant = splitQualifiedName(namespace)?.tenant
  return tenant === SYSTEM_TENANT ? undefined : tenant
}
