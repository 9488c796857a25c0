import type { ResourcePoolStatusRequest } from '../../generated/types/resource/v1alpha3.ts'
import { formatAge } from '../shared/duration.ts'

/** A row of the table. Source: printResourcePoolStatusRequest, pkg/printers/internalversion v1.37. */
export function formatPoolStatus(
  { metadata, spec, status }: Readonly<ResourcePoolStatusRequest>,
  nowMs: number,
): unknown[] {
  const pools = status?.pools ?? []
  const poolCount = status?.poolCount ?? 0
  const reached = (status?.conditions ?? []).find(
    ({ type, status: state }) => state === 'True' && (type === 'Complete' || type === 'Failed'),
  )
  const isKnown = status !== undefined && reached?.type !== 'Failed'
  const sum = (field: 'totalDevices' | 'availableDevices' | 'allocatedDevices' | 'unavailableDevices'): string =>
    isKnown ? String(pools.reduce((total, pool) => total + (pool[field] ?? 0), 0)) : '-'
  const errors = pools.filter((pool) => pool.validationError !== undefined).length
  const isCut = reached?.type === 'Complete' && poolCount > pools.length
  return [
    metadata.name,
    spec.driver,
    sum('totalDevices'),
    sum('availableDevices'),
    sum('allocatedDevices'),
    sum('unavailableDevices'),
    isKnown ? String(errors) : '-',
    poolCount,
    isCut ? `Complete (${pools.length}/${poolCount} pools)` : (reached?.type ?? 'Pending'),
    reached?.type === 'Complete' ? formatAge(reached.lastTransitionTime, nowMs) : '<none>',
  ]
}
