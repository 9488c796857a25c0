import { CPU, MEMORY, type ResourceVector } from '../resources.ts'
import { computeOf, memoryOf, type GpuDemand } from './gpu-demand.ts'
import type { DeviceKind } from './node-gpus.ts'

/** Of the pods that were seen so many may be told apart; of more the rarest are forgotten. */
const SHAPES_MAX = 1_024
/** Shapes that are looked at, as many of the most frequent as make up {@link COVERED} of all. */
const TYPICAL_MAX = 64
const COVERED = 0.95
/** Pods after which one that was seen counts half. */
const HALF_LIFE_PODS = 10_000
/** What is typical is worked out again when so much more was seen; all that was found out about nodes is found out again then. */
const GROWTH = 2
const OBSERVED_MIN = 8
/** Steps of {@link DeviceNeeds.chances}. */
export const SHARE_STEPS = 100

/** One kind of pod that asks for GPUs, and how often it comes. */
export interface TypicalPod {
  readonly cpuMillicores: number
  readonly memoryBytes: number
  readonly demand: GpuDemand
  /** 0 to 1; all of a mix together are 1. */
  readonly weight: number
}

/** What each pod of a mix needs of one kind of device, by its place in the mix. */
export interface DeviceNeeds {
  /** Infinity: the device will not do. */
  readonly memoryMiB: Float64Array
  readonly compute: Float64Array
  /** The part of the device that it takes, 0 to 1: what it takes more of counts. */
  readonly shares: Float64Array
  /** By hundredths of the device: how likely the next pod asks for no more than that of one. */
  readonly chances: Float64Array
}

/** Which pods come, as far as is known: columns by pod. */
export class MixOfPods {
  /** Grows when it changes. */
  readonly version: number
  readonly size: number
  readonly cpuMillicores: Float64Array
  readonly memoryBytes: Float64Array
  readonly weights: Float64Array
  /** Devices. */
  readonly counts: Float64Array
  readonly #demands: readonly GpuDemand[]
  readonly #needs = new Map<DeviceKind, DeviceNeeds>()

  constructor(version: number, pods: readonly TypicalPod[]) {
    this.version = version
    this.size = pods.length
    this.cpuMillicores = Float64Array.from(pods, (pod) => pod.cpuMillicores)
    this.memoryBytes = Float64Array.from(pods, (pod) => pod.memoryBytes)
    this.weights = Float64Array.from(pods, ({ weight }) => weight)
    this.#demands = pods.map(({ demand }) => demand)
    this.counts = Float64Array.from(this.#demands, ({ main }) => main.count)
  }

  needsOf(kind: DeviceKind): DeviceNeeds {
    const known = this.#needs.get(kind)
    if (known !== undefined) return known
    const memoryMiB = Float64Array.from(this.#demands, (demand) =>
      demand.allowsModel(kind.model) ? memoryOf(kind.memoryMiB, demand.main) : Infinity,
    )
    const compute = Float64Array.from(this.#demands, ({ main }) => computeOf(main))
    const shares = memoryMiB.map((memory, pod) => Math.max(memory / kind.memoryMiB, compute[pod]! / 100))
    const chances = new Float64Array(SHARE_STEPS + 1)
    for (const [pod, share] of shares.entries()) {
      if (this.counts[pod]! > 1) continue
      for (let at = Math.ceil(share * SHARE_STEPS - 1e-9); at <= SHARE_STEPS; at++) chances[at]! += this.weights[pod]!
    }
    const needs = { memoryMiB, compute, shares, chances }
    this.#needs.set(kind, needs)
    return needs
  }
}

interface Seen {
  readonly cpuMillicores: number
  readonly memoryBytes: number
  readonly demand: GpuDemand
  weight: number
}

/**
 * Learns which pods come from those that came: the sum over them, the older ones counting less. Counts pods and no time, so that it is the same
 * whenever they come.
 */
export class TypicalPods {
  readonly #shapes = new Map<string, Seen>()
  /** What the next one counts: grows, so that nothing that was counted need be touched. */
  #unit = 1
  #total = 0
  #atMix = 0
  #mix = new MixOfPods(0, [])

  get mix(): MixOfPods {
    if (this.#total >= this.#atMix * GROWTH + OBSERVED_MIN * this.#unit) this.#remix()
    return this.#mix
  }

  observe(demand: GpuDemand, requests: ResourceVector): void {
    const [cpuMillicores, memoryBytes] = [requests[CPU]!, requests[MEMORY]!]
    const key = `${cpuMillicores} ${memoryBytes} ${demand.key}`
    const seen = this.#shapes.get(key)
    if (seen === undefined) this.#shapes.set(key, { cpuMillicores, memoryBytes, demand, weight: this.#unit })
    else seen.weight += this.#unit
    this.#total += this.#unit
    this.#unit *= 2 ** (1 / HALF_LIFE_PODS)
    if (this.#shapes.size > SHAPES_MAX) this.#forgetRare()
    if (this.#unit > 1e12) this.#rescale()
  }

  #remix(): void {
    const common = this.#byWeight()
    const total = common.reduce((sum, { weight }) => sum + weight, 0)
    let covered = 0
    const typical = common.slice(0, TYPICAL_MAX).filter(({ weight }) => {
      if (covered >= COVERED * total) return false
      covered += weight
      return true
    })
    const pods = typical.map(({ weight, ...each }) => ({ ...each, weight: weight / covered }))
    this.#mix = new MixOfPods(this.#mix.version + 1, pods)
    this.#atMix = this.#total
  }

  #byWeight(): Seen[] {
    return [...this.#shapes.values()].toSorted((a, b) => b.weight - a.weight)
  }

  #forgetRare(): void {
    const kept = this.#byWeight().slice(0, SHAPES_MAX / 2)
    const keys = new Set(kept)
    for (const [key, seen] of this.#shapes) if (!keys.has(seen)) this.#shapes.delete(key)
  }

  #rescale(): void {
    for (const seen of this.#shapes.values()) seen.weight /= this.#unit
    this.#total /= this.#unit
    this.#atMix /= this.#unit
    this.#unit = 1
  }
}
