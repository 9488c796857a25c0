import type { Stored } from '@centaurus/api'
import type { Node, Taint } from '@centaurus/api/core/v1'
import { GPU_DEVICES_ANNOTATION } from '@centaurus/api/gpu'
import { grown } from './columns.ts'
import type { FreeResources } from './gpu/node-gpus.ts'
import { GpuTable } from './gpu/gpu-table.ts'
import { HostPorts } from './host-ports.ts'
import { ImageIndex } from './image-index.ts'
import { CPU, MEMORY, ResourceIndex, type ResourceVector } from './resources.ts'
import { TaintSets } from './taint-sets.ts'
import { TopologyIndex } from './topology.ts'

type Labels = Readonly<Record<string, string>>

/** What uses a node. */
export interface NodeUse {
  readonly requests: ResourceVector
  readonly scoredCpuMillicores: number
  readonly scoredMemoryBytes: number
}

/**
 * What nodes offer and what is used of them, as columns by node slot. A slot is a small number that a node keeps while it exists;
 * the next new node takes over a freed one. A node that something uses but that is not known (yet) has a slot and is not present.
 */
export class NodeTable {
  readonly resources = new ResourceIndex()
  readonly topology = new TopologyIndex()
  readonly taintSets = new TaintSets()
  readonly imageIndex = new ImageIndex()
  readonly ports = new HostPorts()
  readonly gpus = new GpuTable()
  /** By slot; undefined for a free one. */
  readonly names: (string | undefined)[] = []
  /** Undefined unless the node is present. */
  readonly labels: (Labels | undefined)[] = []
  readonly images: (Int32Array | undefined)[] = []
  /** Number of the node's set of taints. */
  taints = new Int32Array(0)
  /** 1 for a node that is there. */
  present = new Uint8Array(0)
  unschedulable = new Uint8Array(0)
  /** 1 for a node whose partition can't be reached: nothing can be placed there now. */
  away = new Uint8Array(0)
  /** Changes with everything that a decision could depend on; never 0. */
  versions = new Uint32Array(0)
  scoredCpu = new Float64Array(0)
  scoredMemory = new Float64Array(0)
  readonly #allocatable: Float64Array[] = []
  readonly #requested: Float64Array[] = []
  readonly #slots = new Map<string, number>()
  readonly #free: number[] = []
  #presentCount = 0

  /** Nodes that are there. */
  get presentCount(): number {
    return this.#presentCount
  }

  /** One more than the largest slot in use; loops skip what is not present. */
  get slotCount(): number {
    return this.names.length
  }

  /** Also of a node that is not present. */
  slotOf(name: string): number | undefined {
    return this.#slots.get(name)
  }

  allocatable(slot: number, column: number): number {
    return this.#allocatable[column]?.[slot] ?? 0
  }

  requested(slot: number, column: number): number {
    return this.#requested[column]?.[slot] ?? 0
  }

  /** What is left of processors and memory. */
  freeOf(slot: number): FreeResources {
    return {
      cpuMillicores: this.allocatable(slot, CPU) - this.requested(slot, CPU),
      memoryBytes: this.allocatable(slot, MEMORY) - this.requested(slot, MEMORY),
    }
  }

  takeSlot(name: string): number {
    const known = this.#slots.get(name)
    if (known !== undefined) return known
    const slot = this.#free.pop() ?? this.names.length
    this.#slots.set(name, slot)
    this.names[slot] = name
    this.labels[slot] = undefined
    this.images[slot] = undefined
    this.#grow(slot + 1)
    this.away[slot] = 0
    return slot
  }

  /** The node must not be present, and nothing may use it. */
  freeSlot(slot: number): void {
    this.#slots.delete(this.names[slot]!)
    this.names[slot] = undefined
    this.#free.push(slot)
    this.touch(slot)
  }

  /** Takes over what a node offers. */
  describe(slot: number, node: Stored<Node>): void {
    if (this.present[slot] === 0) this.#presentCount++
    this.present[slot] = 1
    this.unschedulable[slot] = node.spec?.unschedulable === true ? 1 : 0
    this.#setShape(slot, {
      labels: node.metadata.labels ?? {},
      taints: node.spec?.taints ?? [],
      images: imagesOf(node),
    })
    this.gpus.describe(slot, node.metadata.annotations?.[GPU_DEVICES_ANNOTATION])
    const vector = this.resources.toVector(node.status?.allocatable)
    for (let column = 0; column < this.resources.size; column++)
      this.#set(this.#allocatable, column, { slot, value: vector[column] ?? 0 })
    this.touch(slot)
  }

  /** The node is gone; what uses it stays counted. */
  erase(slot: number): void {
    if (this.present[slot] === 1) this.#presentCount--
    this.present[slot] = 0
    this.unschedulable[slot] = 0
    this.gpus.describe(slot, undefined)
    this.#setShape(slot, { labels: undefined, taints: [], images: [] })
    for (const column of this.#allocatable) if (column !== undefined && slot < column.length) column[slot] = 0
    this.touch(slot)
  }

  /** Adds or takes away what something uses. */
  count(slot: number, use: NodeUse, sign: 1 | -1): void {
    const { requests } = use
    for (let column = 0; column < requests.length; column++) {
      const amount = requests[column]!
      if (amount === 0) continue
      const value = this.requested(slot, column) + sign * amount
      this.#set(this.#requested, column, { slot, value })
    }
    this.scoredCpu[slot]! += sign * use.scoredCpuMillicores
    this.scoredMemory[slot]! += sign * use.scoredMemoryBytes
    this.touch(slot)
  }

  touch(slot: number): void {
    this.versions[slot] = (this.versions[slot]! + 1) >>> 0 || 1
  }

  #setShape(
    slot: number,
    shape: { labels: Labels | undefined; taints: readonly Taint[]; images: readonly (readonly [string, number])[] },
  ): void {
    this.labels[slot] = shape.labels
    this.topology.update(slot, shape.labels)
    const taints = this.taintSets.acquire(shape.taints)
    this.taintSets.release(this.taints[slot]!)
    this.taints[slot] = taints
    const images = this.imageIndex.acquire(shape.images)
    this.imageIndex.release(this.images[slot])
    this.images[slot] = images
  }

  #set(columns: Float64Array[], column: number, { slot, value }: { slot: number; value: number }): void {
    const values = grown(columns[column] ?? new Float64Array(0), slot + 1)
    values[slot] = value
    columns[column] = values
  }

  #grow(length: number): void {
    this.taints = grown(this.taints, length)
    this.present = grown(this.present, length)
    this.unschedulable = grown(this.unschedulable, length)
    this.away = grown(this.away, length)
    this.versions = grown(this.versions, length)
    this.scoredCpu = grown(this.scoredCpu, length)
    this.scoredMemory = grown(this.scoredMemory, length)
    // extended resources stay short: they are few nodes' own
    for (const column of [CPU, MEMORY]) {
      this.#allocatable[column] = grown(this.#allocatable[column] ?? new Float64Array(0), length)
      this.#requested[column] = grown(this.#requested[column] ?? new Float64Array(0), length)
    }
  }
}

function imagesOf(node: Readonly<Node>): (readonly [string, number])[] {
  return (node.status?.images ?? []).flatMap(({ names = [], sizeBytes = 0 }) =>
    names.map((name) => [name, sizeBytes] as const),
  )
}
