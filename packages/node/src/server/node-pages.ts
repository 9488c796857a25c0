import type { Pod } from '@centaurus/api/core/v1'
import type { Clock } from '@centaurus/base'

import type { NodeAgent } from '../agent/node-agent.ts'
import { KUBELET_VERSION } from '../node/node-status.ts'
import { LABEL_CONTAINER_NAME } from '../runtime/labels.ts'
import { formatMetrics } from './metrics-text.ts'

/** A runtime that was not listed for so long is stuck. Source: kubelet relistThreshold, v1.37. */
const RELIST_MS_MAX = 180_000

/** The configuration in upstream's words, as far as it has any. Source: KubeletConfiguration v1beta1, v1.37. */
export function makeConfigz({ config }: NodeAgent): object {
  const seconds = (ms: number): string => `${ms / 1000}s`
  return {
    kubeletconfig: {
      kind: 'KubeletConfiguration',
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      port: config.kubeletPort,
      staticPodPath: config.staticPodDir,
      podLogsDir: config.podLogsDir,
      clusterDomain: config.clusterDomain,
      clusterDNS: config.clusterDns,
      maxPods: config.podsMax,
      nodeStatusUpdateFrequency: seconds(config.nodeStatusPeriodMs),
      nodeStatusReportFrequency: seconds(config.nodeReportPeriodMs),
      nodeLeaseDurationSeconds: config.leaseDurationSeconds,
      imageGCHighThresholdPercent: config.imageGcHighPercent,
      imageGCLowThresholdPercent: config.imageGcLowPercent,
      containerLogMaxSize: String(config.logBytesMax),
      containerLogMaxFiles: config.logFilesMax,
      evictionHard: {
        'memory.available': String(config.evictionMemoryBytesMin),
        'nodefs.available': `${config.evictionDiskPercentMin}%`,
      },
      cgroupRoot: config.cgroupRoot,
      cgroupDriver: 'cgroupfs',
      systemReserved: config.reserved,
      registerWithTaints: config.registerTaints,
    },
  }
}

/** Pods that have anything running, from the runtime alone. Source: kubelet getRunningPods, v1.37. */
export function runningPods(agent: NodeAgent): Pod[] {
  return agent.cache.podUids().flatMap((uid) => {
    const { sandboxes, containers } = agent.cache.get(uid)
    const running = containers.filter(({ phase }) => phase === 'running')
    const [sandbox] = sandboxes
    if (sandbox === undefined || running.length === 0) return []
    const list = running.map(({ labels, name, image }) => ({ name: labels[LABEL_CONTAINER_NAME] ?? name, image }))
    return [
      {
        metadata: { name: sandbox.podName, namespace: sandbox.podNamespace, uid },
        spec: { containers: list },
        status: {},
      },
    ]
  })
}

/** Whether the agent still hears of its runtime. */
export function isSyncing(agent: NodeAgent, clock: Clock): boolean {
  return clock.monotonicMs() - agent.cache.lastRelistMs < RELIST_MS_MAX
}

/** The agent's own metrics, those that operators look for first. Source of the names: kubelet metrics/metrics.go, v1.37. */
export function formatAgentMetrics(agents: readonly NodeAgent[]): string {
  const states = agents.flatMap(({ cache }) => cache.podUids().map((uid) => cache.get(uid)))
  const phases = new Map<string, number>()
  for (const { phase } of states.flatMap(({ containers }) => containers))
    phases.set(phase, (phases.get(phase) ?? 0) + 1)
  const { user, system } = process.cpuUsage()
  return formatMetrics([
    {
      name: 'kubelet_running_pods',
      type: 'gauge',
      help: '[BETA] Number of pods that have a running pod sandbox',
      samples: [{ value: states.filter(({ sandboxes }) => sandboxes.some(({ ready }) => ready)).length }],
    },
    {
      name: 'kubelet_running_containers',
      type: 'gauge',
      help: '[BETA] Number of containers currently running',
      samples: [...phases].map(([phase, value]) => ({ labels: { container_state: phase }, value })),
    },
    {
      name: 'kubelet_node_name',
      type: 'gauge',
      help: "[ALPHA] The node's name. The count is always 1.",
      samples: agents.map(({ config }) => ({ labels: { node: config.nodeName }, value: 1 })),
    },
    {
      name: 'kubernetes_build_info',
      type: 'gauge',
      help: '[BETA] A metric with a constant value of 1, labeled by version.',
      samples: [{ labels: { git_version: KUBELET_VERSION }, value: 1 }],
    },
    {
      name: 'process_cpu_seconds_total',
      type: 'counter',
      help: 'Total user and system CPU time spent in seconds.',
      samples: [{ value: (user + system) / 1e6 }],
    },
    {
      name: 'process_resident_memory_bytes',
      type: 'gauge',
      help: 'Resident memory size in bytes.',
      samples: [{ value: process.memoryUsage.rss() }],
    },
    ...agents.flatMap(({ devices }) => devices?.metrics.read() ?? []),
  ])
}
