import { GATEWAYS_GROUP, PARTITIONS_GROUP } from '@centaurus/api'

export const MASTERS_GROUP = 'system:masters'
export const NODES_GROUP = 'system:nodes'

const OPERATORS_GROUPS = new Set([NODES_GROUP, PARTITIONS_GROUP, GATEWAYS_GROUP])

/**
 * Groups of the cluster's own parts, which nobody of a tenant is ever in. `system:masters` is not among them: in a tenant it means
 * who may do everything there.
 */
export function isOperatorsGroup(group: string): boolean {
  return OPERATORS_GROUPS.has(group)
}
