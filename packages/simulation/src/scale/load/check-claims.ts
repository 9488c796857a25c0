import type { NodeAllocation } from '@centaurus/api/centaurus/v1'
import { parseQuantity } from '@centaurus/api'
import { pause } from '../hollow/hollow-call.ts'
import type { TenantApi } from './tenant-api.ts'

const PAGE_ITEMS = 500
/** Room comes back a little after a pod has gone. */
const SETTLE_MS_MAX = 30_000
const RETRY_MS = 2_000

/** What resource partitions have given away, against what is bound. */
export interface ClaimsCheck {
  /** Claims in all resource partitions. */
  readonly claims: number
  /** Bound pods that hold no room on their node. */
  readonly unclaimedPods: number
  /** Room that is kept for pods which are not bound there. */
  readonly staleClaims: number
  /** Nodes on which more is claimed than there is. */
  readonly overclaimedNodes: number
}

/** Compares until both agree, or for as long as claims may take to settle. `bound` has the node of each bound pod by uid. */
export async function checkClaims(
  resources: readonly TenantApi[],
  bound: ReadonlyMap<string, string>,
): Promise<ClaimsCheck> {
  const deadline = performance.now() + SETTLE_MS_MAX
  for (;;) {
    const found = await compareClaims(resources, bound)
    const isClean = found.unclaimedPods + found.staleClaims + found.overclaimedNodes === 0
    if (isClean || performance.now() > deadline) return found
    await pause(RETRY_MS)
  }
}

async function compareClaims(
  resources: readonly TenantApi[],
  bound: ReadonlyMap<string, string>,
): Promise<ClaimsCheck> {
  let claims = 0
  let right = 0
  let overclaimedNodes = 0
  for (const api of resources) {
    const path = '/apis/centaurus.io/v1/nodeallocations'
    for await (const allocation of api.list<NodeAllocation>('nodeallocations', path, PAGE_ITEMS)) {
      const { metadata, status } = allocation
      claims += status.claims.length
      right += status.claims.filter(({ uid }) => bound.get(uid) === metadata.name).length
      if (isOverclaimed(status)) overclaimedNodes++
    }
  }
  return { claims, unclaimedPods: bound.size - right, staleClaims: claims - right, overclaimedNodes }
}

function isOverclaimed({ allocatable, claimed }: NodeAllocation['status']): boolean {
  return Object.entries(claimed).some(
    ([resource, amount]) => parseQuantity(amount).nanos > parseQuantity(allocatable[resource] ?? '0').nanos,
  )
}
