import { qualifyName, splitQualifiedName } from '@centaurus/api'
import type { Service } from '@centaurus/api/core/v1'
import type { EndpointSlice } from '@centaurus/api/discovery/v1'
import { SERVICE_LABEL, type DnsLookups } from '../lookups.ts'

export interface Zone {
  readonly namespaces: string[]
  readonly services: Service[]
  readonly slices: EndpointSlice[]
  isSynced: boolean
}

/** Names out of plain lists, for tests: what the informers' indexes would find. */
export function lookupsOf(zone: Zone): DnsLookups {
  return {
    isSynced: () => zone.isSynced,
    serial: () => 1_499_347_823,
    service: (namespace, name) =>
      zone.services.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
    hasNamespace: (namespace) => zone.namespaces.includes(namespace),
    tenantOf: (namespace) => {
      const tenant = splitQualifiedName(namespace)?.tenant
      return tenant === 'system' ? undefined : tenant
    },
    slices: (namespace, service) =>
      zone.slices.filter(
        ({ metadata, addressType }) =>
          addressType === 'IPv4' && metadata.namespace === namespace && metadata.labels?.[SERVICE_LABEL] === service,
      ),
    serviceByAddress: (address) => zone.services.find(({ spec }) => spec?.clusterIP === address),
    slicesByAddress: (address) =>
      zone.slices.filter(({ endpoints }) => endpoints?.some(({ addresses }) => addresses?.includes(address))),
  }
}

/** A namespaced object as nodes see it; `place` is `namespace` or `namespace@tenant`. */
export function placed(place: string, name: string): Service['metadata'] {
  const [namespace = '', tenant] = place.split('@')
  if (tenant === undefined) return { namespace, name }
  const annotations = { 'centaurus.io/tenant': tenant, 'centaurus.io/namespace': namespace }
  return { namespace: qualifyName(namespace, tenant), name, annotations }
}

/** A service with one TCP port. */
export function service(place: string, name: string, clusterIP: string): Service {
  return {
    metadata: placed(place, name),
    spec: { type: 'ClusterIP', clusterIP, ports: [{ name: 'http', port: 80, protocol: 'TCP' }] },
  }
}

/** A service that is another name. */
export function external(place: string, name: string, externalName: string): Service {
  return { metadata: placed(place, name), spec: { type: 'ExternalName', externalName } }
}

/** Endpoints of a service; each `address` or `address hostname`, with `!` behind it when it is not ready. */
export function slice(
  place: string,
  name: string,
  endpoints: readonly string[],
  ports: EndpointSlice['ports'] = [{ name: 'http', port: 80, protocol: 'TCP' }],
): EndpointSlice {
  const metadata = placed(place, `${name}-1`)
  return {
    metadata: { ...metadata, labels: { [SERVICE_LABEL]: name } },
    addressType: 'IPv4',
    ports,
    endpoints: endpoints.map((text) => {
      const [address = '', hostname] = text.replace('!', '').split(' ')
      const ready = !text.endsWith('!')
      return { addresses: [address], conditions: { ready }, ...(hostname === undefined ? {} : { hostname }) }
    }),
  }
}

/** Two namespaces and services of operators, and of the tenants acme and beta. */
export function exampleZone(): Zone {
  return {
    isSynced: true,
    namespaces: ['default', 'kube-system', 'testns', 'default--acme', 'prod--acme', 'kube-system--acme', 'prod--beta'],
    services: [
      service('testns', 'svc1', '10.96.0.7'),
      service('testns', 'hdls1', 'None'),
      service('testns', 'hdlsprtls', 'None'),
      service('testns', 'hdlsempty', 'None'),
      external('testns', 'external', 'ext.interwebs.test'),
      external('testns', 'external-to-service', 'svc1.testns.svc.cluster.local.'),
      external('testns', 'external-to-nothing', 'svc0.testns.svc.cluster.local'),
      external('testns', 'external-loop-a', 'external-loop-b.testns.svc.cluster.local'),
      external('testns', 'external-loop-b', 'external-loop-a.testns.svc.cluster.local'),
      external('testns', 'external-address', '192.0.2.1'),
      service('default', 'store', '10.96.0.2'),
      service('prod', 'web', '10.96.0.1'),
      service('default@acme', 'web', '10.96.0.9'),
      service('prod@acme', 'web', '10.96.0.8'),
      service('prod@acme', 'db', 'None'),
      external('prod@acme', 'alias', 'web.default.svc.cluster.local'),
      service('prod@beta', 'web', '10.96.0.6'),
    ],
    slices: [
      slice('testns', 'svc1', ['172.16.0.1 ep1a']),
      slice('testns', 'hdls1', [
        '172.16.0.2',
        '172.16.0.3',
        '172.16.0.4 dup-name',
        '172.16.0.5 dup-name',
        '172.16.0.6 late!',
      ]),
      slice('testns', 'hdlsprtls', ['172.16.0.20'], []),
      slice('prod@acme', 'db', ['172.16.1.1 db-0', '172.16.1.2 db-1'], [{ name: 'pg', port: 5432, protocol: 'TCP' }]),
    ],
  }
}
