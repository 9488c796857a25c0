import { isStatus } from '@centaurus/api'
import { partitions } from '@centaurus/api/centaurus/v1'
import type { Client } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'
import { partitionClientConfig, type LinkIdentity, type Membership } from '@centaurus/partition'
import type { PartitionSetup } from './partition-setup.ts'

/** The first start of a cluster makes the home partition's own entry in the registry; a later one finds it. */
export async function ensureHomePartition(client: Client, setup: PartitionSetup, endpoint: string): Promise<void> {
  const partition = {
    metadata: { name: setup.name },
    spec: {
      roles: [...setup.roles],
      endpoints: [endpoint],
      home: true,
      ...(setup.serviceRange === undefined ? {} : { serviceCIDR: setup.serviceRange }),
    },
  }
  try {
    await client.create(partitions, partition)
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) throw error
  }
}

/** A client of the home partition, at the addresses that it has now or had at the set-up. Undefined in home itself. */
export function connectHome(
  { homeEndpoints }: PartitionSetup,
  membership: Membership,
  identity: LinkIdentity,
): Client | undefined {
  if (homeEndpoints === undefined) return undefined
  const home = membership.list().find((partition) => partition.spec.home === true)
  const endpoints = [...new Set([...(home?.spec.endpoints ?? []), ...homeEndpoints])]
  return createHttpClient(partitionClientConfig(endpoints, identity))
}
