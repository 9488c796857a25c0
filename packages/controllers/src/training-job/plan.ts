/** What a TrainingJob needs done, and what is said of it. Pure: survey and wanted number of workers in, pods and status out. */
import { deepEqual, formatTime, isDeleting, setCondition, type Stored } from '@centaurus/api'
import type { TrainingJob, TrainingJobStatus, TrainingPhase } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import type { Condition } from '@centaurus/api/meta/v1'
import { timeMs } from '../frame/pods.ts'
import type { TrainingSurvey } from './survey.ts'
import { buildLauncher, buildWorker, isElasticInPlace, workerIndexOf, type WorldShape } from './worker-pods.ts'

const MAX_RESTARTS = 10
const AVOID_AFTER_FAILURES = 2
const AVOIDED_NODES_MAX = 64
/** Waits before workers that failed are made again: doubles from the first to the last. */
const BACKOFF_MS = 5_000
const BACKOFF_MAX_MS = 300_000

/** How many workers it should have, and why. */
export interface WantedWorkers {
  readonly workers: number
  readonly message: string
}

export interface TrainingPlan {
  readonly remove: readonly Stored<Pod>[]
  readonly create: readonly Pod[]
  readonly status: TrainingJobStatus
  /** Look again after so long; undefined: something will tell. */
  readonly requeueAfterMs: number | undefined
}

type End = { readonly type: 'Complete' | 'Failed'; readonly reason: string; readonly message: string }

export function isTrainingFinished({ status }: Pick<TrainingJob, 'status'>): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed'
}

export function planTrainingJob(survey: TrainingSurvey, wanted: WantedWorkers): TrainingPlan {
  const { job, failed, nowMs } = survey
  if (isDeleting(job)) return { remove: [], create: [], status: job.status ?? {}, requeueAfterMs: undefined }
  const counted = countFailures(survey)
  const status: TrainingJobStatus = { ...job.status, ...counted }
  const end = endOf(survey, status)
  if (end !== undefined) return planEnd(survey, status, end)
  if (job.spec.suspend === true) return planSuspended(survey, status)
  const desired = wanted.workers
  // Failed pods go once they are counted in what is stored.
  const stored = new Set(job.status?.countedFailures ?? [])
  const remove = [...failed.filter(({ metadata }) => stored.has(metadata.uid)), ...survey.strangers]
  const change = isElasticInPlace(job) ? changeInPlace(survey, desired) : changeWorld(survey, desired)
  const world = (job.status?.world ?? 0) + (change.isNewWorld ? 1 : 0)
  const waitMs = backoffLeftMs(status, nowMs)
  const mayCreate = !change.isNewWorld && waitMs === 0 && survey.strangers.length === 0 && failed.length === 0
  const create = mayCreate ? missingPods(survey, { desired, world, status }) : []
  const changed = desired !== (job.status?.workers?.desired ?? 0)
  return {
    remove: [...remove, ...change.remove],
    create,
    status: describe(survey, {
      ...status,
      ...(world === 0 && job.status?.world === undefined ? {} : { world }),
      message: wanted.message,
      workers: { desired, active: survey.workers.length, ready: survey.ready },
      ...(changed ? { lastScaleTime: formatTime(nowMs) } : {}),
      phase: phaseOf(survey, desired),
      ...(status.startTime === undefined && survey.ready > 0 ? { startTime: formatTime(nowMs) } : {}),
    }),
    requeueAfterMs: waitMs > 0 ? waitMs : deadlineLeftMs(job, status, nowMs),
  }
}

/** Each failed pod counts once: its uid is stored with the count, and until it is gone. */
function countFailures({ job, failed, leaving, nowMs }: TrainingSurvey): Partial<TrainingJobStatus> {
  const known = new Set(job.status?.countedFailures ?? [])
  const fresh = failed.filter(({ metadata }) => !known.has(metadata.uid))
  const present = new Set([...failed, ...leaving].map(({ metadata }) => metadata.uid))
  const countedFailures = [
    ...[...known].filter((uid) => present.has(uid)),
    ...fresh.map(({ metadata }) => metadata.uid),
  ]
  if (fresh.length === 0) return known.size === countedFailures.length ? {} : { countedFailures }
  const nodes = new Map((job.status?.nodeFailures ?? []).map((each) => [each.node, each]))
  for (const { spec } of fresh) {
    const node = spec?.nodeName
    if (node) nodes.set(node, { node, count: (nodes.get(node)?.count ?? 0) + 1, lastTime: formatTime(nowMs) })
  }
  // What fails together is one failure of the job: the others ended because one did.
  const nodeFailures = [...nodes.values()]
    .toSorted((a, b) => b.lastTime.localeCompare(a.lastTime))
    .slice(0, AVOIDED_NODES_MAX)
  return { countedFailures, nodeFailures, restarts: (job.status?.restarts ?? 0) + 1 }
}

export function avoidedNodes({ spec }: Pick<TrainingJob, 'spec'>, { nodeFailures = [] }: TrainingJobStatus): string[] {
  const limit = spec.avoidNodeAfterFailures ?? AVOID_AFTER_FAILURES
  return limit === 0
    ? []
    : nodeFailures
        .filter(({ count }) => count >= limit)
        .map(({ node }) => node)
        .toSorted()
}

function endOf({ job, isDone, nowMs }: TrainingSurvey, status: TrainingJobStatus): End | undefined {
  if (isDone) return { type: 'Complete', reason: 'Succeeded', message: 'Its first worker, or launcher, has succeeded' }
  const restarts = status.restarts ?? 0
  const allowed = job.spec.maxRestarts ?? MAX_RESTARTS
  if (restarts > allowed) {
    const message = `Workers have failed ${restarts} times; maxRestarts is ${allowed}. Look at the logs of the last one, then make it again`
    return { type: 'Failed', reason: 'MaxRestartsExceeded', message }
  }
  if (deadlineLeftMs(job, status, nowMs) === 0)
    return { type: 'Failed', reason: 'DeadlineExceeded', message: 'It ran longer than activeDeadlineSeconds' }
  return undefined
}

function deadlineLeftMs({ spec }: TrainingJob, status: TrainingJobStatus, nowMs: number): number | undefined {
  const startMs = timeMs(status.startTime)
  if (spec.activeDeadlineSeconds === undefined || startMs === undefined || spec.suspend === true) return undefined
  return Math.max(0, startMs + spec.activeDeadlineSeconds * 1_000 - nowMs)
}

function planEnd(survey: TrainingSurvey, status: TrainingJobStatus, { type, reason, message }: End): TrainingPlan {
  const { nowMs, workers, launcher, strangers } = survey
  const phase = type === 'Complete' ? 'Succeeded' : 'Failed'
  const { progress } = status
  return {
    remove: [...workers, ...strangers, ...(launcher === undefined ? [] : [launcher])],
    create: [],
    status: {
      ...status,
      phase,
      message,
      completionTime: formatTime(nowMs),
      workers: { desired: 0, active: 0, ready: 0 },
      nodes: [],
      ...(progress === undefined ? {} : { progress: ended(progress, phase) }),
      conditions: setCondition(status.conditions, conditionOf({ type, status: 'True', reason, message }, nowMs), nowMs),
    },
    requeueAfterMs: undefined,
  }
}

function ended(progress: NonNullable<TrainingJobStatus['progress']>, phase: TrainingPhase): typeof progress {
  if (phase !== 'Succeeded') return progress
  return { ...progress, remainingSeconds: 0, ...(progress.percent === undefined ? {} : { percent: 100 }) }
}

function planSuspended(survey: TrainingSurvey, status: TrainingJobStatus): TrainingPlan {
  const { workers, launcher, strangers, failed, ready } = survey
  const { startTime: _, ...rest } = status
  return {
    remove: [...workers, ...strangers, ...failed, ...(launcher === undefined ? [] : [launcher])],
    create: [],
    status: describe(survey, {
      ...rest,
      phase: 'Suspended',
      message: 'spec.suspend is true',
      workers: { desired: 0, active: workers.length, ready },
    }),
    requeueAfterMs: undefined,
  }
}

interface Change {
  readonly remove: readonly Stored<Pod>[]
  readonly isNewWorld: boolean
}

/** The others go on. Who has no node goes first, then the highest number; the first, where they meet, last. */
function changeInPlace({ workers, launcher }: TrainingSurvey, desired: number): Change {
  const surplus = workers.length - desired
  const order = workers.toSorted(
    (a, b) =>
      Number(Boolean(a.spec?.nodeName)) - Number(Boolean(b.spec?.nodeName)) || workerIndexOf(b) - workerIndexOf(a),
  )
  const first = order.findIndex((pod) => workerIndexOf(pod) === 0)
  if (first >= 0) order.push(...order.splice(first, 1))
  const idleLauncher = desired === 0 && launcher !== undefined ? [launcher] : []
  return { remove: [...order.slice(0, Math.max(0, surplus)), ...idleLauncher], isNewWorld: false }
}

/** All begin anew when their number changes, or one of them has failed. */
function changeWorld({ job, workers, failed, launcher }: TrainingSurvey, desired: number): Change {
  const before = job.status?.workers?.desired ?? 0
  const isChanged = before !== desired || failed.length > 0
  if (!isChanged || (workers.length === 0 && launcher === undefined && failed.length === 0))
    return { remove: [], isNewWorld: false }
  return { remove: [...workers, ...(launcher === undefined ? [] : [launcher])], isNewWorld: true }
}

function missingPods(
  { job, workers, launcher, leaving, ready }: TrainingSurvey,
  { desired, world, status }: { desired: number; world: number; status: TrainingJobStatus },
): Pod[] {
  const shape: WorldShape = { world, workers: desired, avoid: avoidedNodes(job, status) }
  // In a new world nobody begins before the last of the old one is gone.
  if (!isElasticInPlace(job) && leaving.length > 0) return []
  const taken = new Set([...workers, ...leaving].map(workerIndexOf))
  const create: Pod[] = []
  for (let index = 0; create.length + workers.length < desired && index < desired + taken.size; index++)
    if (!taken.has(index)) create.push(buildWorker(job, index, shape))
  const needsLauncher = job.spec.launcher !== undefined && launcher === undefined
  const mayLaunch = isElasticInPlace(job) ? ready >= job.spec.workers.min : ready >= desired
  return needsLauncher && desired > 0 && mayLaunch ? [...create, buildLauncher(job, shape)] : create
}

function backoffLeftMs({ restarts = 0, nodeFailures = [] }: TrainingJobStatus, nowMs: number): number {
  const lastMs = Math.max(0, ...nodeFailures.map(({ lastTime }) => timeMs(lastTime) ?? 0))
  if (restarts === 0 || lastMs === 0) return 0
  return Math.max(0, lastMs + Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** (restarts - 1)) - nowMs)
}

function phaseOf({ workers, ready, job }: TrainingSurvey, desired: number): TrainingPhase {
  if (ready < Math.min(job.spec.workers.min, desired) || desired === 0) return 'Pending'
  return workers.length === desired && ready === desired ? 'Running' : 'Scaling'
}

function conditionOf(said: Omit<Condition, 'lastTransitionTime'>, nowMs: number): Condition {
  return { ...said, lastTransitionTime: formatTime(nowMs) }
}

/** Fills in where workers are, and the conditions; leaves what did not change as it is. */
function describe({ job, workers, nowMs }: TrainingSurvey, status: TrainingJobStatus): TrainingJobStatus {
  const counts = new Map<string, number>()
  for (const { spec } of workers) if (spec?.nodeName) counts.set(spec.nodeName, (counts.get(spec.nodeName) ?? 0) + 1)
  const nodes = [...counts]
    .map(([node, count]) => ({ node, workers: count }))
    .toSorted((a, b) => a.node.localeCompare(b.node))
  const { phase, message = '' } = status
  const said = (type: string, isTrue: boolean, reason: string): Condition =>
    conditionOf({ type, status: isTrue ? 'True' : 'False', reason, message }, nowMs)
  let { conditions } = status
  conditions = setCondition(
    conditions,
    said('Running', phase === 'Running' || phase === 'Scaling', phase ?? 'Pending'),
    nowMs,
  )
  conditions = setCondition(
    conditions,
    said('Suspended', phase === 'Suspended', phase === 'Suspended' ? 'Suspended' : 'Resumed'),
    nowMs,
  )
  const next = { ...status, nodes, conditions }
  return deepEqual(next, job.status ?? {}) ? job.status! : next
}
