/** Deciding which workloads of a tenant run, without the API: for benches, and for controllers that ask what would happen. */
export { explain, positionsOf, type ExplainOptions, type Lack, type PendingReason } from './core/explain.ts'
export { Queues } from './core/queues.ts'
export type { Amounts } from './core/amounts.ts'
export type {
  Admission,
  Counts,
  Eviction,
  EvictionReason,
  PodSet,
  QueuePlan,
  QueueSettings,
  Quota,
  Workload,
} from './core/types.ts'
