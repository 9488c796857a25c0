import type { Device } from './device-inventory.ts'

/** More nodes than this have too many subsets to look at. Source: topology manager's default maxAllowableNUMANodes, v1.37. */
const NUMA_NODES_MAX = 8

/** What one container asks for of one resource. */
export interface NumaDemand {
  readonly required: number
  /** That nobody has. */
  readonly available: readonly Device[]
  /** Of init containers before it, which it gets in any case. */
  readonly reusable: readonly Device[]
}

/**
 * The fewest NUMA nodes that all devices of a container can be near to; of several such sets the one with the fewest devices, so that whole nodes stay for those that
 * need them. Undefined: no set will do, or no device says where it is. Pure. Source: the hints of kubelet's device manager, merged by policy best-effort, v1.37.
 */
export function chooseNumaNodes(demands: readonly NumaDemand[]): ReadonlySet<number> | undefined {
  const placed = demands.filter(({ available, reusable }) => [...available, ...reusable].some(isPlaced))
  const devices = placed.flatMap(({ available, reusable }) => [...available, ...reusable])
  const nodes = [...new Set(devices.flatMap(({ numaNodes }) => numaNodes))].toSorted((a, b) => a - b)
  if (nodes.length === 0 || nodes.length > NUMA_NODES_MAX) return undefined
  let best: { readonly set: ReadonlySet<number>; readonly devices: number } | undefined
  for (const set of subsets(nodes)) {
    if (best !== undefined && set.size > best.set.size) continue
    if (!placed.every((demand) => isEnough(demand, set))) continue
    const count = devices.filter((device) => isNear(device, set)).length
    if (best === undefined || set.size < best.set.size || count < best.devices) best = { set, devices: count }
  }
  return best?.set
}

function isEnough({ required, available, reusable }: NumaDemand, nodes: ReadonlySet<number>): boolean {
  if (reusable.some((device) => isPlaced(device) && !isNear(device, nodes))) return false
  return available.filter((device) => isNear(device, nodes)).length + reusable.length >= required
}

function isPlaced({ numaNodes }: Device): boolean {
  return numaNodes.length > 0
}

function isNear({ numaNodes }: Device, nodes: ReadonlySet<number>): boolean {
  return numaNodes.some((node) => nodes.has(node))
}

/** All but the empty one. */
function* subsets(nodes: readonly number[]): Generator<ReadonlySet<number>> {
  for (let mask = 1; mask < 1 << nodes.length; mask += 1) yield new Set(nodes.filter((_, i) => (mask & (1 << i)) !== 0))
}
