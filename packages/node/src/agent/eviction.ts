import type { Pod } from '@centaurus/api/core/v1'

import type { HostPressure } from '../host/node-host.ts'
import { observePressure } from '../pod/pressure.ts'
import { podLogDirectory } from '../pod/sandbox-config.ts'
import type { ContainerStats } from '../runtime/container-runtime.ts'
import {
  evictionMessage,
  findDiskViolation,
  formatBinary,
  hasDiskLimits,
  isCriticalPod,
  rankForEviction,
  totalUsage,
  type PodDiskUsage,
  type Shortage,
} from './eviction-plan.ts'
import type { PodDeps } from './pod-context.ts'
import type { PodWorker } from './pod-worker.ts'

/** What a pod gets that is evicted at once. Source: kubelet immediateEvictionGracePeriodSeconds, v1.37. */
const GRACE_SECONDS = 1

export interface PressureInput {
  readonly deps: PodDeps
  readonly workers: ReadonlyMap<string, PodWorker>
  /** Frees disk without ending a pod: unused images and the like. */
  readonly reclaimDisk: () => Promise<void>
  readonly recordNodeEvent: (reason: string, message: string) => void
}

/**
 * Ends pods that outgrew their own limits of disk; else, while memory or disk is short, at most one pod a round.
 * Source: kubelet eviction manager synchronize, v1.37.
 */
export async function relievePressure(input: PressureInput): Promise<void> {
  const { deps, workers } = input
  const active = [...workers.values()].filter((worker) => worker.active)
  if (await evictForLimits(active, deps)) return
  const shortage = findShortage(await deps.host.pressure(), deps)
  if (shortage === undefined || active.length === 0) return
  input.recordNodeEvent('EvictionThresholdMet', `Attempting to reclaim ${shortage.resource}`)
  if (shortage.resource === 'ephemeral-storage') {
    await input.reclaimDisk()
    if (findShortage(await deps.host.pressure(), deps) === undefined) return
  }
  const stats = await deps.runtime.listContainerStats()
  const usages = new Map<string, ReadonlyMap<string, number>>()
  for (const { pod, uid } of active) usages.set(uid, await usageOf(pod, shortage, { stats, deps }))
  const usage = new Map([...usages].map(([uid, parts]) => [uid, sum(parts)]))
  const [victim] = rankForEviction(
    active.map(({ pod }) => pod),
    { resource: shortage.resource, usage },
  )
  const worker = workers.get(victim?.metadata.uid ?? '')
  if (victim === undefined || worker === undefined) return
  const message = evictionMessage(victim, shortage, usages.get(worker.uid) ?? new Map())
  evict(worker, message, { deps, isDisruption: true })
}

async function evictForLimits(active: readonly PodWorker[], deps: PodDeps): Promise<boolean> {
  const limited = active.filter(({ pod }) => hasDiskLimits(pod) && !isCriticalPod(pod))
  if (limited.length === 0) return false
  const stats = await deps.runtime.listContainerStats()
  let evicted = false
  for (const worker of limited) {
    const message = findDiskViolation(worker.pod, await measureDisk(worker.pod, { stats, deps }))
    if (message === undefined) continue
    evict(worker, message, { deps, isDisruption: false })
    evicted = true
  }
  return evicted
}

function evict(
  worker: PodWorker,
  message: string,
  { deps, isDisruption }: { readonly deps: PodDeps; readonly isDisruption: boolean },
): void {
  deps.recordEvent(worker.pod, { type: 'Warning', reason: 'Evicted', message })
  worker.fail('Evicted', message, { graceSeconds: GRACE_SECONDS, isDisruption })
}

function findShortage(pressure: HostPressure, { config, node }: PodDeps): Shortage | undefined {
  const observed = observePressure(pressure, config)
  if (observed.has('MemoryPressure')) {
    const threshold = formatBinary(config.evictionMemoryBytesMin)
    return { resource: 'memory', threshold, availableBytes: pressure.memoryAvailableBytes }
  }
  if (!observed.has('DiskPressure')) return undefined
  const capacity = node().diskCapacityBytes
  return {
    resource: 'ephemeral-storage',
    threshold: formatBinary(Math.floor((capacity * config.evictionDiskPercentMin) / 100)),
    availableBytes: Math.floor((capacity * pressure.diskAvailablePercent) / 100),
  }
}

interface Measuring {
  readonly stats: readonly ContainerStats[]
  readonly deps: PodDeps
}

async function usageOf(pod: Pod, { resource }: Shortage, measuring: Measuring): Promise<ReadonlyMap<string, number>> {
  if (resource === 'memory') {
    const own = measuring.stats.filter(({ podUid }) => podUid === pod.metadata.uid)
    return new Map(own.map(({ name, memoryWorkingSetBytes }) => [name, memoryWorkingSetBytes]))
  }
  const usage = await measureDisk(pod, measuring)
  return new Map([...usage.containers, ['', totalUsage({ ...usage, containers: new Map() })]])
}

async function measureDisk(pod: Pod, { stats, deps }: Measuring): Promise<PodDiskUsage> {
  const { files } = deps.host
  const uid = pod.metadata.uid ?? ''
  const emptyDirs = new Map<string, number>()
  for (const { name, emptyDir } of pod.spec?.volumes ?? [])
    if (emptyDir !== undefined && emptyDir.medium !== 'Memory')
      emptyDirs.set(name, await files.measureEmptyDir(uid, name))
  const logs = podLogDirectory(pod, deps.config.podLogsDir)
  const containers = new Map<string, number>()
  for (const { podUid, name, writableLayerBytes } of stats)
    if (podUid === uid) containers.set(name, writableLayerBytes + (await files.measureLogs(logs, name)))
  return { emptyDirs, containers }
}

function sum(parts: ReadonlyMap<string, number>): number {
  return [...parts.values()].reduce((total, bytes) => total + bytes, 0)
}
