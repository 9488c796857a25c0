import type { NodeTable } from './node-table.ts'
import type { PodFootprint } from './pod-footprint.ts'
import { CPU, MEMORY } from './resources.ts'

/** Every score is an integer from 0 to this. */
export const SCORE_MAX = 100

/** Image sizes between which locality counts. Source: framework/plugins/imagelocality, v1.37. */
const IMAGE_MIN_BYTES = 23 * 1024 * 1024
const IMAGE_MAX_BYTES_PER_CONTAINER = 1000 * 1024 * 1024

/** Free share of cpu and memory after placing. Source: framework/plugins/noderesources/least_allocated.go, v1.37. */
export function leastAllocated(nodes: NodeTable, slot: number, pod: PodFootprint): number {
  const cpu = nodes.allocatable(slot, CPU)
  const memory = nodes.allocatable(slot, MEMORY)
  const cpuScore = freeShare(cpu, nodes.scoredCpu[slot]! + pod.scoredCpuMillicores)
  const memoryScore = freeShare(memory, nodes.scoredMemory[slot]! + pod.scoredMemoryBytes)
  const parts = (cpu === 0 ? 0 : 1) + (memory === 0 ? 0 : 1)
  return parts === 0 ? 0 : Math.floor((cpuScore + memoryScore) / parts)
}

function freeShare(allocatable: number, requested: number): number {
  return requested > allocatable || allocatable === 0
    ? 0
    : Math.floor(((allocatable - requested) * SCORE_MAX) / allocatable)
}

/**
 * Whether cpu and memory become used more evenly; 0 everywhere for a pod that asks for neither.
 * Source: framework/plugins/noderesources/balanced_allocation.go, v1.37.
 */
export function balancedAllocation(nodes: NodeTable, slot: number, { requests }: PodFootprint): number {
  const cpu = requests[CPU] ?? 0
  const memory = requests[MEMORY] ?? 0
  if (cpu === 0 && memory === 0) return 0
  const before = balance(nodes, slot, { cpu: 0, memory: 0 })
  const after = balance(nodes, slot, { cpu, memory })
  return SCORE_MAX / 2 + Math.floor((SCORE_MAX / 2 + after - before) / 2)
}

function balance(nodes: NodeTable, slot: number, more: { cpu: number; memory: number }): number {
  const cpu = nodes.allocatable(slot, CPU)
  const memory = nodes.allocatable(slot, MEMORY)
  if (cpu === 0 || memory === 0) return SCORE_MAX
  const cpuShare = Math.min(1, (nodes.requested(slot, CPU) + more.cpu) / cpu)
  const memoryShare = Math.min(1, (nodes.requested(slot, MEMORY) + more.memory) / memory)
  return Math.floor((1 - Math.abs((cpuShare - memoryShare) / 2)) * SCORE_MAX)
}

/** How much of the pod's images a node has; what few nodes have counts less, so that they are not crowded. Source: same as above. */
export function imageLocality(nodes: NodeTable, slot: number, images: readonly string[]): number {
  const ids = nodes.images[slot]
  let bytes = 0
  for (const name of ids === undefined ? [] : images) {
    const image = nodes.imageIndex.find(name)
    if (image !== undefined && includesSorted(ids!, image.id))
      bytes += Math.floor(image.bytes * (image.nodes / nodes.presentCount))
  }
  const max = IMAGE_MAX_BYTES_PER_CONTAINER * images.length
  const clamped = Math.min(max, Math.max(IMAGE_MIN_BYTES, bytes))
  return Math.floor((SCORE_MAX * (clamped - IMAGE_MIN_BYTES)) / (max - IMAGE_MIN_BYTES))
}

function includesSorted(values: Int32Array, wanted: number): boolean {
  let low = 0
  let high = values.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const value = values[middle]!
    if (value === wanted) return true
    if (value < wanted) low = middle + 1
    else high = middle - 1
  }
  return false
}
