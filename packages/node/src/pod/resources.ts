import { quantityMilliValue, quantityValue } from '@centaurus/api'
import type { Container, Pod } from '@centaurus/api/core/v1'

import type { LinuxResources } from '../runtime/config.ts'

const QUOTA_PERIOD_US = 100_000
/** The least quota that the kernel takes. Source: kubelet cm.MinQuotaPeriod. */
const QUOTA_US_MIN = 1_000
const SHARES_PER_CPU = 1024
const SHARES_MIN = 2
const SHARES_MAX = 262_144
const OOM_GUARANTEED = -997
const OOM_BEST_EFFORT = 1000
const SYSTEM_CRITICAL_PRIORITY = 2_000_000_000

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort'

/** Source: component-helpers qos.ComputePodQOS, v1.37. */
export function podQosClass(pod: Pod): QosClass {
  const level = pod.spec?.resources
  const sets =
    level?.requests !== undefined || level?.limits !== undefined
      ? [level]
      : allContainers(pod).map((container) => container.resources)
  let any = false
  let guaranteed = true
  for (const resources of sets) {
    for (const name of ['cpu', 'memory'] as const) {
      const request = positive(resources?.requests?.[name])
      const limit = positive(resources?.limits?.[name])
      if (request !== 0 || limit !== 0) any = true
      if (limit === 0 || (request !== 0 && request !== limit)) guaranteed = false
    }
  }
  if (!any) return 'BestEffort'
  return guaranteed ? 'Guaranteed' : 'Burstable'
}

/** The cgroup limits of one container. Source: kuberuntime_container_linux.go and cm/helpers_linux.go, v1.37. */
export function containerResources(pod: Pod, container: Container, memoryCapacityBytes: number): LinuxResources {
  const { requests, limits } = container.resources ?? {}
  const cpuLimitMilli = limits?.['cpu'] === undefined ? 0 : quantityMilliValue(limits['cpu'])
  const cpuRequestMilli = requests?.['cpu'] === undefined ? cpuLimitMilli : quantityMilliValue(requests['cpu'])
  const memoryLimit = limits?.['memory'] === undefined ? 0 : quantityValue(limits['memory'])
  return {
    cpuPeriod: QUOTA_PERIOD_US,
    cpuShares: milliToShares(cpuRequestMilli),
    oomScoreAdj: oomScoreAdjust(pod, container, memoryCapacityBytes),
    ...(cpuLimitMilli === 0
      ? {}
      : { cpuQuota: Math.max(QUOTA_US_MIN, Math.floor((cpuLimitMilli * QUOTA_PERIOD_US) / 1000)) }),
    ...(memoryLimit === 0 ? {} : { memoryLimitInBytes: memoryLimit }),
  }
}

/** Source: cm.MilliCPUToShares. */
export function milliToShares(milli: number): number {
  return Math.min(SHARES_MAX, Math.max(SHARES_MIN, Math.floor((milli * SHARES_PER_CPU) / 1000)))
}

/** Who the kernel kills first. Source: kubelet qos.GetContainerOOMScoreAdjust, v1.37. */
export function oomScoreAdjust(pod: Pod, container: Container, memoryCapacityBytes: number): number {
  if ((pod.spec?.priority ?? 0) >= SYSTEM_CRITICAL_PRIORITY) return OOM_GUARANTEED
  const qos = podQosClass(pod)
  if (qos === 'Guaranteed') return OOM_GUARANTEED
  if (qos === 'BestEffort') return OOM_BEST_EFFORT
  const request = container.resources?.requests?.['memory']
  const share = request === undefined ? 0 : Math.floor((1000 * quantityValue(request)) / memoryCapacityBytes)
  // 1000 is for the best effort, and nobody burstable may sink to the guaranteed.
  return Math.min(OOM_BEST_EFFORT - 1, Math.max(1000 + OOM_GUARANTEED, 1000 - share))
}

/** What a pod takes from its node, in thousandths for cpu and in units for the rest. Source: component-helpers resource.PodRequests, v1.37. */
export function podRequests(pod: Pod): Map<string, number> {
  const total = new Map<string, number>()
  for (const container of pod.spec?.containers ?? []) addRequests(total, container.resources?.requests)
  const sidecars = new Map<string, number>()
  let peak = new Map<string, number>()
  for (const container of pod.spec?.initContainers ?? []) {
    if (container.restartPolicy === 'Always') {
      addRequests(sidecars, container.resources?.requests)
      addRequests(total, container.resources?.requests)
      peak = maxOf(peak, sidecars)
    } else {
      const now = new Map(sidecars)
      addRequests(now, container.resources?.requests)
      peak = maxOf(peak, now)
    }
  }
  const result = maxOf(total, peak)
  for (const [name, value] of Object.entries(pod.spec?.resources?.requests ?? {}))
    result.set(name, measure(name, value))
  addRequests(result, pod.spec?.overhead)
  return result
}

/** Thousandths of a cpu, units of anything else. */
export function measure(name: string, quantity: string): number {
  return name === 'cpu' ? quantityMilliValue(quantity) : quantityValue(quantity)
}

export function allContainers(pod: Pod): Container[] {
  return [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]
}

function addRequests(into: Map<string, number>, requests: Readonly<Record<string, string>> | undefined): void {
  for (const [name, value] of Object.entries(requests ?? {}))
    into.set(name, (into.get(name) ?? 0) + measure(name, value))
}

function maxOf(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): Map<string, number> {
  const result = new Map(a)
  for (const [name, value] of b) result.set(name, Math.max(result.get(name) ?? 0, value))
  return result
}

function positive(quantity: string | undefined): number {
  return quantity === undefined ? 0 : quantityMilliValue(quantity)
}
