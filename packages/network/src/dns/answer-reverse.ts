import { isIP } from 'node:net'
import type { KubeObject } from '@centaurus/api'
import { TTL_SECONDS, type DnsAnswer, type DnsContext } from './dns-answer.ts'
import { endpointLabel, serviceDomain } from './answer-service.ts'
import { SERVICE_LABEL, tenantOfObject } from './lookups.ts'

/**
 * Names of an address, `reversed` such as `1.0.96.10`: of the service that has it, or else of the endpoints that do. Undefined when who asks may know of
 * none; others' addresses are like those of which nobody knows. Pure. Source: CoreDNS plugin/kubernetes/reverse.go, v1.15.
 */
export function answerReverse(name: string, reversed: string, context: DnsContext): DnsAnswer | undefined {
  const { lookups, tenant, domain } = context
  const address = reversed.split('.').toReversed().join('.')
  if (isIP(address) !== 4) return undefined
  const isVisible = (object: Readonly<KubeObject>): boolean => tenant === undefined || tenantOfObject(object) === tenant
  const service = lookups.serviceByAddress(address)
  if (service !== undefined && isVisible(service)) return pointers(name, [serviceDomain(service, context)])
  if (address === context.address) return pointers(name, [`kube-dns.kube-system.svc.${domain}`])
  if (service !== undefined) return undefined
  const names = lookups
    .slicesByAddress(address)
    .filter(isVisible)
    .flatMap(({ metadata, endpoints = [] }) => {
      const owner = metadata.labels?.[SERVICE_LABEL]
      if (owner === undefined) return []
      return endpoints
        .filter(({ addresses, conditions }) => conditions?.ready !== false && addresses?.includes(address))
        .map(({ hostname }) => `${endpointLabel(address, hostname)}.${serviceDomain({ metadata }, context, owner)}`)
    })
  return names.length === 0 ? undefined : pointers(name, names)
}

function pointers(name: string, targets: readonly string[]): DnsAnswer {
  const answers = Array.from(new Set(targets), (data) => ({ type: 'PTR' as const, name, ttl: TTL_SECONDS, data }))
  return { type: 'records', answers }
}
