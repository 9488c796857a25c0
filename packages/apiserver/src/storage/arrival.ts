import { isRecord } from '@centaurus/api'
import type { Change, Store } from '@centaurus/store'

/** Beside `/registry/`, so that no API shows it. */
const ARRIVAL_PREFIX = '/centaurus/arrivals/'

/** Up to where a tenant's objects had changed in a partition when it left, in that partition's revisions. */
export interface TenantPosition {
  /** A revision of that partition after which nothing of the tenant changed there. */
  readonly revision: number
  /** Newest change of each resource, by `group/resource` as in the store's keys; at most, since older changes may be forgotten. */
  readonly changed: Readonly<Record<string, number>>
  /** The same of every other resource. */
  readonly floor: number
}

/**
 * What remembers where the tenant's objects came from, for clients that have seen everything up to a revision of that partition. Must be there before
 * the tenant is served here.
 */
export function arrivalChange(tenant: string, position: TenantPosition): Change {
  return { type: 'put', key: ARRIVAL_PREFIX + tenant, value: Buffer.from(JSON.stringify(position)) }
}

/** What forgets it. */
export function departureChange(tenant: string): Change {
  return { type: 'delete', key: ARRIVAL_PREFIX + tenant }
}

/** Undefined when the tenant has never come from elsewhere. */
export async function readArrival(store: Store, tenant: string): Promise<TenantPosition | undefined> {
  const { entry } = await store.get(ARRIVAL_PREFIX + tenant)
  return entry === undefined ? undefined : parsePosition(JSON.parse(Buffer.from(entry.value).toString('utf8')))
}

/** Checks what another partition sent; throws SyntaxError. */
export function parsePosition(value: unknown): TenantPosition {
  const { revision, changed, floor } = isRecord(value) ? value : {}
  const isPosition = isRevision(revision) && isRevision(floor) && isRecord(changed)
  if (!isPosition || !Object.values(changed).every(isRevision)) throw new SyntaxError('Not the position of a tenant')
  return { revision, changed: changed as Record<string, number>, floor }
}

function isRevision(value: unknown): value is number {
  return Number.isSafeInteger(value)
}
