import { parseIpv4, parseIpv4Block, type Ipv4Block } from '@centaurus/base'
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

/**
 * Tells endpoints that can't be of the Service's network: it has a CIDR of its own, and the address is in a block of pods that is not. Other addresses may be hosts',
 * or the world's. Pure. `podBlocks`: of pods that have their nodes' addresses.
 */
export function findStrangers(
  service: Readonly<Service>,
  { vpcs, podBlocks }: { readonly vpcs: readonly Readonly<Vpc>[]; readonly podBlocks: readonly string[] },
): (address: string) => string | undefined {
  const name = service.metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC
  const cidr = vpcs.find((vpc) => ownNameOf(vpc) === name)?.spec?.cidr
  const own = cidr === undefined ? undefined : parseIpv4Block(cidr)
  if (own === undefined) return () => undefined
  const blocks = podBlocks.map((text) => parseIpv4Block(text)).filter((block) => block !== undefined)
  return (address) => {
    const value = parseIpv4(address)
    if (value === undefined || isIn(own, value) || !blocks.some((block) => isIn(block, value))) return undefined
    return `${address} is of a pod of another network: Vpc "${name}" has ${cidr}`
  }
}

function isIn({ first, size }: Ipv4Block, value: number): boolean {
  return value >= first && value < first + size
}

/** Pods that operators put behind the name are in one network; only hosts' addresses mean the same in each. */
function isEverywhere({ metadata, spec }: Readonly<Service>): boolean {
  return spec?.selector === undefined && EVERYWHERE.includes(`${ownNamespaceOf({ metadata })}/${metadata.name}`)
}

function byNumber(a: Readonly<Vpc>, b: Readonly<Vpc>): number {
  return (a.status?.vni ?? 0) - (b.status?.vni ?? 0)
}
