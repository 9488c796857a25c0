import type { Stored } from '@centaurus/api'
import { partitions, tenants, type Partition, type Tenant } from '@centaurus/api/centaurus/v1'
import { SYSTEM_TENANT, type ObjectReader } from '@centaurus/apiserver'

/**
 * Who is in the cluster, as this partition's own store knows it: what the home partition says, or said last. Answers at once and
 * never waits for another partition.
 */
export interface Membership {
  /** Name of this partition. */
  readonly self: string
  get(name: string): Stored<Partition> | undefined
  /** In the order of their names. */
  list(): readonly Stored<Partition>[]
  tenant(name: string): Stored<Tenant> | undefined
  /** Those of all partitions, in the order of their names. */
  tenants(): readonly Stored<Tenant>[]
  /** Whether this partition serves the tenant: `system`, which each has of its own, and those whose `status.partition` it is. */
  hosts(tenant: string): boolean
  /** Calls `listener` after each change of a partition or tenant, before any watcher hears of it. Returns what removes it. */
  onChange(listener: () => void): () => void
}

/** Membership of partition `self` over its own watch cache. */
export function createMembership(reader: ObjectReader, self: string): Membership {
  return {
    self,
    get: (name) => reader.get(partitions, { name }),
    list: () => reader.list(partitions),
    tenant: (name) => reader.get(tenants, { name }),
    tenants: () => reader.list(tenants),
    hosts: (tenant) => tenant === SYSTEM_TENANT || reader.get(tenants, { name: tenant })?.status?.partition === self,
    onChange(listener) {
      const removes = [reader.onChange(partitions, listener), reader.onChange(tenants, listener)]
      return () => {
        for (const remove of removes) remove()
      }
    },
  }
}
