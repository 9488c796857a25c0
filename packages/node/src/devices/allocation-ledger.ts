import { GPU, parseGpuDeviceId } from '@centaurus/api/gpu'

import type { ContainerResponse } from './protocol/messages.ts'

export interface AllocatedDevice {
  /** As the plugin was asked for it: a share of a GPU has an id of its own. */
  readonly id: string
  readonly numaNodes: readonly number[]
}

/** What one container has of one resource. */
export interface Allocation {
  readonly podUid: string
  readonly container: string
  readonly resource: string
  readonly devices: readonly AllocatedDevice[]
  /** What the plugin answered; used again for each start of the container. */
  readonly response: ContainerResponse
}

/** Who has which devices. No I/O. */
export class AllocationLedger {
  readonly #pods = new Map<string, readonly Allocation[]>()

  constructor(allocations: readonly Allocation[] = []) {
    for (const allocation of allocations) this.add(allocation)
  }

  /** Instead of what the container had of that resource. */
  add(allocation: Allocation): void {
    const others = this.ofPod(allocation.podUid).filter(
      ({ container, resource }) => container !== allocation.container || resource !== allocation.resource,
    )
    this.#pods.set(allocation.podUid, [...others, allocation])
  }

  /** In the order in which they were made. */
  all(): readonly Allocation[] {
    return [...this.#pods.values()].flat()
  }

  ofPod(podUid: string): readonly Allocation[] {
    return this.#pods.get(podUid) ?? []
  }

  ofContainer(podUid: string, container: string): readonly Allocation[] {
    return this.ofPod(podUid).filter((allocation) => allocation.container === container)
  }

  /** Sets all that a pod has; none: it has nothing more. */
  replacePod(podUid: string, allocations: readonly Allocation[]): void {
    if (allocations.length === 0) this.#pods.delete(podUid)
    else this.#pods.set(podUid, allocations)
  }

  podUids(): readonly string[] {
    return [...this.#pods.keys()]
  }

  /** Ids, as plugins list them, of devices that somebody has, or has a share of. */
  inUse(resource: string): ReadonlySet<string> {
    return new Set(this.#devicesOf(resource).map(({ id }) => listedId(resource, id)))
  }

  /** Who has any of these devices. `ids` are as plugins list them. */
  holders(resource: string, ids: readonly string[]): readonly string[] {
    const wanted = new Set(ids)
    const has = (allocation: Allocation): boolean =>
      allocation.resource === resource && allocation.devices.some(({ id }) => wanted.has(listedId(resource, id)))
    return [...this.#pods].filter(([, allocations]) => allocations.some(has)).map(([uid]) => uid)
  }

  #devicesOf(resource: string): AllocatedDevice[] {
    return this.all().flatMap((allocation) => (allocation.resource === resource ? allocation.devices : []))
  }
}

/** The id by which its plugin lists a device, of which `id` may be a share. */
export function listedId(resource: string, id: string): string {
  if (resource !== GPU) return id
  try {
    return parseGpuDeviceId(id).uuid
  } catch {
    return id // of a plugin that is not ours, such as a replica of NVIDIA's
  }
}
