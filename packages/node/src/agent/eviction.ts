import type { Pod } from '@centaurus/api/core/v1'

import type { NodeReporter } from '../node/node-reporter.ts'
import { podRequests } from '../pod/resources.ts'
import type { PodDeps } from './pod-context.ts'
import type { PodWorker } from './pod-worker.ts'

const CRITICAL_PRIORITY = 2_000_000_000

export interface PressureInput {
  readonly deps: PodDeps
  readonly workers: ReadonlyMap<string, PodWorker>
  readonly reporter: NodeReporter
}

/** Ends one pod a round while memory or disk is short, and pods whose volumes outgrew their limit. Source: kubelet eviction manager, v1.37. */
export async function relievePressure({ deps, workers, reporter }: PressureInput): Promise<void> {
  const pressure = reporter.snapshot?.pressure
  if (pressure === undefined) return
  const { evictionMemoryBytesMin, evictionDiskPercentMin } = deps.config
  const isMemory = pressure.memoryAvailableBytes < evictionMemoryBytesMin
  const isDisk = pressure.diskAvailablePercent < evictionDiskPercentMin
  if (!isMemory && !isDisk) return
  const stats = await deps.runtime.listContainerStats()
  const usage = new Map<string, number>()
  for (const stat of stats) {
    const value = isMemory ? stat.memoryWorkingSetBytes : stat.writableLayerBytes
    usage.set(stat.podUid, (usage.get(stat.podUid) ?? 0) + value)
  }
  const resource = isMemory ? 'memory' : 'ephemeral-storage'
  const active = [...workers.values()].filter((worker) => worker.active)
  const victim = rankForEviction(
    active.map(({ pod }) => pod),
    { resource, usage },
  )[0]
  if (victim === undefined) return
  const worker = workers.get(victim.metadata.uid ?? '')
  const message = `The node was low on resource: ${resource}. `
  deps.recordEvent(victim, { type: 'Warning', reason: 'Evicted', message })
  worker?.fail('Evicted', message, { graceSeconds: 1 })
}

/** Pods in the order in which they go: over their request, then by priority, then by how far over. Critical ones never. Pure. */
export function rankForEviction(
  pods: readonly Pod[],
  { resource, usage }: { readonly resource: string; readonly usage: ReadonlyMap<string, number> },
): Pod[] {
  const over = (pod: Pod): number => (usage.get(pod.metadata.uid ?? '') ?? 0) - (podRequests(pod).get(resource) ?? 0)
  const priority = (pod: Pod): number => pod.spec?.priority ?? 0
  return pods
    .filter((pod) => priority(pod) < CRITICAL_PRIORITY)
    .toSorted((a, b) => Number(over(b) > 0) - Number(over(a) > 0) || priority(a) - priority(b) || over(b) - over(a))
}
