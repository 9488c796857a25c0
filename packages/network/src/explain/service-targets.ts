import { SYSTEM_VNI } from '@centaurus/api/centaurus/v1'
import { planServices } from '../services/plan.ts'
import type { ServiceBackend, ServiceFrontend } from '../services/service-tables.ts'
import type { ExplainObjects } from './explain-world.ts'
import type { DescribedService } from './explanation.ts'

export interface ServiceQuestion {
  readonly target:
    | { readonly type: 'address'; readonly address: string }
    | { readonly type: 'service'; readonly namespace: string; readonly name: string }
  readonly protocol: 'TCP' | 'UDP' | 'SCTP'
  /** Number or name. */
  readonly port: string
  /** Node of the sender. */
  readonly nodeName: string
}

export interface ServiceTargets {
  readonly described: DescribedService
  readonly backends: readonly ServiceBackend[]
}

/** Where a Service leads, seen from a node. Undefined: the address is no Service's. A text: why there is no answer. Pure. */
export function findServiceTargets(
  { services, slices, nodes }: ExplainObjects,
  { target, protocol, port, nodeName }: ServiceQuestion,
): ServiceTargets | string | undefined {
  const zone = nodes.find(({ metadata }) => metadata.name === nodeName)?.metadata.labels?.[
    'topology.kubernetes.io/zone'
  ]
  const { tables } = planServices({ services, slices, nodeName, zone, networksOf: () => [SYSTEM_VNI] })
  const isMeant = ({ ip, name }: ServiceFrontend): boolean =>
    target.type === 'address' ? ip === target.address : name.startsWith(`${target.namespace}/${target.name}:`)
  const frontends = tables.frontends.filter((frontend) => frontend.ip !== undefined && isMeant(frontend))
  if (frontends.length === 0) return target.type === 'address' ? undefined : whyNone({ services }, target)
  const found = frontends.find(
    (frontend) =>
      frontend.protocol === protocol && (String(frontend.port) === port || frontend.name.split(':').at(-1) === port),
  )
  if (found === undefined) {
    const ports = frontends.map((frontend) => `${frontend.protocol} ${frontend.port}`)
    return `Service ${serviceOf(frontends[0]!)} has no port ${protocol} ${port}; it has: ${[...new Set(ports)].join(', ')}`
  }
  return { described: { name: serviceOf(found), address: found.ip ?? '', port: found.port }, backends: found.backends }
}

function whyNone(
  { services }: Pick<ExplainObjects, 'services'>,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): string {
  const service = services.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
  if (service === undefined) return `There is no Service ${namespace}/${name}`
  const { type, clusterIP, externalName } = service.spec ?? {}
  if (type === 'ExternalName')
    return `Service ${namespace}/${name} is only another name for ${externalName}: ask about its address`
  if (clusterIP === 'None')
    return `Service ${namespace}/${name} is headless, so its name leads straight to its pods: ask about one of them`
  return `Service ${namespace}/${name} has no address of IPv4`
}

function serviceOf({ name }: ServiceFrontend): string {
  return name.slice(0, name.lastIndexOf(':'))
}
