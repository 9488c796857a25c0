import { isStatus, RESOURCE_PARTITION_ANNOTATION } from '@centaurus/api'
import { nodes, type Pod } from '@centaurus/api/core/v1'
import type { Client } from '@centaurus/client'

/** A pod whose node's partition can't be asked is looked at again after this long. */
export const AUTHORITY_RECHECK_MS = 5_000

/**
 * How far to believe what caches say of nodes, which may belong to partitions that can't be reached. What is not known to be true
 * now is no reason to evict, collect or replace anything.
 */
export interface NodeAuthority {
  /**
   * Whether what the caches have, and lack, of the nodes of this resource partition is how they are now. Undefined asks for all
   * partitions at once, as for a pod that names none.
   */
  isAuthoritative(resourcePartition: string | undefined): boolean
  /** Asks the node's partition whether there is no such node (any more). Rejects when it can't be asked. */
  isNodeGone(name: string, resourcePartition: string | undefined): Promise<boolean>
  /** The resource partition that has the node; undefined when it is not known, or there is but one. */
  partitionOf?(nodeName: string): string | undefined
}

/** The partition of the pod's node, or undefined. */
export function resourcePartitionOf(pod: Readonly<Pod>): string | undefined {
  return pod.metadata.annotations?.[RESOURCE_PARTITION_ANNOTATION]
}

/** For a cluster of one partition: the server knows all nodes, and its own word counts; a cache may be behind. */
export function createLocalNodeAuthority(client: Client): NodeAuthority {
  return {
    isAuthoritative: () => true,
    async isNodeGone(name) {
      try {
        await client.get(nodes, { name })
        return false
      } catch (error) {
        if (isStatus(error, 'NotFound')) return true
        throw error
      }
    },
  }
}
