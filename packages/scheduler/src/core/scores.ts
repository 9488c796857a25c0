import type { ClusterState } from './cluster-state.ts'
import { scorePodAffinity } from './pod-affinity.ts'
import type { PodRequirements } from './pod-requirements.ts'
import { CPU, MEMORY } from './resources.ts'
import { scoreSpread } from './spread.ts'
import { countIntolerablePreferences } from '@centaurus/api/scheduling'

/** Every scorer yields 0 to 100; the sum is weighted. Source: scheduler apis/config/v1/default_plugins.go, v1.37. */
const WEIGHTS = { resources: 1, balance: 1, nodeAffinity: 2, taints: 3, spread: 2, podAffinity: 2, images: 1 } as const

const SCORE_MAX = 100

/** Image sizes between which locality counts. Source: framework/plugins/imagelocality, v1.37. */
const IMAGE_MIN_BYTES = 23 * 1024 * 1024
const IMAGE_MAX_BYTES_PER_CONTAINER = 1000 * 1024 * 1024

/** Scores of the feasible `slots`, in their order. Higher is better. */
export function scoreNodes(state: ClusterState, slots: readonly number[], pod: PodRequirements): number[] {
  const totals = slots.map(
    (slot) =>
      WEIGHTS.resources * leastAllocated(state, slot, pod) +
      WEIGHTS.balance * balancedAllocation(state, slot, pod) +
      WEIGHTS.images * imageLocality(state, slot, pod),
  )
  const add = (weight: number, raw: number[], order: 'high' | 'low'): void => {
    for (const [i, value] of normalize(raw, order).entries()) totals[i]! += weight * value
  }
  if (pod.preferredNodes.length > 0) {
    add(
      WEIGHTS.nodeAffinity,
      slots.map((slot) => preferredNodeWeight(state, slot, pod)),
      'high',
    )
  }
  const hasPreferences = slots.some((slot) => state.taints[slot]!.some((taint) => taint.effect === 'PreferNoSchedule'))
  if (hasPreferences) {
    add(
      WEIGHTS.taints,
      slots.map((slot) => countIntolerablePreferences(pod.tolerations, state.taints[slot]!)),
      'low',
    )
  }
  const spread = scoreSpread(state, pod)
  if (spread !== undefined) add(WEIGHTS.spread, slots.map(spread), 'low')
  const affinity = scorePodAffinity(state, pod)
  if (affinity !== undefined) add(WEIGHTS.podAffinity, slots.map(affinity), 'high')
  return totals
}

/** Free share of cpu and memory after placing. Source: framework/plugins/noderesources/least_allocated.go. */
function leastAllocated(state: ClusterState, slot: number, pod: PodRequirements): number {
  const used = state.scoredUse(slot)
  const cpu = freeShare(state.allocatable(slot, CPU), used.cpuMillicores + pod.scoredCpuMillicores)
  const memory = freeShare(state.allocatable(slot, MEMORY), used.memoryBytes + pod.scoredMemoryBytes)
  return Math.floor((cpu + memory) / 2)
}

function freeShare(allocatable: number, requested: number): number {
  return requested > allocatable || allocatable === 0
    ? 0
    : Math.floor(((allocatable - requested) * SCORE_MAX) / allocatable)
}

/** How even cpu and memory are used. Source: framework/plugins/noderesources/balanced_allocation.go. */
function balancedAllocation(state: ClusterState, slot: number, pod: PodRequirements): number {
  const cpu = share(state.requested(slot, CPU) + (pod.requests[CPU] ?? 0), state.allocatable(slot, CPU))
  const memory = share(state.requested(slot, MEMORY) + (pod.requests[MEMORY] ?? 0), state.allocatable(slot, MEMORY))
  return Math.floor((1 - Math.abs(cpu - memory) / 2) * SCORE_MAX)
}

function share(requested: number, allocatable: number): number {
  return allocatable === 0 ? 1 : Math.min(1, requested / allocatable)
}

function imageLocality(state: ClusterState, slot: number, pod: PodRequirements): number {
  const images = state.images[slot]
  if (images === undefined) return 0
  const bytes = pod.images.reduce((sum, image) => sum + (images.get(image) ?? images.get(`${image}:latest`) ?? 0), 0)
  const max = IMAGE_MAX_BYTES_PER_CONTAINER * pod.images.length
  const clamped = Math.min(max, Math.max(IMAGE_MIN_BYTES, bytes))
  return Math.floor((SCORE_MAX * (clamped - IMAGE_MIN_BYTES)) / (max - IMAGE_MIN_BYTES))
}

function preferredNodeWeight(state: ClusterState, slot: number, pod: PodRequirements): number {
  const labels = state.labels[slot] ?? {}
  const name = state.names[slot] ?? ''
  return pod.preferredNodes.reduce((sum, term) => (term.matches(labels, name) ? sum + term.weight : sum), 0)
}

/** Spreads raw values over 0 to 100; when all are equal nothing is preferred. */
function normalize(raw: readonly number[], order: 'high' | 'low'): number[] {
  const low = raw.reduce((a, b) => Math.min(a, b), Infinity)
  const high = raw.reduce((a, b) => Math.max(a, b), -Infinity)
  if (high === low) return raw.map(() => 0)
  return raw.map((value) => {
    const part = ((value - low) * SCORE_MAX) / (high - low)
    return order === 'high' ? part : SCORE_MAX - part
  })
}
