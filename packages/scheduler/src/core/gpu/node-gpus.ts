import type { Refusal } from '../refusals.ts'
import { GPU_LINKS, isWholeGpu, type GpuGrant, type GpuInventory } from '@centaurus/api/gpu'

/** Devices of a kind are the same to every pod. One object a kind. */
export interface DeviceKind {
  readonly model: string
  readonly memoryMiB: number
}

/** Gives out the one object of each kind. */
export class DeviceKinds {
  readonly #kinds = new Map<string, DeviceKind>()

  get({ model, memoryMiB }: DeviceKind): DeviceKind {
    const key = `${memoryMiB} ${model}`
    const known = this.#kinds.get(key)
    if (known !== undefined) return known
    const kind = { model, memoryMiB }
    this.#kinds.set(key, kind)
    return kind
  }
}

/** What is left on a node besides devices. */
export interface FreeResources {
  readonly cpuMillicores: number
  readonly memoryBytes: number
}

/** Holds until anything on the node changes. */
export interface Findings extends FreeResources {
  readonly mixVersion: number
  /** GPUs that are free and of no use; undefined: not worked out yet. */
  waste: number | undefined
  /** How pods fit that may have any of the node's devices, by what they ask for. */
  readonly fits: Map<string, GpuFit>
}

/** Whether a pod's containers get devices of a node, and how good that is. */
export type GpuFit =
  | { readonly type: 'fits'; readonly score: number }
  | { readonly type: 'short'; readonly refusal: Refusal }

/** The GPUs of one node and what is used of them, as columns by device. */
export class NodeGpus {
  readonly count: number
  readonly uuids: readonly string[]
  readonly kinds: readonly DeviceKind[]
  /** Each once. */
  readonly models: readonly string[]
  /** All links are alike, as far as is known. */
  readonly isFlat: boolean
  /** 1: healthy. */
  readonly healthy: Uint8Array
  /** MiB. */
  readonly memory: Float64Array
  /** What is left; less than nothing where more was promised than there is. */
  readonly freeMemory: Float64Array
  /** Percent that is not reserved. */
  readonly freeCompute: Float64Array
  readonly #links: readonly (readonly number[])[] | undefined
  readonly #numa: readonly (number | undefined)[]
  readonly #byUuid: ReadonlyMap<string, number>
  #unknown = 0
  #findings: Findings | undefined

  constructor({ devices, links }: GpuInventory, kinds: DeviceKinds) {
    this.count = devices.length
    this.uuids = devices.map(({ uuid }) => uuid)
    this.kinds = devices.map((device) => kinds.get(device))
    this.models = [...new Set(devices.map(({ model }) => model))]
    this.healthy = Uint8Array.from(devices, ({ healthy }) => (healthy ? 1 : 0))
    this.memory = Float64Array.from(devices, ({ memoryMiB }) => memoryMiB)
    this.freeMemory = this.memory.slice()
    this.freeCompute = new Float64Array(this.count).fill(100)
    this.#links = links
    this.#numa = devices.map(({ numa }) => numa)
    this.#byUuid = new Map(this.uuids.map((uuid, i) => [uuid, i]))
    this.isFlat =
      new Set(devices.flatMap((_, i) => devices.slice(i + 1).map((__, j) => this.linkOf(i, i + 1 + j)))).size < 2
  }

  /** GPUs that pods use of which nobody knows the devices: each may be any that nobody else is known to use. */
  get unknown(): number {
    return this.#unknown
  }

  useUnknown(count: number): void {
    this.#findings = undefined
    this.#unknown += count
  }

  /** Whether nobody is known to use any of it. */
  isUntouched(i: number): boolean {
    return this.freeMemory[i] === this.memory[i] && this.freeCompute[i] === 100
  }

  /** How near two devices are, by {@link GPU_LINKS}. */
  linkOf(i: number, j: number): number {
    const known = this.#links?.[i]?.[j]
    if (known !== undefined) return known
    const isSame = this.#numa[i] !== undefined && this.#numa[i] === this.#numa[j]
    return isSame ? GPU_LINKS.sameNuma : GPU_LINKS.otherNuma
  }

  /** What was found out about the node as it is, with so much left of it and these pods coming. */
  findings(mixVersion: number, { cpuMillicores, memoryBytes }: FreeResources): Findings {
    const known = this.#findings
    const holds =
      known !== undefined &&
      known.mixVersion === mixVersion &&
      known.cpuMillicores === cpuMillicores &&
      known.memoryBytes === memoryBytes
    if (holds) return known
    return (this.#findings = { mixVersion, cpuMillicores, memoryBytes, waste: undefined, fits: new Map() })
  }

  /** Adds or takes away what somebody has of a device; nothing happens for one that the node does not have. */
  use(grant: GpuGrant, sign: 1 | -1): void {
    const i = this.#byUuid.get(grant.uuid)
    if (i === undefined) return
    this.#findings = undefined
    const isWhole = isWholeGpu(grant)
    this.freeMemory[i]! -= sign * (isWhole ? this.memory[i]! : (grant.memoryMiB ?? 0))
    this.freeCompute[i]! -= sign * (isWhole ? 100 : (grant.compute ?? 0))
  }
}
