import type { Pod } from '@centaurus/api/core/v1'

import type { ContainerStats } from '../runtime/container-runtime.ts'

/** What `/stats/summary` and `/metrics/resource` are made from. */
export interface StatsInput {
  readonly nodeName: string
  readonly pods: readonly Pod[]
  readonly stats: readonly ContainerStats[]
  readonly nowMs: number
}

/** Source: kubelet stats/v1alpha1 Summary, v1.37; only what the runtime tells. */
export function makeStatsSummary({ nodeName, pods, stats, nowMs }: StatsInput): object {
  const time = new Date(nowMs).toISOString()
  return {
    node: { nodeName, startTime: time, cpu: sumCpu(stats, time), memory: sumMemory(stats, time) },
    pods: pods.map((pod) => {
      const own = stats.filter(({ podUid }) => podUid === pod.metadata.uid)
      return {
        podRef: { name: pod.metadata.name, namespace: pod.metadata.namespace, uid: pod.metadata.uid },
        startTime: pod.status?.startTime,
        containers: own.map((stat) => ({
          name: stat.name,
          startTime: time,
          cpu: sumCpu([stat], time),
          memory: sumMemory([stat], time),
        })),
        cpu: sumCpu(own, time),
        memory: sumMemory(own, time),
      }
    }),
  }
}

function sumCpu(stats: readonly ContainerStats[], time: string): object {
  return { time, usageCoreNanoSeconds: stats.reduce((sum, stat) => sum + stat.cpuUsageCoreNanos, 0) }
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

/** Prometheus text, as the metrics server reads it. Source: kubelet metrics/collectors/resource_metrics.go, v1.37. */
export function formatResourceMetrics({ pods, stats, nowMs }: StatsInput): string {
  const names = new Map(pods.map((pod) => [pod.metadata.uid ?? '', pod]))
  const known = stats.filter(({ podUid }) => names.has(podUid))
  const label = (stat: ContainerStats): string => {
    const { name = '', namespace = '' } = names.get(stat.podUid)!.metadata
    return `{container="${stat.name}",namespace="${namespace}",pod="${name}"}`
  }
  const at = (stat: ContainerStats): number => (stat.timestampMs === 0 ? nowMs : Math.floor(stat.timestampMs))
  return [
    '# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds',
    '# TYPE container_cpu_usage_seconds_total counter',
    ...known.map(
      (stat) => `container_cpu_usage_seconds_total${label(stat)} ${stat.cpuUsageCoreNanos / 1e9} ${at(stat)}`,
    ),
    '# HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes',
    '# TYPE container_memory_working_set_bytes gauge',
    ...known.map(
      (stat) => `container_memory_working_set_bytes${label(stat)} ${stat.memoryWorkingSetBytes} ${at(stat)}`,
    ),
    '# HELP scrape_error [ALPHA] 1 if there was an error while getting container metrics, 0 otherwise',
    '# TYPE scrape_error gauge',
    'scrape_error 0',
    '',
  ].join('\n')
}
