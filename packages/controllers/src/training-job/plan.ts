/** What a TrainingJob needs done, and what is said of it. Pure: survey and wanted number of workers in, pods and status out. */
import { deepEqual, formatTime, isDeleting, isPodReady, podCondition, setCondition, type Stored } from '@centaurus/api'
import type { TrainingJob, TrainingJobStatus, TrainingPhase } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import type { Condition } from '@centaurus/api/meta/v1'
import { timeMs } from '../frame/pods.ts'
import type { TrainingSurvey } from './survey.ts'
import {
  buildLauncher,
  buildWorker,
  isElasticInPlace,
  isOutdated,
  workerIndexOf,
  worldOf,
  type WorldShape,
} from './worker-pods.ts'

const MAX_RESTARTS = 10
const AVOID_AFTER_FAILURES = 2
const AVOIDED_NODES_MAX = 64
/** Pods and nodes that a message names. */
const NAMED_MAX = 4
/** Waits before workers that failed are made again: doubles from the first to the last. */
const BACKOFF_MS = 5_000
const BACKOFF_MAX_MS = 300_000

/** How many workers it should have, and why. */
export interface WantedWorkers {
  readonly workers: number
  readonly message: string
  /** Time alone may change it after so long; undefined: it does not. */
  readonly againAfterMs?: number | undefined
}

/** What is around a job that a plan goes by. */
export interface TrainingSite {
  /** Of these nodes, the ones that the job can do without. */
  readonly spare?: ((nodes: readonly string[]) => readonly string[]) | undefined
  /** Whether a pod that is not the job's own has this name. */
  readonly isTaken?: ((name: string) => boolean) | undefined
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

export function planTrainingJob(
  survey: TrainingSurvey,
  wanted: WantedWorkers,
  { spare = (nodes) => nodes, isTaken = () => false }: TrainingSite = {},
): TrainingPlan {
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
  const isCounted = (pod: Stored<Pod>): boolean => stored.has(pod.metadata.uid) || isDisrupted(pod)
  const remove = [...failed.filter(isCounted), ...survey.strangers]
  const change = isElasticInPlace(job) ? changeInPlace(survey, desired) : changeWorld(survey, desired)
  const world = (job.status?.world ?? 0) + (change.isNewWorld ? 1 : 0)
  const waitMs = backoffLeftMs(status, nowMs)
  const mayCreate = !change.isNewWorld && waitMs === 0 && survey.strangers.length === 0 && failed.length === 0
  const avoid = spare(avoidedNodes(job, status))
  const missing = mayCreate ? missingPods(survey, { world, workers: desired, avoid }) : []
  const taken = missing.map(({ metadata }) => metadata.name ?? '').filter(isTaken)
  const changed = desired !== (job.status?.workers?.desired ?? 0)
  return {
    remove: [...remove, ...change.remove],
    create: taken.length > 0 ? [] : missing,
    status: describe(survey, {
      ...status,
      ...(world === 0 && job.status?.world === undefined ? {} : { world }),
      message: messageOf(survey, { message: wanted.message, taken, avoid }),
      workers: { desired, active: survey.workers.length, ready: survey.ready },
      ...(changed ? { lastScaleTime: formatTime(nowMs) } : {}),
      phase: phaseOf(survey, desired),
      ...(status.startTime === undefined && hasBegun(survey, desired) ? { startTime: formatTime(nowMs) } : {}),
    }),
    requeueAfterMs: soonest(waitMs || undefined, deadlineLeftMs(job, status, nowMs), wanted.againAfterMs),
  }
}

/** One that is not resizable keeps its number from here on, so all must have found nodes. */
function hasBegun({ job, ready }: TrainingSurvey, desired: number): boolean {
  return ready > 0 && (job.spec.resizable !== false || ready === desired)
}

function soonest(...times: (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

/** What keeps it from what is wanted comes before why that is wanted. */
function messageOf(
  survey: TrainingSurvey,
  { message, taken, avoid }: { message: string; taken: readonly string[]; avoid: readonly string[] },
): string {
  const { leaving, workers, job } = survey
  const of = (names: readonly string[]): string => names.slice(0, NAMED_MAX).join(', ')
  if (taken.length > 0)
    return `It can't make pods ${of(taken)}: others have these names. Delete those, or give the job another name`
  const ends = leaving.map(({ metadata, spec }) => `${metadata.name} on ${spec?.nodeName || 'no node'}`)
  if (workers.length === 0 && ends.length > 0)
    return `It waits for the end of ${of(ends)}; if a node is gone for good, delete its pods by force. ${message}`
  return avoid.length > 0 && !job.spec.suspend
    ? `${message}. Its workers have failed on ${of(avoid)}, and go elsewhere`
    : message
}

/** Ended by the cluster, not by itself. */
function isDisrupted(pod: Pod): boolean {
  return podCondition(pod, 'DisruptionTarget')?.status === 'True'
}

/** Something else than room keeps the job from going on; pods that run do. */
export function planBlocked(survey: TrainingSurvey, message: string): TrainingPlan {
  const { job, workers, ready } = survey
  const counts = { desired: job.status?.workers?.desired ?? 0, active: workers.length, ready }
  const status = describe(survey, {
    ...job.status,
    message,
    workers: counts,
    phase: job.spec.suspend === true ? 'Suspended' : phaseOf(survey, counts.desired),
  })
  return { remove: [], create: [], status, requeueAfterMs: undefined }
}

/** Each failed pod counts once: its uid is stored with the count, and until it is gone. In a job that is suspended none does: its workers are ended. */
function countFailures({ job, failed, leaving, nowMs }: TrainingSurvey): Partial<TrainingJobStatus> {
  const known = new Set(job.status?.countedFailures ?? [])
  const isFresh = (pod: Stored<Pod>): boolean => !known.has(pod.metadata.uid) && !isDisrupted(pod)
  const fresh = job.spec.suspend === true ? [] : failed.filter(isFresh)
  const present = new Set([...failed, ...leaving].map(({ metadata }) => metadata.uid))
  const countedFailures = [
    ...[...known].filter((uid) => present.has(uid)),
    ...fresh.map(({ metadata }) => metadata.uid),
  ]
  if (fresh.length === 0) return known.size === countedFailures.length ? {} : { countedFailures }
  // What fails together is one failure of the job, also while it waits: the others ended because one did.
  if (backoffLeftMs(job.status ?? {}, nowMs) > 0) return { countedFailures }
  const nodes = new Map((job.status?.nodeFailures ?? []).map((each) => [each.node, each]))
  for (const node of firstToFail(fresh))
    nodes.set(node, { node, count: (nodes.get(node)?.count ?? 0) + 1, lastTime: formatTime(nowMs) })
  const nodeFailures = [...nodes.values()]
    .toSorted((a, b) => b.lastTime.localeCompare(a.lastTime))
    .slice(0, AVOIDED_NODES_MAX)
  return { countedFailures, nodeFailures, restarts: (job.status?.restarts ?? 0) + 1 }
}

/** Nodes of those that ended first, which nobody pulled along. */
function firstToFail(pods: readonly Stored<Pod>[]): ReadonlySet<string> {
  const endMs = ({ status }: Stored<Pod>): number =>
    Math.max(0, ...(status?.containerStatuses ?? []).map(({ state }) => timeMs(state?.terminated?.finishedAt) ?? 0))
  const firstMs = Math.min(...pods.map(endMs))
  return new Set(pods.flatMap((pod) => (endMs(pod) === firstMs && pod.spec?.nodeName) || []))
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

/** The others go on. Who has no node goes first, then who is not ready, as on a node that is lost, then the highest number; the first, where they meet, last. */
function changeInPlace(survey: TrainingSurvey, desired: number): Change {
  const { job, workers, launcher } = survey
  const all = [...workers, ...(launcher === undefined ? [] : [launcher])]
  if (all.some((pod) => isOutdated(job, pod))) return { remove: all, isNewWorld: true }
  const surplus = workers.length + (isFirstGone(survey) ? 1 : 0) - desired
  const useOf = (pod: Stored<Pod>): number => (pod.spec?.nodeName ? 1 : 0) + (isPodReady(pod) ? 1 : 0)
  const order = workers.toSorted((a, b) => useOf(a) - useOf(b) || workerIndexOf(b) - workerIndexOf(a))
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

/** The others meet at worker 0, so its place is kept until its name is free again. */
function isFirstGone({ workers, succeeded }: TrainingSurvey): boolean {
  return [...workers, ...succeeded].every((pod) => workerIndexOf(pod) !== 0)
}

function missingPods(survey: TrainingSurvey, shape: WorldShape): Pod[] {
  const { job, workers, succeeded, launcher, leaving, ready } = survey
  const desired = shape.workers
  // In a new world nobody begins before the last of the old one is gone.
  if (leaving.some((pod) => !isElasticInPlace(job) || worldOf(pod) !== shape.world)) return []
  const taken = new Set([...workers, ...succeeded, ...leaving].map(workerIndexOf))
  const kept = isFirstGone(survey) && taken.has(0) ? 1 : 0
  const room = desired - workers.length - succeeded.length - kept
  const create: Pod[] = []
  for (let index = 0; create.length < room && index < desired + taken.size; index++)
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

function phaseOf({ workers, succeeded, ready, job }: TrainingSurvey, desired: number): TrainingPhase {
  const good = ready + succeeded.length
  if (good < Math.min(job.spec.workers.min, desired) || desired === 0) return 'Pending'
  return workers.length + succeeded.length === desired && good === desired ? 'Running' : 'Scaling'
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
