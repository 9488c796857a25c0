import type { Pod } from '@centaurus/api/core/v1'
import {
  GPU_ALLOCATION_ANNOTATION,
  gpuUseOf,
  parseGpuAllocation,
  parseGpuInventory,
  type GpuAllocation,
  type GpuGrant,
} from '@centaurus/api/gpu'
import type { GpuDemand } from './gpu-demand.ts'
import { DeviceKinds, NodeGpus } from './node-gpus.ts'
import { TypicalPods } from './typical-pods.ts'

/** What a pod uses of the GPUs of its node. */
export interface GpuUse {
  /** One a device. */
  readonly grants: readonly GpuGrant[]
  /** Further GPUs of which nobody knows which they are. */
  readonly unknown: number
}

/** Devices that were chosen for a pod. */
export interface GpuPlan {
  readonly allocation: GpuAllocation
  readonly use: GpuUse
}

/** Of who uses none. */
export const NO_GPUS: GpuUse = { grants: [], unknown: 0 }

/** What a pod with such a demand uses once it was given these devices. */
export function useOf(demand: GpuDemand, allocation: GpuAllocation): GpuUse {
  const roles = new Map(demand.containers.map(({ container, role }) => [container, role]))
  return { grants: gpuUseOf(allocation, (container) => roles.get(container) ?? 'main'), unknown: 0 }
}

/** What a pod on a node uses, by what its binding said; all that it asks for, whichever they are, where that does not say it. */
export function gpuUseOfPod(
  { metadata }: Pick<Readonly<Pod>, 'metadata'>,
  { gpu }: { readonly gpu: GpuDemand | undefined },
): GpuUse | undefined {
  if (gpu === undefined) return undefined
  const text = metadata.annotations?.[GPU_ALLOCATION_ANNOTATION]
  try {
    if (text !== undefined) return useOf(gpu, parseGpuAllocation(text))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  return { grants: [], unknown: gpu.deviceCount }
}

/** GPUs of nodes by slot, and what uses them. */
export class GpuTable {
  /** Pods that come. */
  readonly typical = new TypicalPods()
  readonly #kinds = new DeviceKinds()
  readonly #nodes: (NodeGpus | undefined)[] = []
  /** What nodes say of themselves, so that it is read when it changes. */
  readonly #texts: (string | undefined)[] = []
  readonly #unreadable = new Set<number>()
  readonly #placed = new Map<string, { readonly slot: number; readonly use: GpuUse }>()
  /** Uids by slot. */
  readonly #bySlot = new Map<number, Set<string>>()
  readonly #foreign = new Map<number, GpuUse>()
  #nodeCount = 0

  /** Nodes that say which GPUs they have. */
  get nodeCount(): number {
    return this.#nodeCount
  }

  /** Undefined: the node does not say which GPUs it has, if any. */
  at(slot: number): NodeGpus | undefined {
    return this.#nodes[slot]
  }

  /** Whether a node says it in a way that nobody understands. */
  isUnreadable(slot: number): boolean {
    return this.#unreadable.has(slot)
  }

  useOf(uid: string): GpuUse | undefined {
    return this.#placed.get(uid)?.use
  }

  /** Takes over what a node says of its GPUs: the text of its annotation. */
  describe(slot: number, text: string | undefined): void {
    if (text === this.#texts[slot]) return
    this.#texts[slot] = text
    if (this.#nodes[slot] !== undefined) this.#nodeCount--
    const node = text === undefined ? undefined : this.#read(slot, text)
    if (text === undefined) this.#unreadable.delete(slot)
    this.#nodes[slot] = node
    if (node === undefined) return
    this.#nodeCount++
    for (const uid of this.#bySlot.get(slot) ?? []) count(node, this.#placed.get(uid)!.use, 1)
    count(node, this.#foreign.get(slot) ?? NO_GPUS, 1)
  }

  put(uid: string, slot: number, use: GpuUse): void {
    this.#placed.set(uid, { slot, use })
    const uids = this.#bySlot.get(slot) ?? new Set<string>()
    this.#bySlot.set(slot, uids.add(uid))
    count(this.#nodes[slot], use, 1)
  }

  /** Nothing happens for a pod that uses none. */
  remove(uid: string): void {
    const placed = this.#placed.get(uid)
    if (placed === undefined) return
    this.#placed.delete(uid)
    const uids = this.#bySlot.get(placed.slot)!
    uids.delete(uid)
    if (uids.size === 0) this.#bySlot.delete(placed.slot)
    count(this.#nodes[placed.slot], placed.use, -1)
  }

  /** What pods of other partitions use; replaces what was said before. */
  setForeign(slot: number, use: GpuUse): void {
    count(this.#nodes[slot], this.#foreign.get(slot) ?? NO_GPUS, -1)
    if (use.grants.length + use.unknown === 0) this.#foreign.delete(slot)
    else this.#foreign.set(slot, use)
    count(this.#nodes[slot], use, 1)
  }

  /** Counts a pod of another partition as gone, or as there again. */
  countForeign(slot: number, use: GpuUse, sign: 1 | -1): void {
    count(this.#nodes[slot], use, sign)
  }

  #read(slot: number, text: string): NodeGpus | undefined {
    try {
      this.#unreadable.delete(slot)
      return new NodeGpus(parseGpuInventory(text), this.#kinds)
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      this.#unreadable.add(slot)
      return undefined
    }
  }
}

function count(node: NodeGpus | undefined, { grants, unknown }: GpuUse, sign: 1 | -1): void {
  if (node === undefined) return
  for (const grant of grants) node.use(grant, sign)
  if (unknown !== 0) node.useUnknown(sign * unknown)
}
