/** The region that the interposer of a container writes, as cuda/include/centaurus_gpu.h lays it out. The container may write anything into it: nothing is believed that can't be. Pure. */

/** CENTGPU1. */
const MAGIC = 0x3155_5047_544e_4543n
const LAYOUT_VERSION = 1
const DEVICES_MAX = 16
const PROCESSES_MAX = 256
const DEVICES_AT = 256
const DEVICE_BYTES = 192
const PROCESSES_AT = 4_096
const PROCESS_BYTES = 1_088
const PROCESS_DEVICES_AT = 64
const PROCESS_DEVICE_BYTES = 64
/** All before the processes. */
export const USAGE_HEAD_BYTES = PROCESSES_AT

/** What a container's programs use. Counters begin with the container, and only grow but when it wrote nonsense. */
export interface Usage {
  readonly devices: readonly DeviceUsage[]
  readonly processes: readonly ProcessUsage[]
}

export interface DeviceUsage {
  readonly uuid: string
  /** Of the device's time. */
  readonly chargedNs: number
  /** Summed over threads that were held back. */
  readonly waitedNs: number
  /** Allocations that the limit refused. */
  readonly refused: number
  /** Nanoseconds of the device that may be used now; negative: owed. */
  readonly tokensNs: number
}

export interface ProcessUsage {
  /** In the container. */
  readonly pid: number
  /** 0: unknown. */
  readonly hostPid: number
  /** Of /proc/PID/stat. */
  readonly startTicks: bigint
  /** By {@link Usage.devices}. */
  readonly devices: readonly { readonly memoryBytes: number; readonly launches: number }[]
}

/** How many bytes of a region matter, by its first {@link USAGE_HEAD_BYTES}; undefined: no interposer of this version wrote it. */
export function usageBytes(head: Buffer): number | undefined {
  if (head.length < USAGE_HEAD_BYTES || head.readBigUInt64LE(0) !== MAGIC || head.readUInt32LE(8) !== LAYOUT_VERSION)
    return undefined
  return PROCESSES_AT + Math.min(PROCESSES_MAX, head.readUInt32LE(12)) * PROCESS_BYTES
}

/** Undefined: no interposer of this version wrote it. Processes that are cut off are left out. */
export function parseUsage(region: Buffer): Usage | undefined {
  const end = usageBytes(region)
  if (end === undefined) return undefined
  const slots = Array.from({ length: DEVICES_MAX }, (_, slot) => slot).filter((slot) => hasDevice(region, slot))
  const processes: ProcessUsage[] = []
  for (let at = PROCESSES_AT; at + PROCESS_BYTES <= Math.min(end, region.length); at += PROCESS_BYTES)
    if (region.readUInt32LE(at) !== 0) processes.push(parseProcess(region, at, slots))
  return { devices: slots.map((slot) => parseDevice(region, DEVICES_AT + slot * DEVICE_BYTES)), processes }
}

function hasDevice(region: Buffer, slot: number): boolean {
  const at = DEVICES_AT + slot * DEVICE_BYTES
  return region.subarray(at, at + 16).some((byte) => byte !== 0)
}

function parseDevice(region: Buffer, at: number): DeviceUsage {
  const hex = region.toString('hex', at, at + 16)
  return {
    uuid: `GPU-${hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')}`,
    tokensNs: Number(region.readBigInt64LE(at + 40)),
    chargedNs: counter(region, at + 56),
    waitedNs: counter(region, at + 64),
    refused: counter(region, at + 72),
  }
}

function parseProcess(region: Buffer, at: number, slots: readonly number[]): ProcessUsage {
  return {
    pid: region.readUInt32LE(at),
    hostPid: region.readUInt32LE(at + 4),
    startTicks: region.readBigUInt64LE(at + 8),
    devices: slots.map((slot) => {
      const device = at + PROCESS_DEVICES_AT + slot * PROCESS_DEVICE_BYTES
      const [allocated, pooled, implicit] = [0, 8, 16].map((offset) => counter(region, device + offset))
      return { memoryBytes: allocated! + pooled! + implicit!, launches: counter(region, device + 24) }
    }),
  }
}

/** A process may take back more than it put in for a moment: what would be negative is nothing. */
function counter(region: Buffer, at: number): number {
  return Math.max(0, Number(region.readBigInt64LE(at)))
}
