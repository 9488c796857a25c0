import type { Pod } from '@centaurus/api/core/v1'

import type { HostUsage } from '../host/node-host.ts'
import type { ContainerStats } from '../runtime/container-runtime.ts'
import { formatMetrics, type Metric, type Sample } from './metrics-text.ts'

/** What `/stats/summary` and `/metrics/resource` are made from. */
export interface StatsInput {
  readonly nodeName: string
  readonly pods: readonly Pod[]
  readonly stats: readonly ContainerStats[]
  /** Of the whole machine; undefined: the sum of the containers is told instead. */
  readonly host: HostUsage | undefined
  readonly nowMs: number
}

/** Source: kubelet stats/v1alpha1 Summary, v1.37; only what the runtime and the machine tell. */
export function makeStatsSummary(input: StatsInput): object {
  const { nodeName, pods, stats, nowMs } = input
  const time = new Date(nowMs).toISOString()
  const node = nodeUsage(input)
  return {
    node: {
      nodeName,
      startTime: time,
      cpu: { time, usageNanoCores: node.cpuUsageNanoCores, usageCoreNanoSeconds: node.cpuUsageNanos },
      memory: { time, workingSetBytes: node.memoryWorkingSetBytes, availableBytes: node.memoryAvailableBytes },
    },
    pods: pods.map((pod) => {
      const own = stats.filter(({ podUid }) => podUid === pod.metadata.uid)
      return {
        podRef: { name: pod.metadata.name, namespace: pod.metadata.namespace, uid: pod.metadata.uid },
        startTime: pod.status?.startTime,
        containers: own.map((stat) => ({
          name: stat.name,
          startTime: startOf(pod, stat.name) ?? time,
          cpu: sumCpu([stat], timeOf(stat, time)),
          memory: sumMemory([stat], timeOf(stat, time)),
          rootfs: { time, usedBytes: stat.writableLayerBytes },
        })),
        cpu: sumCpu(own, time),
        memory: sumMemory(own, time),
      }
    }),
  }
}

type NodeUsage = Partial<HostUsage> &
  Omit<HostUsage, 'memoryAvailableBytes'> & { readonly cpuUsageNanoCores?: number | undefined }

function nodeUsage({ host, stats }: StatsInput): NodeUsage {
  return (
    host ?? {
      cpuUsageNanos: stats.reduce((sum, stat) => sum + stat.cpuUsageCoreNanos, 0),
      cpuUsageNanoCores: sumNanoCores(stats),
      memoryWorkingSetBytes: stats.reduce((sum, stat) => sum + stat.memoryWorkingSetBytes, 0),
    }
  )
}

/** When the runtime measured. */
function timeOf({ timestampMs }: ContainerStats, now: string): string {
  return timestampMs === 0 ? now : new Date(timestampMs).toISOString()
}

/** Undefined when the runtime does not tell it of all. */
function sumNanoCores(stats: readonly ContainerStats[]): number | undefined {
  return stats.reduce<number | undefined>(
    (sum, { cpuUsageNanoCores }) =>
      sum === undefined || cpuUsageNanoCores === undefined ? undefined : sum + cpuUsageNanoCores,
    0,
  )
}

function sumCpu(stats: readonly ContainerStats[], time: string): object {
  const usageNanoCores = sumNanoCores(stats)
  return { time, usageNanoCores, usageCoreNanoSeconds: stats.reduce((sum, stat) => sum + stat.cpuUsageCoreNanos, 0) }
}

function sumMemory(stats: readonly ContainerStats[], time: string): object {
  const sum = (pick: (stat: ContainerStats) => number): number => stats.reduce((total, stat) => total + pick(stat), 0)
  return {
    time,
    usageBytes: sum((stat) => stat.memoryUsageBytes),
    workingSetBytes: sum((stat) => stat.memoryWorkingSetBytes),
    rssBytes: sum((stat) => stat.memoryRssBytes),
  }
}

function startOf(pod: Pod, containerName: string): string | undefined {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  return statuses.find(({ name }) => name === containerName)?.state?.running?.startedAt
}

const HELP = {
  container_cpu_usage_seconds_total: '[STABLE] Cumulative cpu time consumed by the container in core-seconds',
  container_memory_working_set_bytes: '[STABLE] Current working set of the container in bytes',
  container_start_time_seconds: '[STABLE] Start time of the container since unix epoch in seconds',
  node_cpu_usage_seconds_total: '[STABLE] Cumulative cpu time consumed by the node in core-seconds',
  node_memory_working_set_bytes: '[STABLE] Current working set of the node in bytes',
  pod_cpu_usage_seconds_total: '[STABLE] Cumulative cpu time consumed by the pod in core-seconds',
  pod_memory_working_set_bytes: '[STABLE] Current working set of the pod in bytes',
  resource_scrape_error: '[STABLE] 1 if there was an error while getting container metrics, 0 otherwise',
  scrape_error:
    '[ALPHA] (Deprecated since 1.29.0) 1 if there was an error while getting container metrics, 0 otherwise',
} as const

/** Prometheus text, as the metrics server reads it. Source: kubelet metrics/collectors/resource_metrics.go, v1.37. */
export function formatResourceMetrics(input: StatsInput): string {
  const { pods, stats, nowMs } = input
  const byUid = new Map(pods.map((pod) => [pod.metadata.uid ?? '', pod]))
  const known = stats.flatMap((stat) => {
    const pod = byUid.get(stat.podUid)
    return pod === undefined ? [] : [{ stat, pod, labels: { container: stat.name, ...podLabels(pod) } }]
  })
  const timeOf = ({ timestampMs }: ContainerStats): number => (timestampMs === 0 ? nowMs : Math.floor(timestampMs))
  const perContainer = (pick: (stat: ContainerStats) => number): Sample[] =>
    known.map(({ stat, labels }) => ({ labels, value: pick(stat), timeMs: timeOf(stat) }))
  const perPod = (pick: (stat: ContainerStats) => number): Sample[] =>
    [...new Set(known.map(({ pod }) => pod))].map((pod) => {
      const own = stats.filter(({ podUid }) => podUid === pod.metadata.uid)
      return { labels: podLabels(pod), value: own.reduce((sum, stat) => sum + pick(stat), 0), timeMs: timeOf(own[0]!) }
    })
  const starts = known.flatMap(({ stat, pod, labels }): Sample[] => {
    const start = startOf(pod, stat.name)
    return start === undefined ? [] : [{ labels, value: Date.parse(start) / 1000 }]
  })
  const node = nodeUsage(input)
  const cpu = (stat: ContainerStats): number => stat.cpuUsageCoreNanos / 1e9
  const memory = (stat: ContainerStats): number => stat.memoryWorkingSetBytes
  const samples: readonly [keyof typeof HELP, Metric['type'], readonly Sample[]][] = [
    ['container_cpu_usage_seconds_total', 'counter', perContainer(cpu)],
    ['container_memory_working_set_bytes', 'gauge', perContainer(memory)],
    ['container_start_time_seconds', 'gauge', starts],
    ['node_cpu_usage_seconds_total', 'counter', [{ value: node.cpuUsageNanos / 1e9, timeMs: nowMs }]],
    ['node_memory_working_set_bytes', 'gauge', [{ value: node.memoryWorkingSetBytes, timeMs: nowMs }]],
    ['pod_cpu_usage_seconds_total', 'counter', perPod(cpu)],
    ['pod_memory_working_set_bytes', 'gauge', perPod(memory)],
    ['resource_scrape_error', 'gauge', [{ value: 0 }]],
    ['scrape_error', 'gauge', [{ value: 0 }]],
  ]
  return formatMetrics(samples.map(([name, type, list]) => ({ name, type, help: HELP[name], samples: list })))
}

/** The names that dashboards look for, from what CRI tells. Source: cadvisor metrics/prometheus.go, as kubelet v1.37 serves it. */
export function formatCadvisorMetrics({ pods, stats, nowMs }: StatsInput): string {
  const byUid = new Map(pods.map((pod) => [pod.metadata.uid ?? '', pod]))
  const samples = (pick: (stat: ContainerStats) => number, extra: Record<string, string> = {}): Sample[] =>
    stats.flatMap((stat): Sample[] => {
      const pod = byUid.get(stat.podUid)
      if (pod === undefined) return []
      const labels = { container: stat.name, ...extra, id: stat.containerId, ...podLabels(pod) }
      return [{ labels, value: pick(stat), timeMs: stat.timestampMs === 0 ? nowMs : Math.floor(stat.timestampMs) }]
    })
  const metric = (name: string, type: Metric['type'], help: string, list: readonly Sample[]): Metric => ({
    name,
    type,
    help,
    samples: list,
  })
  return formatMetrics([
    metric(
      'container_cpu_usage_seconds_total',
      'counter',
      'Cumulative cpu time consumed in seconds.',
      samples((stat) => stat.cpuUsageCoreNanos / 1e9, { cpu: 'total' }),
    ),
    metric(
      'container_memory_usage_bytes',
      'gauge',
      'Current memory usage in bytes, including all memory regardless of when it was accessed',
      samples((stat) => stat.memoryUsageBytes),
    ),
    metric(
      'container_memory_working_set_bytes',
      'gauge',
      'Current working set in bytes.',
      samples((stat) => stat.memoryWorkingSetBytes),
    ),
    metric(
      'container_memory_rss',
      'gauge',
      'Size of RSS in bytes.',
      samples((stat) => stat.memoryRssBytes),
    ),
    metric(
      'container_fs_usage_bytes',
      'gauge',
      'Number of bytes that are consumed by the container on this filesystem.',
      samples((stat) => stat.writableLayerBytes),
    ),
  ])
}

function podLabels({ metadata }: Pod): Record<string, string> {
  return { namespace: metadata.namespace ?? '', pod: metadata.name ?? '' }
}
