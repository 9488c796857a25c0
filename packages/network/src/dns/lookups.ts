import {
  formatKey,
  NAMESPACE_ANNOTATION,
  splitQualifiedName,
  SYSTEM_TENANT,
  TENANT_ANNOTATION,
  type KubeObject,
} from '@centaurus/api'
import { namespaces, services, type Service } from '@centaurus/api/core/v1'
import { endpointslices, type EndpointSlice } from '@centaurus/api/discovery/v1'
import type { Clock } from '@centaurus/base'
import type { InformerFactory } from '@centaurus/client'

/** What names are made of. Namespaces are those of the view over all tenants. */
export interface DnsLookups {
  /** True once services and endpoints were listed: what is missing then does not exist. It stays so while the API is away. */
  readonly isSynced: () => boolean
  /** When something changed last, in seconds since 1970: the zone's serial. */
  readonly serial: () => number
  readonly service: (namespace: string, name: string) => Readonly<Service> | undefined
  readonly hasNamespace: (namespace: string) => boolean
  /** Tenant whose namespace it is; undefined: the `system` tenant's, or nobody's. */
  readonly tenantOf: (namespace: string) => string | undefined
  /** IPv4 slices of one Service. */
  readonly slices: (namespace: string, service: string) => readonly Readonly<EndpointSlice>[]
  /** The Service that has this ClusterIP. */
  readonly serviceByAddress: (address: string) => Readonly<Service> | undefined
  /** Slices that have an endpoint with this address. */
  readonly slicesByAddress: (address: string) => readonly Readonly<EndpointSlice>[]
}

/** On each slice: the Service that it is of. */
export const SERVICE_LABEL = 'kubernetes.io/service-name'
const BY_ADDRESS = 'dns/address'
const BY_SERVICE = 'dns/service'

/** Names from the informers' caches: an answer costs a few look-ups, however large the cluster. */
export function createDnsLookups(informers: InformerFactory, clock: Pick<Clock, 'now'>): DnsLookups {
  const serviceInformer = informers.informer(services)
  const sliceInformer = informers.informer(endpointslices)
  const namespaceInformer = informers.informer(namespaces)
  serviceInformer.addIndex(BY_ADDRESS, ({ spec }) => (hasClusterIP(spec) ? [spec!.clusterIP!] : []))
  sliceInformer.addIndex(BY_SERVICE, ({ metadata, addressType }) =>
    addressType === 'IPv4' ? [`${metadata.namespace}/${metadata.labels?.[SERVICE_LABEL] ?? ''}`] : [],
  )
  sliceInformer.addIndex(BY_ADDRESS, ({ endpoints = [], addressType }) =>
    addressType === 'IPv4' ? endpoints.flatMap(({ addresses = [] }) => addresses) : [],
  )
  let changedMs = clock.now()
  const changed = (): void => {
    changedMs = clock.now()
  }
  const handler = { onAdd: changed, onUpdate: changed, onDelete: changed }
  serviceInformer.addHandler(handler)
  sliceInformer.addHandler(handler)
  return {
    isSynced: () => serviceInformer.synced && sliceInformer.synced,
    serial: () => Math.floor(changedMs / 1_000),
    service: (namespace, name) => serviceInformer.get(formatKey(namespace, name)),
    // a server that does not show namespaces yet must not make names fail
    hasNamespace: (namespace) => !namespaceInformer.synced || namespaceInformer.get(namespace) !== undefined,
    tenantOf: (namespace) => {
      const found = namespaceInformer.get(namespace)
      const tenant = found === undefined ? splitQualifiedName(namespace)?.tenant : tenantOfObject(found)
      return tenant === SYSTEM_TENANT ? undefined : tenant
    },
    slices: (namespace, service) => sliceInformer.byIndex(BY_SERVICE, `${namespace}/${service}`),
    serviceByAddress: (address) => serviceInformer.byIndex(BY_ADDRESS, address)[0],
    slicesByAddress: (address) => sliceInformer.byIndex(BY_ADDRESS, address),
  }
}

function hasClusterIP(spec: Service['spec']): boolean {
  return spec?.clusterIP !== undefined && spec.clusterIP !== '' && spec.clusterIP !== 'None'
}

/** Whose an object of a view is; undefined when nobody can tell. */
export function tenantOfObject({ metadata }: Readonly<KubeObject>): string | undefined {
  return (
    metadata.annotations?.[TENANT_ANNOTATION] ?? splitQualifiedName(metadata.namespace ?? metadata.name ?? '')?.tenant
  )
}

/** What its tenant calls the namespace of an object of a view. */
export function ownNamespace({ metadata }: Readonly<KubeObject>): string {
  const { annotations, namespace = '' } = metadata
  return annotations?.[NAMESPACE_ANNOTATION] ?? splitQualifiedName(namespace)?.name ?? namespace
}
