import type { PartitionRole } from '@centaurus/api/centaurus/v1'

/** What one control plane needs to know of its place in the cluster. */
export interface PartitionSetup {
  readonly name: string
  readonly roles: readonly PartitionRole[]
  /** Addresses of the home partition's API servers, as far as they were known at the set-up; undefined: this is home. */
  readonly homeEndpoints: readonly string[] | undefined
  /** Addresses of Services; undefined: the default range. Disjoint from those of all other partitions. */
  readonly serviceRange: string | undefined
  /**
   * Set when several API servers share the partition's store: they elect, under this name each, which one runs controllers and
   * scheduler. Undefined: the store is this process's alone, so there is nobody to agree with. It must be unique among the servers
   * and the same after a restart, so that a server which comes back goes on at once.
   */
  readonly serverName: string | undefined
}

/** The home partition's name unless the set-up says otherwise. */
export const HOME_PARTITION = 'home'

/** A cluster of one partition. */
export const SINGLE_PARTITION: PartitionSetup = {
  name: HOME_PARTITION,
  roles: ['Tenant', 'Resource'],
  homeEndpoints: undefined,
  serviceRange: undefined,
  serverName: undefined,
}
