/** What the gateway knows of the cluster's partitions and tenants at one moment. Immutable. */
export interface ClusterMap {
  /** Name of the partition that holds the registry; undefined while nothing is known. */
  readonly home: string | undefined
  /** Names of the partitions with that role, sorted. */
  readonly tenantPartitions: readonly string[]
  readonly resourcePartitions: readonly string[]
  /** Names of all, sorted. */
  readonly partitions: readonly string[]
  /** Partition that serves the tenant; undefined for one that is not known, or not placed yet. */
  partitionOf(tenant: string): string | undefined
}

/**
 * Partition that answers for a tenant of which nothing is known: always the same one for a name, spread over all of them, so that
 * neither the answer nor an outage tells whether there is such a tenant. Undefined when there is no partition.
 */
export function standIn(map: ClusterMap, tenant: string): string | undefined {
  const names = map.tenantPartitions
  return names.length === 0 ? map.home : names[hash(tenant) % names.length]
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  return value >>> 0
}
