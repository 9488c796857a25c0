import { isStatus, type Stored } from '@centaurus/api'
import { leases, type Lease } from '@centaurus/api/coordination/v1'
import type { Client } from '@centaurus/client'

/** How often a partition says at home that it is there. */
export const HEARTBEAT_INTERVAL_MS = 5_000
/** Longer silence makes it `Ready=Unknown`: four lost heartbeats. */
export const HEARTBEAT_GRACE_MS = 20_000
/** Leases of partitions, in the home partition's `system` tenant. */
export const HEARTBEAT_NAMESPACE = 'kube-system'
const PREFIX = 'partition-'
const REQUEST_TIMEOUT_MS = 5_000

/** Name of a partition's lease. */
export function heartbeatLease(partition: string): string {
  return PREFIX + partition
}

/** The partition whose heartbeat a lease is, or undefined. */
export function partitionOfLease(lease: Readonly<Lease>): string | undefined {
  const { namespace, name = '' } = lease.metadata
  return namespace === HEARTBEAT_NAMESPACE && name.startsWith(PREFIX) ? name.slice(PREFIX.length) : undefined
}

/** Renews the lease of partition `self` at home and returns the revision of home's store that this took. Throws when home can't be reached. */
export async function sendHeartbeat(home: Client, self: string, nowMs: number): Promise<number> {
  const options = { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }
  const name = { namespace: HEARTBEAT_NAMESPACE, name: heartbeatLease(self) }
  const spec = {
    holderIdentity: self,
    leaseDurationSeconds: HEARTBEAT_GRACE_MS / 1000,
    renewTime: new Date(nowMs).toISOString().replace('Z', '000Z'),
  }
  let renewed: Stored<Lease>
  try {
    renewed = await home.patch(leases, name, { type: 'merge', body: { spec } }, options)
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
    const lease = { apiVersion: 'coordination.k8s.io/v1' as const, kind: 'Lease' as const, metadata: name, spec }
    renewed = await home.create(leases, lease, options)
  }
  return Number(renewed.metadata.resourceVersion)
}
