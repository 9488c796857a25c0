/** What a run does. Everything is on by default: services, a DaemonSet, events. */
export interface ScaleOptions {
  readonly nodes: number
  /** Pods that run at saturation, those of the DaemonSet included. */
  readonly pods: number
  /** Replicas of one Deployment. */
  readonly deploymentReplicas: number
  /** Pods of their own that are timed, a second and for how long. */
  readonly latencyPodsPerSecond: number
  readonly latencySeconds: number
  /** Pods made and removed a second by scaling, and for how long. */
  readonly churnPodsPerSecond: number
  readonly churnSeconds: number
  /** Nodes that fall silent. */
  readonly failedNodes: number
  /** Whether a resource partition, and then a tenant partition, is killed and started again. */
  readonly crashes: boolean
  /** How long a killed partition stays away. */
  readonly downMs: number
  /** Heartbeats alone, before there is a pod. */
  readonly idleSeconds: number
  readonly services: boolean
  readonly daemonSet: boolean
  readonly events: boolean
  /** Processes of hollow nodes, spread over the resource partitions; 0: one for each, and for each 30,000 nodes. */
  readonly nodeProcesses: number
  readonly leasePeriodMs: number
  readonly nodeStatusPeriodMs: number
  readonly podStartMs: number
  /** Whether nodes write a status also while containers are made: one write more a pod. */
  readonly writesCreating: boolean
  readonly seed: number
}

/** A short run on a small cluster. */
export const DEFAULT_SCALE_OPTIONS: ScaleOptions = {
  nodes: 1_000,
  pods: 5_000,
  deploymentReplicas: 250,
  latencyPodsPerSecond: 20,
  latencySeconds: 30,
  churnPodsPerSecond: 20,
  churnSeconds: 30,
  failedNodes: 5,
  crashes: true,
  downMs: 5_000,
  idleSeconds: 20,
  services: true,
  daemonSet: true,
  events: true,
  nodeProcesses: 0,
  leasePeriodMs: 10_000,
  nodeStatusPeriodMs: 300_000,
  podStartMs: 250,
  writesCreating: false,
  seed: 1,
}
