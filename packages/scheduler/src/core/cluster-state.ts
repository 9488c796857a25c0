import type { Stored } from '@centaurus/api'
import type { Node, Taint } from '@centaurus/api/core/v1'
import { assert } from '@centaurus/base'
import type { ForeignUse } from './foreign-use.ts'
import type { HostPort, PodRequirements } from './pod-requirements.ts'
import { CPU, MEMORY, ResourceIndex } from './resources.ts'
import { TopologyIndex, type TopologyColumn } from './topology.ts'

/** A pod that uses a node: bound, or assumed to be by us. */
export interface PlacedPod {
  readonly pod: PodRequirements
  readonly slot: number
}

/**
 * Nodes and what pods use of them, as columns by node slot. A slot is a small number that a node keeps while it exists; the
 * next new node takes over a freed one. Reading is what the pure core does; only the loop changes it.
 *
 * Invariant: `requested[column][slot]` is the sum of the requests of the pods placed there.
 */
export class ClusterState {
  readonly resources = new ResourceIndex()
  /** By slot; undefined for a free one. */
  readonly names: (string | undefined)[] = []
  readonly labels: (Readonly<Record<string, string>> | undefined)[] = []
  readonly taints: (readonly Taint[])[] = []
  readonly images: (ReadonlyMap<string, number> | undefined)[] = []
  readonly unschedulable: boolean[] = []
  readonly podsOn: Map<string, PlacedPod>[] = []
  /** Pods with required anti-affinity of their own, which newcomers must respect. */
  readonly withAntiAffinity = new Map<string, PlacedPod>()
  /** Pods with preferred terms or required affinity, which count in newcomers' scores. */
  readonly withAffinity = new Map<string, PlacedPod>()
  readonly byNamespace = new Map<string, Map<string, PlacedPod>>()
  readonly #allocatable: number[][] = []
  readonly #requested: number[][] = []
  readonly #scoredCpu: number[] = []
  readonly #scoredMemory: number[] = []
  readonly #ports: (Map<string, number> | undefined)[] = []
  readonly #slots = new Map<string, number>()
  readonly #free: number[] = []
  readonly #topology = new TopologyIndex()
  readonly #placed = new Map<string, PlacedPod>()
  /** Pods on nodes that are not known (yet), by node name. */
  readonly #homeless = new Map<string, Map<string, PodRequirements>>()
  /** Use by other partitions, by node name; the node may not be known yet. */
  readonly #foreign = new Map<string, ForeignUse>()

  get nodeCount(): number {
    return this.#slots.size
  }

  /** One more than the largest slot in use; loops skip free slots. */
  get slotCount(): number {
    return this.names.length
  }

  slotOf(nodeName: string): number | undefined {
    return this.#slots.get(nodeName)
  }

  placement(uid: string): PlacedPod | undefined {
    return this.#placed.get(uid)
  }

  allocatable(slot: number, column: number): number {
    return this.#allocatable[column]?.[slot] ?? 0
  }

  requested(slot: number, column: number): number {
    return this.#requested[column]?.[slot] ?? 0
  }

  /** Requests of the pods there with the defaults for scoring: cpu in milli-cores, memory in bytes. */
  scoredUse(slot: number): { cpuMillicores: number; memoryBytes: number } {
    return { cpuMillicores: this.#scoredCpu[slot] ?? 0, memoryBytes: this.#scoredMemory[slot] ?? 0 }
  }

  topology(key: string): TopologyColumn {
    return this.#topology.column(key, this.labels)
  }

  /** Whether none of `ports` collides with what the node's pods hold. */
  arePortsFree(slot: number, ports: readonly HostPort[]): boolean {
    const used = this.#ports[slot]
    if (used === undefined || used.size === 0) return true
    return ports.every(({ ip, protocol, port }) => {
      const any = portKey('*', protocol, port)
      if (ip === '0.0.0.0') return !used.has(any)
      return !used.has(portKey(ip, protocol, port)) && !used.has(portKey('0.0.0.0', protocol, port))
    })
  }

  /** Adds a node or takes over what changed of it. */
  putNode(node: Stored<Node>): void {
    const name = node.metadata.name
    const isKnown = this.#slots.has(name)
    const slot = this.#slots.get(name) ?? this.#takeSlot(name)
    this.labels[slot] = node.metadata.labels ?? {}
    this.taints[slot] = node.spec?.taints ?? []
    this.unschedulable[slot] = node.spec?.unschedulable === true
    this.images[slot] = imagesOf(node)
    this.#topology.update(slot, this.labels[slot])
    const vector = this.resources.toVector(node.status?.allocatable)
    for (let column = 0; column < this.resources.size; column++)
      this.#set(this.#allocatable, column, slot, vector[column] ?? 0)
    if (!isKnown) this.#countForeign(slot, this.#foreign.get(name), 1)
    const waiting = this.#homeless.get(name)
    if (waiting === undefined) return
    this.#homeless.delete(name)
    for (const pod of waiting.values()) this.#place(pod, slot)
  }

  /** Its pods stay known, in case it comes back. */
  removeNode(name: string): void {
    const slot = this.#slots.get(name)
    if (slot === undefined) return
    const pods = [...this.podsOn[slot]!.values()]
    for (const { pod } of pods) this.removePod(pod.uid)
    for (const { pod } of pods) this.#shelve(pod, name)
    this.#countForeign(slot, this.#foreign.get(name), -1)
    this.#slots.delete(name)
    this.names[slot] = undefined
    this.labels[slot] = undefined
    this.images[slot] = undefined
    this.taints[slot] = []
    this.#topology.update(slot, undefined)
    this.#free.push(slot)
  }

  /** What pods of other partitions use of a node: counted like requests of pods here. Replaces what was said before. */
  setForeignUse(nodeName: string, use: ForeignUse): void {
    const slot = this.#slots.get(nodeName)
    if (slot !== undefined) this.#countForeign(slot, this.#foreign.get(nodeName), -1)
    const isNothing = Object.values(use.requests).every((amount) => amount === 0) && (use.ports ?? []).length === 0
    if (isNothing) this.#foreign.delete(nodeName)
    else this.#foreign.set(nodeName, use)
    if (slot !== undefined) this.#countForeign(slot, this.#foreign.get(nodeName), 1)
  }

  /** Counts a pod as using a node; replaces what was known of the pod. */
  putPod(pod: PodRequirements, nodeName: string): void {
    this.removePod(pod.uid)
    const slot = this.#slots.get(nodeName)
    if (slot === undefined) this.#shelve(pod, nodeName)
    else this.#place(pod, slot)
  }

  removePod(uid: string): void {
    for (const [name, pods] of this.#homeless) {
      if (pods.delete(uid) && pods.size === 0) this.#homeless.delete(name)
    }
    const placed = this.#placed.get(uid)
    if (placed === undefined) return
    this.#placed.delete(uid)
    this.withAntiAffinity.delete(uid)
    this.withAffinity.delete(uid)
    const neighbours = this.byNamespace.get(placed.pod.namespace)
    neighbours?.delete(uid)
    if (neighbours?.size === 0) this.byNamespace.delete(placed.pod.namespace)
    this.podsOn[placed.slot]!.delete(uid)
    this.#count(placed, -1)
  }

  #takeSlot(name: string): number {
    const slot = this.#free.pop() ?? this.names.length
    this.#slots.set(name, slot)
    this.names[slot] = name
    this.podsOn[slot] = new Map()
    this.#ports[slot] = undefined
    return slot
  }

  #shelve(pod: PodRequirements, nodeName: string): void {
    const waiting = this.#homeless.get(nodeName) ?? new Map<string, PodRequirements>()
    waiting.set(pod.uid, pod)
    this.#homeless.set(nodeName, waiting)
  }

  #place(pod: PodRequirements, slot: number): void {
    const placed: PlacedPod = { pod, slot }
    this.#placed.set(pod.uid, placed)
    this.podsOn[slot]!.set(pod.uid, placed)
    const neighbours = this.byNamespace.get(pod.namespace) ?? new Map<string, PlacedPod>()
    neighbours.set(pod.uid, placed)
    this.byNamespace.set(pod.namespace, neighbours)
    if (pod.antiAffinity.length > 0) this.withAntiAffinity.set(pod.uid, placed)
    if (pod.affinity.length > 0 || pod.preferredAffinity.length > 0) this.withAffinity.set(pod.uid, placed)
    this.#count(placed, 1)
  }

  #count({ pod, slot }: PlacedPod, sign: 1 | -1): void {
    for (const [column, amount] of pod.requests.entries()) {
      if (amount !== 0) this.#set(this.#requested, column, slot, this.requested(slot, column) + sign * amount)
    }
    assert(this.requested(slot, CPU) >= 0 && this.requested(slot, MEMORY) >= 0, 'requested ≥ 0')
    this.#scoredCpu[slot] = (this.#scoredCpu[slot] ?? 0) + sign * pod.scoredCpuMillicores
    this.#scoredMemory[slot] = (this.#scoredMemory[slot] ?? 0) + sign * pod.scoredMemoryBytes
    this.#countPorts(slot, pod.hostPorts, sign)
  }

  #countForeign(slot: number, use: ForeignUse | undefined, sign: 1 | -1): void {
    if (use === undefined) return
    for (const [name, amount] of Object.entries(use.requests)) {
      const column = this.resources.columnOf(name)
      this.#set(this.#requested, column, slot, this.requested(slot, column) + sign * amount)
      if (column === CPU) this.#scoredCpu[slot] = (this.#scoredCpu[slot] ?? 0) + sign * amount
      if (column === MEMORY) this.#scoredMemory[slot] = (this.#scoredMemory[slot] ?? 0) + sign * amount
    }
    this.#countPorts(slot, use.ports ?? [], sign)
  }

  #countPorts(slot: number, ports: readonly HostPort[], sign: 1 | -1): void {
    for (const { ip, protocol, port } of ports) {
      const used = (this.#ports[slot] ??= new Map<string, number>())
      for (const key of [portKey(ip, protocol, port), portKey('*', protocol, port)]) addCount(used, key, sign)
    }
  }

  #set(columns: number[][], column: number, slot: number, value: number): void {
    const values = (columns[column] ??= [])
    while (values.length <= slot) values.push(0)
    values[slot] = value
  }
}

/** `*` counts every address of a port. */
function portKey(ip: string, protocol: string, port: number): string {
  return `${ip}/${protocol}/${port}`
}

function addCount(counts: Map<string, number>, key: string, delta: number): void {
  const count = (counts.get(key) ?? 0) + delta
  if (count === 0) counts.delete(key)
  else counts.set(key, count)
}

function imagesOf(node: Readonly<Node>): ReadonlyMap<string, number> | undefined {
  const images = node.status?.images ?? []
  if (images.length === 0) return undefined
  return new Map(images.flatMap((image) => (image.names ?? []).map((name) => [name, image.sizeBytes ?? 0] as const)))
}
