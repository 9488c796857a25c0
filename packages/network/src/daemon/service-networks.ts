import { DEFAULT_VPC, VPC_ANNOTATION, type Vpc } from '@centaurus/api/centaurus/v1'
import type { Service } from '@centaurus/api/core/v1'
import { ownNamespaceOf, ownNameOf } from './tenants.ts'

/** What pods of any network find in their environment and as their resolver. */
const EVERYWHERE: readonly string[] = ['default/kubernetes', 'kube-system/kube-dns']

/**
 * Numbers of the networks that reach a Service, its own first. A text: why there is none. A Service belongs to one network, as pods do, and chooses as they do;
 * the API and the resolver belong to all. Pure. `vpcs`: those of its tenant.
 */
export function findNetworks(service: Readonly<Service>, vpcs: readonly Readonly<Vpc>[]): readonly number[] | string {
  const name = service.metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC
  const own = vpcs.find((vpc) => ownNameOf(vpc) === name)
  const others = isEverywhere(service) ? vpcs.filter((vpc) => vpc !== own) : []
  const numbers = [...(own === undefined ? [] : [own]), ...others.toSorted(byNumber)].flatMap(
    ({ status }) => status?.vni ?? [],
  )
  if (numbers.length > 0) return numbers
  return own === undefined ? `There is no Vpc "${name}" in its tenant` : `Vpc "${name}" of its tenant has no number yet`
}

/** Pods that operators put behind the name are in one network; only hosts' addresses mean the same in each. */
function isEverywhere({ metadata, spec }: Readonly<Service>): boolean {
  return spec?.selector === undefined && EVERYWHERE.includes(`${ownNamespaceOf({ metadata })}/${metadata.name}`)
}

function byNumber(a: Readonly<Vpc>, b: Readonly<Vpc>): number {
  return (a.status?.vni ?? 0) - (b.status?.vni ?? 0)
}
