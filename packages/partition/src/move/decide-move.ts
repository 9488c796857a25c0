import { formatTime, isStatus, type Stored } from '@centaurus/api'
import { tenants, type Tenant, type TenantStatus } from '@centaurus/api/centaurus/v1'
import { encodeStored, resourcePrefix, SYSTEM_TENANT } from '@centaurus/apiserver'
import type { Clock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Change, Store } from '@centaurus/store'
import { withCondition } from '../membership/partition-status.ts'

/** Condition of a Tenant that tells how its move goes. */
export const MOVED = 'Moved'
/** How often a write is tried again because something else of the Tenant changed. */
const ATTEMPTS_MAX = 10

/** `Copying` and `CalledOff` are False; `TookOver` and `CleanedUp` are True. */
export type MoveReason = 'Copying' | 'CalledOff' | 'TookOver' | 'CleanedUp'

export interface RegistryDeps {
  /** Client of the home partition's `system` tenant, where Tenants are written. */
  readonly registryClient: Client
  readonly clock: Clock
}

/**
 * Writes where the tenant lives from `epoch` on, unless somebody decided otherwise meanwhile: then it throws. Resolves to the Tenant as home has it,
 * or to undefined when an earlier try had come through.
 */
export async function decideMove(
  name: string,
  { from, epoch, to }: { readonly from: string; readonly epoch: number; readonly to: string },
  deps: RegistryDeps,
): Promise<Stored<Tenant> | undefined> {
  return changeStatus(name, deps, ({ spec, status }) => {
    if (status?.partition === to && status.epoch === epoch) return undefined // an earlier try came through
    if (status?.partition !== from || (status.epoch ?? 0) !== epoch - 1)
      throw new Error(`Tenant "${name}" is at epoch ${status?.epoch} of partition ${status?.partition} now`)
    if (to !== from && spec?.partition !== to) throw new Error(`Tenant "${name}" is not to move any more`)
    if (to === from) return { ...status, epoch }
    const told = { reason: 'TookOver', message: `Took over from partition "${from}"` } as const
    return { ...status, partition: to, epoch, conditions: tell(status.conditions, told, deps) }
  })
}

/** Tells people how the move goes, as long as the tenant is at `epoch`. Without a message the last one stays. */
export async function tellMove(
  name: string,
  { epoch, reason, message }: { readonly epoch: number; readonly reason: MoveReason; readonly message?: string },
  deps: RegistryDeps,
): Promise<void> {
  await changeStatus(name, deps, ({ status }) => {
    if (status?.epoch !== epoch) return undefined
    const known = status.conditions?.find((condition) => condition.type === MOVED)
    // the old partition may be quicker with its end than the new one with its beginning
    const isLate = reason === 'TookOver' && known?.reason === 'CleanedUp'
    return { ...status, conditions: tell(status.conditions, { reason: isLate ? 'CleanedUp' : reason, message }, deps) }
  })
}

function tell(
  conditions: TenantStatus['conditions'],
  { reason, message }: { readonly reason: MoveReason; readonly message: string | undefined },
  { clock }: RegistryDeps,
): NonNullable<TenantStatus['conditions']> {
  const known = conditions?.find((condition) => condition.type === MOVED)
  return withCondition(conditions, {
    type: MOVED,
    status: reason === 'TookOver' || reason === 'CleanedUp' ? 'True' : 'False',
    reason,
    message: message ?? known?.message ?? '',
    lastTransitionTime: formatTime(clock.now()),
  })
}

async function changeStatus(
  name: string,
  { registryClient }: RegistryDeps,
  change: (tenant: Stored<Tenant>) => TenantStatus | undefined,
): Promise<Stored<Tenant> | undefined> {
  for (let attempt = 1; ; attempt++) {
    const current = await registryClient.get(tenants, { name })
    const status = change(current)
    if (status === undefined) return undefined
    try {
      return await registryClient.updateStatus(tenants, { ...current, status })
    } catch (error) {
      if (!isStatus(error, 'Conflict') || attempt === ATTEMPTS_MAX) throw error
    }
  }
}

/**
 * Writes what home has decided into this partition's copy of the registry, so that it need not wait for home to tell, which may be gone by now. Does
 * nothing when the copy changes meanwhile: then home tells.
 */
export async function copyDecision(store: Store, decided: Stored<Tenant>): Promise<void> {
  const key = `${resourcePrefix(SYSTEM_TENANT, { keyGroup: tenants.group, resource: tenants.resource })}${decided.metadata.name}`
  const { entry } = await store.get(key)
  if (entry === undefined) return
  const known = JSON.parse(Buffer.from(entry.value).toString('utf8')) as Tenant
  if ((known.status?.epoch ?? 0) >= (decided.status?.epoch ?? 0)) return
  const change: Change = { type: 'put', key, value: encodeStored(decided) }
  await store.commit({ compare: [{ key, modRevision: entry.modRevision }], changes: [change] })
}
