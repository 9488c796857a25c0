import type { Taint } from '@centaurus/api/core/v1'

import type { SandboxDetail } from '../runtime/container-runtime.ts'

/** What a node is called, where it keeps things, and its limits. Every value with a default may be left out. */
export interface NodeAgentConfig {
  readonly nodeName: string
  /** Addresses of this host, primary first; pods see the first as status.hostIP. */
  readonly hostIps: readonly string[]
  /** Holds `pods/UID/…`. */
  readonly rootDir: string
  readonly podLogsDir: string
  readonly seccompDir: string
  readonly clusterDns: readonly string[]
  readonly clusterDomain: string
  /** Port of the kubelet API; 0: none. */
  readonly kubeletPort: number
  readonly labels: Readonly<Record<string, string>>
  readonly registerTaints: readonly Taint[]
  readonly podsMax: number
  /** Kept back from pods: quantities by resource name. */
  readonly reserved: Readonly<Record<string, string>>
  /** Parent cgroup of pods, such as `/centaurus`; '': the runtime's own choice. */
  readonly cgroupRoot: string
  /** How often the node's state is looked at. */
  readonly nodeStatusPeriodMs: number
  /** How often an unchanged node is reported all the same. */
  readonly nodeReportPeriodMs: number
  readonly leaseDurationSeconds: number
  /** How often a runtime without events is listed. */
  readonly relistPeriodMs: number
  /** How often a runtime with events is listed. */
  readonly relistWithEventsPeriodMs: number
  /** Whether config maps and secrets of running pods are watched, so that their volumes change at once. */
  readonly watchObjects: boolean
  /** How long a config map or secret that was read, and is not watched, may be used again. */
  readonly objectTtlMs: number
  readonly housekeepingPeriodMs: number
  readonly imageGcHighPercent: number
  readonly imageGcLowPercent: number
  /** How often memory and disk, and pods' limits of it, are looked at. */
  readonly evictionPeriodMs: number
  readonly evictionMemoryBytesMin: number
  readonly evictionDiskPercentMin: number
  readonly logBytesMax: number
  readonly logFilesMax: number
  /** Folder of manifests of static pods; '': none. */
  readonly staticPodDir: string
  /** Address by which this host reaches a sandbox, for probes and hooks; '': none. Differs from the pod's own in networks whose addresses overlap with others. */
  readonly hostAddressOf: (sandbox: Pick<SandboxDetail, 'id' | 'ips'>) => string
}

/** Source of the numbers: KubeletConfiguration v1beta1 defaults, v1.37. */
export const NODE_AGENT_DEFAULTS: Omit<NodeAgentConfig, 'nodeName' | 'hostIps'> = {
  rootDir: '/var/lib/centaurus/node',
  podLogsDir: '/var/log/pods',
  seccompDir: '/var/lib/centaurus/node/seccomp',
  clusterDns: ['10.96.0.10'],
  clusterDomain: 'cluster.local',
  kubeletPort: 0,
  labels: {},
  registerTaints: [],
  podsMax: 110,
  reserved: {},
  cgroupRoot: '',
  nodeStatusPeriodMs: 10_000,
  nodeReportPeriodMs: 300_000,
  leaseDurationSeconds: 40,
  relistPeriodMs: 1_000,
  relistWithEventsPeriodMs: 60_000,
  watchObjects: true,
  objectTtlMs: 30_000,
  housekeepingPeriodMs: 60_000,
  imageGcHighPercent: 85,
  imageGcLowPercent: 80,
  evictionPeriodMs: 10_000,
  evictionMemoryBytesMin: 100 * 1024 * 1024,
  evictionDiskPercentMin: 10,
  logBytesMax: 10 * 1024 * 1024,
  logFilesMax: 5,
  staticPodDir: '',
  hostAddressOf: ({ ips }) => ips[0] ?? '',
}

export type NodeAgentOptions = Pick<NodeAgentConfig, 'nodeName' | 'hostIps'> & Partial<NodeAgentConfig>

export function completeConfig(options: NodeAgentOptions): NodeAgentConfig {
  return { ...NODE_AGENT_DEFAULTS, ...options }
}
