import { isSameSpan, type Store } from '@centaurus/store'
import type { Target } from '../resource/target.ts'
import { readArrival, type TenantPosition } from '../storage/arrival.ts'
import { splitPrefix } from '../storage/keys.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'

export interface ArrivedDeps {
  readonly store: Store
  readonly cache: WatchCache
}

/**
 * The revision from which a watch goes on whose client has seen everything up to `revision`: that of the tenant's arrival when `revision` is of the
 * partition from which it came and nothing of the resource changed there afterwards; else `revision` itself, which may be nobody's.
 */
export async function resumeAt(deps: ArrivedDeps, { tenant, prefix }: Target, revision: number): Promise<number> {
  const arrival = await findArrival(deps, tenant, revision)
  if (arrival === undefined) return revision
  const { changed, floor } = arrival.position
  return revision >= (changed[splitPrefix(prefix).resource] ?? floor) ? arrival.at : revision
}

/** Resolves when the cache shows what happened up to `revision`, here or where the tenant came from. Throws as `WatchCache.waitRevision`. */
export async function waitSeen(deps: ArrivedDeps, { tenant }: Target, revision: number): Promise<void> {
  const arrival = await findArrival(deps, tenant, revision)
  await deps.cache.waitRevision(tenant, arrival?.at ?? revision) // it came with all of it
}

/** When the tenant came, if `revision` is of the partition from which it did. */
async function findArrival(
  { cache, store }: ArrivedDeps,
  tenant: string,
  revision: number,
): Promise<{ readonly at: number; readonly position: TenantPosition } | undefined> {
  const at = cache.arrivedAt(tenant)
  if (at === undefined || cache.isOwn(revision)) return undefined
  const position = await readArrival(store, tenant)
  const isStill = cache.arrivedAt(tenant) === at
  return position !== undefined && isStill && isSameSpan(revision, position.revision) ? { at, position } : undefined
}
