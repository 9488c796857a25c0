import { formatQuantity, quantityOfUnits, quantityValue, podLimits } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'

import { allContainers, podRequests } from '../pod/resources.ts'
import { isMirrorPod, isStaticPod } from '../pod/static-pod.ts'

const CRITICAL_PRIORITY = 2_000_000_000
const KIB = 1024
const UNITS = ['', 'Ki', 'Mi', 'Gi', 'Ti']

/** What one pod takes of the node's disk, bytes. */
export interface PodDiskUsage {
  /** By the volume's name; disk-backed emptyDirs only. */
  readonly emptyDirs: ReadonlyMap<string, number>
  /** Writable layer and logs, by the container's name. */
  readonly containers: ReadonlyMap<string, number>
}

/** True for pods that are never evicted. Source: kubelet types IsCriticalPod, v1.37. */
export function isCriticalPod(pod: Pod): boolean {
  return isStaticPod(pod) || isMirrorPod(pod) || (pod.spec?.priority ?? 0) >= CRITICAL_PRIORITY
}

/** Pods in the order in which they go: over their request, then by priority, then by how far over. Critical ones never. Pure. */
export function rankForEviction(
  pods: readonly Pod[],
  { resource, usage }: { readonly resource: string; readonly usage: ReadonlyMap<string, number> },
): Pod[] {
  const over = (pod: Pod): number => (usage.get(pod.metadata.uid ?? '') ?? 0) - (podRequests(pod).get(resource) ?? 0)
  const priority = (pod: Pod): number => pod.spec?.priority ?? 0
  return pods
    .filter((pod) => !isCriticalPod(pod))
    .toSorted((a, b) => Number(over(b) > 0) - Number(over(a) > 0) || priority(a) - priority(b) || over(b) - over(a))
}

/** Whether the pod has limits that only a look at the disk can tell. */
export function hasDiskLimits(pod: Pod): boolean {
  const { volumes = [] } = pod.spec ?? {}
  return (
    volumes.some(({ emptyDir }) => emptyDir?.sizeLimit !== undefined && emptyDir.medium !== 'Memory') ||
    allContainers(pod).some(({ resources }) => resources?.limits?.['ephemeral-storage'] !== undefined)
  )
}

/**
 * The message of the first limit that the pod is over; undefined when it keeps to all. Memory-backed volumes are held by the kernel. Pure.
 * Source: kubelet eviction localStorageEviction and its messages, v1.37.
 */
export function findDiskViolation(pod: Pod, { emptyDirs, containers }: PodDiskUsage): string | undefined {
  for (const { name, emptyDir } of pod.spec?.volumes ?? []) {
    const limit = emptyDir?.sizeLimit
    if (limit === undefined || emptyDir?.medium === 'Memory' || quantityValue(limit) <= 0) continue
    if ((emptyDirs.get(name) ?? 0) > quantityValue(limit))
      return `Usage of EmptyDir volume ${JSON.stringify(name)} exceeds the limit ${JSON.stringify(limit)}. `
  }
  const podLimit = pod.spec === undefined ? undefined : podLimits(pod.spec)['ephemeral-storage']
  if (podLimit !== undefined && totalUsage({ emptyDirs, containers }) > podLimit)
    return `Pod ephemeral local storage usage exceeds the total limit of containers ${formatBinary(podLimit)}. `
  for (const container of allContainers(pod)) {
    const limit = container.resources?.limits?.['ephemeral-storage']
    if (limit === undefined || quantityValue(limit) === 0) continue
    if ((containers.get(container.name) ?? 0) > quantityValue(limit))
      return `Container ${container.name} exceeded its local ephemeral storage limit ${JSON.stringify(limit)}. `
  }
  return undefined
}

/** All that a pod takes, bytes. */
export function totalUsage({ emptyDirs, containers }: PodDiskUsage): number {
  return [...emptyDirs.values(), ...containers.values()].reduce((sum, bytes) => sum + bytes, 0)
}

export interface Shortage {
  readonly resource: 'memory' | 'ephemeral-storage'
  /** As the configuration has it: a quantity. */
  readonly threshold: string
  readonly availableBytes: number
}

/** Why a pod goes: what the node lacks, and which containers take more than they asked for. Source: kubelet evictionMessage, v1.37. */
export function evictionMessage(
  pod: Pod,
  { resource, threshold, availableBytes }: Shortage,
  usage: ReadonlyMap<string, number>,
): string {
  const parts = [
    `The node was low on resource: ${resource}. `,
    `Threshold quantity: ${threshold}, available: ${formatBinary(availableBytes)}. `,
  ]
  for (const container of allContainers(pod)) {
    const used = usage.get(container.name)
    const request = container.resources?.requests?.[resource] ?? '0'
    if (used !== undefined && used > quantityValue(request))
      parts.push(
        `Container ${container.name} was using ${formatBinary(used)}, request is ${request}, has larger consumption of ${resource}. `,
      )
  }
  return parts.join('')
}

/** As Go prints a binary quantity: in the largest unit that divides it. */
export function formatBinary(bytes: number): string {
  let value = Math.round(bytes)
  let unit = 0
  while (value >= KIB && value % KIB === 0 && unit < UNITS.length - 1) {
    value /= KIB
    unit += 1
  }
  return unit === 0 ? formatQuantity(quantityOfUnits(value)) : `${value}${UNITS[unit]}`
}
