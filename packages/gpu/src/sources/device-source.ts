/** Where a host's GPUs come from: a driver or a simulation. Whatever serves them knows only this. */
import type { GpuDevice } from '@centaurus/api/gpu'

/** One GPU of this host. Its uuid is the same after every restart. */
export interface HostGpu extends Omit<GpuDevice, 'healthy'> {
  /** Why it may not be given to containers; undefined: it is healthy. */
  readonly problem: string | undefined
  /** Device files that are needed to use it, besides {@link HostGpus.commonFiles}. */
  readonly files: readonly string[]
}

/** All GPUs of this host at one moment. */
export interface HostGpus {
  /** By index. */
  readonly devices: readonly HostGpu[]
  /** As in `GpuInventory`. */
  readonly links: readonly (readonly number[])[] | undefined
  /** Of the driver; of a simulation, words that say so. */
  readonly driverVersion: string
  /** Device files that every container with a GPU needs. */
  readonly commonFiles: readonly string[]
}

/** What uses a GPU now. */
export interface GpuUse {
  readonly uuid: string
  /** Part of the last moments in which a kernel ran, in percent; undefined: not told. */
  readonly gpuPercent: number | undefined
  /** The same of reads and writes of its memory. */
  readonly memoryPercent: number | undefined
  readonly memoryUsedMiB: number | undefined
  /** By the host's pids. */
  readonly processes: readonly GpuProcess[]
}

export interface GpuProcess {
  readonly pid: number
  /** Undefined: the driver does not say. */
  readonly memoryBytes: number | undefined
}

/** What a driver or a simulation must answer; `openDeviceSource` makes the rest. No two calls are under way at a time. */
export interface DeviceProbe {
  readonly kind: 'nvidia' | 'simulated'
  /** What there is now. Rejects with {@link GpuError} when that can't be told. */
  look(): Promise<HostGpus>
  /** Empty where nobody can tell. Rejects with {@link GpuError} when the driver fails. */
  readUse(): Promise<readonly GpuUse[]>
  close(): Promise<void>
}

/** A failure that its message explains, with what to do. */
export class GpuError extends Error {
  override readonly name = 'GpuError'
}
