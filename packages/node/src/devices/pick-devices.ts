import type { Device } from './device-inventory.ts'

export interface PickInput {
  /** How many the container asks for. */
  readonly required: number
  readonly healthy: ReadonlyMap<string, Device>
  /** Ids that somebody has, those of `reusable` among them. */
  readonly inUse: ReadonlySet<string>
  /** Ids that init containers of the pod had, which are over when this one runs. */
  readonly reusable: readonly string[]
  /** NUMA nodes that devices should be near to; undefined: any. */
  readonly affinity?: ReadonlySet<number> | undefined
}

export type PickPlan =
  | { readonly type: 'short'; readonly requested: number; readonly available: number }
  | {
      readonly type: 'enough'
      /** Ids that the container gets in any case. */
      readonly taken: readonly string[]
      /** How many are missing. */
      readonly missing: number
      /** Ids that the plugin may choose from, best first where it does not care; more than are missing. */
      readonly rest: readonly string[]
    }

/**
 * Which devices a container gets: those of init containers first, then those near to `affinity`; where there are more than it needs, the plugin may say which, see
 * {@link finishPick}. Pure. Source: kubelet devicesToAllocate, v1.37, with ids in their order where upstream leaves it to chance.
 */
export function planPick({ required, healthy, inUse, reusable, affinity }: PickInput): PickPlan {
  const reused = reusable.toSorted(byId).slice(0, required)
  const needed = required - reused.length
  const available = [...healthy.values()].filter(({ id }) => !inUse.has(id))
  if (available.length < needed) return { type: 'short', requested: needed, available: available.length }
  const isNear = ({ numaNodes }: Device): boolean => numaNodes.some((node) => affinity?.has(node))
  const near = idsOf(available.filter(isNear))
  if (needed < near.length) return { type: 'enough', taken: reused, missing: needed, rest: near }
  const far = available.filter((device) => !isNear(device))
  const rest = [...idsOf(far.filter(hasTopology)), ...idsOf(far.filter((device) => !hasTopology(device)))]
  return { type: 'enough', taken: [...reused, ...near], missing: needed - near.length, rest }
}

/** The ids of a container, with what the plugin prefers of `rest`; of what it may not choose nothing is taken. Pure. */
export function finishPick(
  { taken, missing, rest }: Extract<PickPlan, { type: 'enough' }>,
  preferred: readonly string[] = [],
): readonly string[] {
  const choice = new Set(preferred.filter((id) => rest.includes(id)))
  const others = rest.filter((id) => !choice.has(id))
  return [...taken, ...[...choice, ...others].slice(0, missing)]
}

export function byId(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function hasTopology({ numaNodes }: Device): boolean {
  return numaNodes.length > 0
}

function idsOf(devices: readonly Device[]): string[] {
  return devices.map(({ id }) => id).toSorted(byId)
}
