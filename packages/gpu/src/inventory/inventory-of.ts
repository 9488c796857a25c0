import type { GpuInventory } from '@centaurus/api/gpu'
import type { HostGpus } from '../sources/device-source.ts'

/** What a node says of these GPUs. */
export function inventoryOf({ devices, links }: HostGpus): GpuInventory {
  const plain = devices.map(({ uuid, index, model, memoryMiB, multiprocessors, numa, problem }) => ({
    uuid,
    index,
    model,
    memoryMiB,
    ...(multiprocessors === undefined ? {} : { multiprocessors }),
    ...(numa === undefined ? {} : { numa }),
    healthy: problem === undefined,
  }))
  return links === undefined ? { devices: plain } : { devices: plain, links }
}
