import type { HostPressure } from '../host/node-host.ts'

/** How long a node stays under pressure after the last sign of it. Source: KubeletConfiguration evictionPressureTransitionPeriod, v1.37. */
export const PRESSURE_TRANSITION_MS = 300_000
const PIDS_AVAILABLE_MIN = 1_000

export type PressureType = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure'

export interface PressureLimits {
  readonly evictionMemoryBytesMin: number
  readonly evictionDiskPercentMin: number
}

/** What is short right now. Inodes run out at half the percentage of bytes, as upstream's nodefs.inodesFree<5%. */
export function observePressure(pressure: HostPressure, limits: PressureLimits): ReadonlySet<PressureType> {
  const disk = Math.min(pressure.diskAvailablePercent, pressure.inodesAvailablePercent * 2)
  const found: [PressureType, boolean][] = [
    ['MemoryPressure', pressure.memoryAvailableBytes < limits.evictionMemoryBytesMin],
    ['DiskPressure', disk < limits.evictionDiskPercentMin],
    ['PIDPressure', pressure.pidsAvailable < PIDS_AVAILABLE_MIN],
  ]
  return new Set(found.filter(([, isShort]) => isShort).map(([type]) => type))
}

/** When each kind of pressure was seen last, monotonic ms. */
export type PressureMemory = ReadonlyMap<PressureType, number>

/** Adds what is seen now, and drops what was seen too long ago: the keys that are left are the node's conditions. Pure. */
export function rememberPressure(
  memory: PressureMemory,
  observed: ReadonlySet<PressureType>,
  nowMs: number,
): PressureMemory {
  const kept = [...memory].filter(([, seenMs]) => nowMs - seenMs < PRESSURE_TRANSITION_MS)
  return new Map([...kept, ...[...observed].map((type) => [type, nowMs] as const)])
}
