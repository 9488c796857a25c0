/**
 * Use of devices as amounts by name, like those of other resources, so that whoever adds and compares amounts counts devices too. A device offers
 * MiB, percent, and places for users: a share takes one place, and a whole GPU all of them, by which it is nobody else's.
 */
import { GPU_COMPUTE_MAX, isWholeGpu, type GpuGrant } from './device-id.ts'
import type { GpuInventory } from './inventory.ts'
import { GPU } from './names.ts'

const MEMORY = 'gpu-memory/'
const COMPUTE = 'gpu-compute/'
const USERS = 'gpu-users/'
/** More than pods fit on a node. */
const USERS_MAX = 100_000

type Amounts = Readonly<Record<string, number>>

/** What grants of devices take. */
export function deviceAmounts(grants: readonly GpuGrant[]): Record<string, number> {
  const amounts: Record<string, number> = {}
  for (const grant of grants) {
    const { uuid, memoryMiB = 0, compute = 0 } = grant
    amounts[USERS + uuid] = isWholeGpu(grant) ? USERS_MAX : 1
    if (memoryMiB > 0) amounts[MEMORY + uuid] = memoryMiB
    if (compute > 0) amounts[COMPUTE + uuid] = compute
  }
  return amounts
}

/** What the healthy devices of a node offer. */
export function deviceCapacity({ devices }: GpuInventory): Record<string, number> {
  const amounts: Record<string, number> = {}
  for (const { uuid, memoryMiB, healthy } of devices) {
    if (!healthy) continue
    amounts[USERS + uuid] = USERS_MAX
    amounts[MEMORY + uuid] = memoryMiB
    amounts[COMPUTE + uuid] = GPU_COMPUTE_MAX
  }
  return amounts
}

/** Amounts taken apart. */
export interface SplitAmounts {
  /** What is not of devices. */
  readonly others: Record<string, number>
  /** Sums by device; one that some pod has whole is whole. */
  readonly grants: readonly GpuGrant[]
  /** Whole GPUs beyond these, of which it is not said which they are. */
  readonly unknown: number
}

/** Inverse of {@link deviceAmounts}, also of sums over pods. Costs a look at each name. */
export function splitDeviceAmounts(amounts: Amounts): SplitAmounts {
  const others: Record<string, number> = {}
  const grants: GpuGrant[] = []
  let whole = 0
  for (const [name, amount] of Object.entries(amounts)) {
    if (name.startsWith(USERS)) {
      const uuid = name.slice(USERS.length)
      const compute = amounts[COMPUTE + uuid]
      const isWhole = amount >= USERS_MAX
      if (isWhole) whole++
      const share = { memoryMiB: amounts[MEMORY + uuid] ?? 0, ...(compute === undefined ? {} : { compute }) }
      grants.push(isWhole ? { uuid } : { uuid, ...share })
    } else if (!name.startsWith(MEMORY) && !name.startsWith(COMPUTE)) others[name] = amount
  }
  return { others, grants, unknown: Math.max(0, (amounts[GPU] ?? 0) - whole) }
}

/** What an amount of a device is called in messages, as what there is not enough of; undefined: it is not of a device. */
export function describeDeviceAmount(name: string, capacity: Amounts): string | undefined {
  const prefix = [USERS, MEMORY, COMPUTE].find((each) => name.startsWith(each))
  if (prefix === undefined) return undefined
  const uuid = name.slice(prefix.length)
  if (capacity[USERS + uuid] === undefined) return `GPU ${uuid}, which the node does not have or which is not healthy`
  if (prefix === USERS) return `GPU ${uuid}, of which others have a part`
  return `${prefix === MEMORY ? 'memory' : 'compute'} of GPU ${uuid}`
}
