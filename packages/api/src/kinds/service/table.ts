import type { Service, ServicePort } from '../../generated/types/core/v1.ts'
import { formatAge } from '../shared/duration.ts'
import { ageColumn, column, formatLabels, nameColumn } from '../shared/table.ts'

export const serviceColumns = [
  nameColumn,
  column('Type', 'How the service is reached'),
  column('Cluster-IP', 'Address within the cluster'),
  column('External-IP', 'Addresses from outside of the cluster'),
  column('Port(s)', 'Ports, with the node port if there is one'),
  ageColumn,
  column('Selector', 'Labels that select the pods', { wide: true }),
]

/** Source: printService, pkg/printers/internalversion/printers.go v1.37. */
export function serviceRow({ metadata, spec, status }: Readonly<Service>, nowMs: number): unknown[] {
  return [
    metadata.name,
    spec?.type ?? '',
    spec?.clusterIPs?.[0] ?? '<none>',
    externalAddress({ metadata, spec, status }),
    (spec?.ports ?? []).map(portText).join(',') || '<none>',
    formatAge(metadata.creationTimestamp, nowMs),
    formatLabels(spec?.selector),
  ]
}

/** Addresses of a load balancer, in order and joined by commas. */
export function loadBalancerText(
  ingress: readonly { ip?: string | undefined; hostname?: string | undefined }[] | undefined,
): string {
  const addresses = (ingress ?? []).map((entry) => entry.ip || entry.hostname || '').filter((address) => address !== '')
  return [...new Set(addresses)].toSorted().join(',')
}

function externalAddress({ spec, status }: Readonly<Service>): string {
  const external = spec?.externalIPs ?? []
  switch (spec?.type) {
    case 'ClusterIP':
    case 'NodePort':
      return external.join(',') || '<none>'
    case 'LoadBalancer': {
      const balancer = loadBalancerText(status?.loadBalancer?.ingress)
      return [...(balancer === '' ? [] : [balancer]), ...external].join(',') || '<pending>'
    }
    case 'ExternalName':
      return spec.externalName ?? ''
    default:
      return '<unknown>'
  }
}

function portText({ port, nodePort, protocol = '' }: ServicePort): string {
  return nodePort ? `${port}:${nodePort}/${protocol}` : `${port}/${protocol}`
}
