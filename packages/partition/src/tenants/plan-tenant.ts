import type { Partition, Tenant } from '@centaurus/api/centaurus/v1'
import { FENCED, findCondition, READY } from '../membership/partition-status.ts'

/** Keeps a Tenant until nothing of it is left. */
export const TENANT_FINALIZER = 'centaurus.io/tenant'
/** Who administers a tenant that names nobody. */
export const DEFAULT_ADMIN = 'admin'

/** What one partition has to do about one tenant. */
export type TenantStep =
  /** It is somebody else's to do, or done. */
  | { readonly type: 'nothing' }
  /** Home: let it live in `partition`. */
  | { readonly type: 'place'; readonly partition: string }
  /** Home: no partition can take it; `why` is for people. */
  | { readonly type: 'wait'; readonly why: string }
  /** Home: it never lived anywhere, so nothing is left of it. */
  | { readonly type: 'release' }
  /** Its partition: make what a tenant begins with, then let its users in. */
  | { readonly type: 'bootstrap' }
  /** Its partition: keep what operators decide about it as they decided. */
  | { readonly type: 'keep' }
  /** Its partition: delete all that it has, then let it go. */
  | { readonly type: 'terminate' }

export interface TenantPlace {
  /** Name of the partition that plans. */
  readonly self: string
  readonly partitions: readonly Readonly<Partition>[]
  readonly tenants: readonly Readonly<Tenant>[]
}

/** Decides what `self` does next about the tenant. Pure; done again after each step and each change. */
export function planTenant(tenant: Readonly<Tenant>, place: TenantPlace): TenantStep {
  const { self, partitions } = place
  const isDeleted = tenant.metadata.deletionTimestamp !== undefined
  const { partition, phase } = tenant.status ?? {}
  if (partition === undefined) {
    const isHome = partitions.some(({ metadata, spec }) => metadata.name === self && spec.home === true)
    if (!isHome) return { type: 'nothing' }
    return isDeleted ? { type: 'release' } : planPlacement(tenant, place)
  }
  if (partition !== self) return { type: 'nothing' }
  if (isDeleted) return { type: 'terminate' }
  if (phase === undefined || phase === 'Pending') return { type: 'bootstrap' }
  return phase === 'Active' ? { type: 'keep' } : { type: 'nothing' }
}

/** The partition that it asks for, else the one with the fewest tenants; the first by name among equals. */
function planPlacement({ spec }: Readonly<Tenant>, { partitions, tenants }: TenantPlace): TenantStep {
  const wanted = spec?.partition
  if (wanted !== undefined) {
    const found = partitions.find(({ metadata }) => metadata.name === wanted)
    if (found === undefined) return { type: 'wait', why: `partition "${wanted}" does not exist` }
    const why = refusePartition(found)
    return why === undefined
      ? { type: 'place', partition: wanted }
      : { type: 'wait', why: `partition "${wanted}" ${why}` }
  }
  const count = (name: string): number => tenants.filter(({ status }) => status?.partition === name).length
  const open = partitions
    .filter((partition) => refusePartition(partition) === undefined)
    .map(({ metadata: { name = '' } }) => ({ name, tenants: count(name) }))
    .toSorted((a, b) => a.tenants - b.tenants || (a.name < b.name ? -1 : 1))
  if (open[0] !== undefined) return { type: 'place', partition: open[0].name }
  return { type: 'wait', why: 'no partition takes tenants now: each is draining, does not answer or holds nodes alone' }
}

/** Why the partition takes no new tenant; undefined when it does. */
function refusePartition(partition: Readonly<Partition>): string | undefined {
  if (!partition.spec.roles.includes('Tenant')) return 'holds no tenants'
  if (partition.spec.draining === true) return 'is draining'
  if (findCondition(partition, FENCED)?.status === 'True') return 'is fenced'
  return findCondition(partition, READY)?.status === 'True' ? undefined : 'is not ready'
}
