/** Training jobs whose workers may become more and fewer, in `centaurus.io/v1`. */
import type { PodTemplateSpec } from '../generated/types/core/v1.ts'
import type { Condition, ObjectMeta } from '../generated/types/meta/v1.ts'
import type { ResourceType } from '../resource-type.ts'

/** Of a pod: the TrainingJob that it is a worker or the launcher of. */
export const TRAINING_JOB_LABEL = 'centaurus.io/training-job'
/** Of such a pod: `worker` or `launcher`. */
export const TRAINING_ROLE_LABEL = 'centaurus.io/training-role'
/** Of a worker: its number from 0. */
export const TRAINING_INDEX_LABEL = 'centaurus.io/training-index'
/** Of such a pod: `status.world` of its job when it was made. */
export const TRAINING_WORLD_LABEL = 'centaurus.io/training-world'
/** Of such a pod whose program is told of them: fewest and most workers. */
export const TRAINING_BOUNDS_ANNOTATION = 'centaurus.io/training-bounds'
/** Of a TrainingJob that its queue has admitted: so many workers at most. Written by the cluster. */
export const ADMITTED_WORKERS_ANNOTATION = 'centaurus.io/admitted-workers'
/** Where workers of Torch meet. Source: the default of torchrun's c10d rendezvous. */
export const TRAINING_PORT = 29_400

/**
 * How workers learn of each other. `Torch`: torchrun's rendezvous, workers come and go while it runs. `Horovod`: a list of hosts that the launcher looks at
 * again and again. `MPI`: a list of hosts for one launch. `Plain`: ranks in the environment, for one launch.
 */
export type TrainingFramework = 'Torch' | 'Horovod' | 'MPI' | 'Plain'

/** Work of several pods that is one. Namespaced. */
export interface TrainingJob {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'TrainingJob' | undefined
  metadata: ObjectMeta
  spec: TrainingJobSpec
  status?: TrainingJobStatus | undefined
}

export interface TrainingJobSpec {
  /** Default Plain. Never changes. */
  framework?: TrainingFramework | undefined
  workers: TrainingWorkers
  /** Runs `horovodrun` or `mpirun` beside the workers, which wait for it; only with Horovod and MPI, which need it. Changes as the template of workers. */
  launcher?: { template: PodTemplateSpec } | undefined
  /** No worker runs; what they have saved stays. Default false. */
  suspend?: boolean | undefined
  /** False: it keeps the number of workers that it has begun with. Default true. */
  resizable?: boolean | undefined
  /** Whether all workers share one batch, whose part of each is smaller the more they are, or each has its own. Default Constant. */
  batch?: 'Constant' | 'PerWorker' | undefined
  checkpoint?: TrainingCheckpoint | undefined
  /** What a change of its workers costs, until it is known better. Default 30. */
  restartSeconds?: number | undefined
  /** Failures of workers before the job has failed. Default 10. */
  maxRestarts?: number | undefined
  /** Failures on a node before its workers go elsewhere. Default 2; 0: never. */
  avoidNodeAfterFailures?: number | undefined
  activeDeadlineSeconds?: number | undefined
  /** It is deleted so long after its end; absent: never. */
  ttlSecondsAfterFinished?: number | undefined
}

export interface TrainingWorkers {
  /** Fewest with which it runs, ≥ 1. They get nodes together or not at all. */
  min: number
  /** Most. */
  max: number
  /** Changes only while the job is suspended. */
  template: PodTemplateSpec
}

/** What happens before a worker is taken away. */
export interface TrainingCheckpoint {
  /** Runs in its first container, which gets SIGTERM afterwards. */
  command?: string[] | undefined
  /** Time for both; default 60. */
  gracePeriodSeconds?: number | undefined
}

export type TrainingPhase = 'Pending' | 'Running' | 'Scaling' | 'Suspended' | 'Succeeded' | 'Failed'

export interface TrainingJobStatus {
  phase?: TrainingPhase | undefined
  /** Why it has as many workers as it has, or none. */
  message?: string | undefined
  workers?: TrainingWorkerCounts | undefined
  /** How often workers have failed. */
  restarts?: number | undefined
  /** Grows whenever all workers begin anew. */
  world?: number | undefined
  startTime?: string | undefined
  completionTime?: string | undefined
  lastScaleTime?: string | undefined
  /** Where its workers are. */
  nodes?: { node: string; workers: number }[] | undefined
  progress?: TrainingProgress | undefined
  /** What it has reported at each number of workers. */
  observations?: TrainingObservation[] | undefined
  /** How fast it is thought to be at some numbers of workers that it may have; what is learned from `observations`. */
  expected?: { workers: number; samplesPerSecond: number }[] | undefined
  /** Where workers have failed. */
  nodeFailures?: { node: string; count: number; lastTime: string }[] | undefined
  /** Uids of failed pods that are counted and not gone yet. */
  countedFailures?: string[] | undefined
  conditions?: Condition[] | undefined
}

export interface TrainingWorkerCounts {
  desired: number
  /** That are not gone, and have not ended. */
  active: number
  ready: number
}

export interface TrainingProgress {
  step: number
  totalSteps?: number | undefined
  percent?: number | undefined
  secondsPerStep?: number | undefined
  samplesPerSecond?: number | undefined
  /** At the speed that it has now. */
  remainingSeconds?: number | undefined
  reportTime: string
}

export interface TrainingObservation {
  workers: number
  /** Samples of one step, over all workers. */
  batch: number
  /** Mean of what was reported. */
  secondsPerStep: number
  /** Reports that it stands for. */
  reports: number
}

/** What a training job says of itself: made by the cluster beside the job, under its name; written by its workers. Namespaced. */
export interface TrainingReport {
  apiVersion?: 'centaurus.io/v1' | undefined
  kind?: 'TrainingReport' | undefined
  metadata: ObjectMeta
  spec?: TrainingReportSpec | undefined
}

export interface TrainingReportSpec {
  /** Steps done. */
  step?: number | undefined
  totalSteps?: number | undefined
  secondsPerStep?: number | undefined
  /** Samples of one step, over all workers. */
  batch?: number | undefined
  /** That took part; absent: those that are ready. */
  workers?: number | undefined
  /** Gradient noise scale in samples, and the batch at which a sample counts whole. */
  noiseScale?: number | undefined
  baseBatch?: number | undefined
}

export const trainingjobs: ResourceType<TrainingJob> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'trainingjobs',
  kind: 'TrainingJob',
  namespaced: true,
}
export const trainingreports: ResourceType<TrainingReport> = {
  group: 'centaurus.io',
  version: 'v1',
  resource: 'trainingreports',
  kind: 'TrainingReport',
  namespaced: true,
}
