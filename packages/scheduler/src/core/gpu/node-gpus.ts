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

/** The GPUs of one node and what is used of them, as columns by device. */
export class NodeGpus {
  readonly count: number
  readonly uuids: readonly string[]
  readonly kinds: readonly DeviceKind[]
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
  #fragment:
    | { readonly mixVersion: number; readonly cpu: number; readonly memory: number; readonly value: number }
    | undefined

  constructor({ devices, links }: GpuInventory, kinds: DeviceKinds) {
    this.count = devices.length
    this.uuids = devices.map(({ uuid }) => uuid)
    this.kinds = devices.map((device) => kinds.get(device))
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
    this.#fragment = undefined
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

  /** What was worked out about the node as it is, or is now. */
  fragment(
    mixVersion: number,
    { cpuMillicores, memoryBytes }: { readonly cpuMillicores: number; readonly memoryBytes: number },
    workOut: () => number,
  ): number {
    const known = this.#fragment
    const isKnown = known?.mixVersion === mixVersion && known.cpu === cpuMillicores && known.memory === memoryBytes
    if (isKnown) return known.value
    const value = workOut()
    this.#fragment = { mixVersion, cpu: cpuMillicores, memory: memoryBytes, value }
    return value
  }

  /** Adds or takes away what somebody has of a device; nothing happens for one that the node does not have. */
  use(grant: GpuGrant, sign: 1 | -1): void {
    const i = this.#byUuid.get(grant.uuid)
    if (i === undefined) return
    this.#fragment = undefined
    const isWhole = isWholeGpu(grant)
    this.freeMemory[i]! -= sign * (isWhole ? this.memory[i]! : (grant.memoryMiB ?? 0))
    this.freeCompute[i]! -= sign * (isWhole ? 100 : (grant.compute ?? 0))
  }
}
