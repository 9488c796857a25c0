import { deepEqual, formatKey, isStatus, objectKey, type KubeObject, type ObjectKey, type Stored } from '@centaurus/api'
import {
  TRAINING_JOB_LABEL,
  trainingjobs,
  trainingreports,
  type TrainingJob,
  type TrainingReport,
} from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { podgroups, type PodGroup } from '@centaurus/api/scheduling/v1beta1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { addOwnerIndex, ownedBy, watchOwned, watchSelf } from '../frame/owners.ts'
import { createPodsSlowly, deletePods, timeMs, type PodWriter } from '../frame/pods.ts'
import { TrainingCapacity, useOf } from './capacity.ts'
import { isTrainingFinished, planBlocked, planTrainingJob, type TrainingPlan } from './plan.ts'
import { applyReport } from './progress.ts'
import { isPlannedAlike, PLAN_MS, TrainingSizes } from './sizes.ts'
import { ensureSurroundings, writeHosts } from './surroundings.ts'
import { surveyTrainingJob } from './survey.ts'
import { isOwnedBy } from './worker-pods.ts'

/** Speeds and waits change without an event of the job. */
const RECHECK_MS = 15_000
/** What is in the way of a job may go without an event that tells. */
const BLOCKED_RECHECK_MS = 2_000

interface TrainingInformers {
  readonly owners: Informer<TrainingJob>
  readonly podCache: Informer<Pod>
  readonly reports: Informer<TrainingReport>
  readonly groups: Informer<PodGroup>
}

/** Runs TrainingJobs with as many workers as there is room for and as help. */
export function startTrainingJobController(deps: ControllerDeps): RunningController {
  const { informers, clock } = deps
  const owners = informers.informer(trainingjobs)
  const podCache = informers.informer(pods)
  const nodeCache = informers.informer(nodes)
  const reports = informers.informer(trainingreports)
  const groups = informers.informer(podgroups)
  const caches: TrainingInformers = { owners, podCache, reports, groups }
  addOwnerIndex(podCache)
  let sizes: TrainingSizes | undefined
  let capacity: TrainingCapacity | undefined
  return startReconciler(deps, {
    name: 'training-job-controller',
    informer: owners,
    needs: [podCache, nodeCache, reports, groups],
    watch: ({ queue }) => {
      // What one leaves, or others need, changes the sizes of all, which are planned together a little later.
      const replan = (): void => {
        for (const job of owners.list()) if (!isTrainingFinished(job)) queue.addAfter(objectKey(job), PLAN_MS)
      }
      const counted = new TrainingCapacity({ nodes: nodeCache, pods: podCache }, replan)
      const onChange = (key: string): void => queue.add(key)
      const planner = new TrainingSizes({
        jobs: owners,
        pods: podCache,
        reports,
        capacity: counted,
        now: () => clock.now(),
        onChange,
      })
      sizes = planner
      capacity = counted
      const watchOf = <T extends KubeObject>(informer: Informer<T>): (() => void) =>
        watchOwned({ queue, owners, owned: informer, group: 'centaurus.io', kind: 'TrainingJob' })
      return [
        watchSelf(owners, queue),
        owners.addHandler({
          onUpdate: (job, old) => void (isPlannedAlike(job, old) || replan()),
          onDelete: ({ metadata }) => {
            planner.forget(metadata.uid)
            replan()
          },
        }),
        watchOf(podCache),
        watchOf(reports),
        watchOf(groups),
        podCache.addHandler({ onDelete: (pod) => freeName(pod, onChange) }),
        () => counted.close(),
      ]
    },
    reconcile: (key, context) => reconcileTrainingJob(key, context, { ...caches, sizes: sizes!, capacity: capacity! }),
  })
}

/** A pod of an earlier job of the name is gone: the job of now may have waited for that. */
function freeName({ metadata }: Stored<Pod>, onChange: (key: ObjectKey) => void): void {
  const name = metadata.labels?.[TRAINING_JOB_LABEL]
  if (name !== undefined) onChange(formatKey(metadata.namespace ?? '', name))
}

interface TrainingCaches extends TrainingInformers {
  readonly sizes: TrainingSizes
  readonly capacity: TrainingCapacity
}

async function reconcileTrainingJob(
  key: string,
  context: ReconcilerContext,
  { sizes, capacity, ...caches }: TrainingCaches,
): Promise<ReconcileResult> {
  const { owners, podCache, reports } = caches
  const stored = owners.get(key)
  if (stored === undefined) return context.writes.forget(key)
  const nowMs = context.clock.now()
  if (isTrainingFinished(stored)) return endFinished(key, context, { job: stored, podCache, nowMs })
  const writer: PodWriter = { context, key, informer: podCache, owner: stored }
  const list = ownedBy(podCache, stored)
  const inTheWay = await ensureSurroundings(key, context, { job: stored, groups: caches.groups })
  if (inTheWay !== undefined) {
    const plan = planBlocked(surveyTrainingJob(stored, list, nowMs), inTheWay)
    await carryOut(writer, { job: stored, plan, owners })
    return { requeueAfterMs: BLOCKED_RECHECK_MS }
  }
  const told = reports.get(key)
  const report = (told !== undefined && isOwnedBy(stored, told) && told.spec) || {}
  const { ready } = surveyTrainingJob(stored, list, nowMs)
  const job = { ...stored, status: applyReport(stored, report, { ready, nowMs }) }
  const use = useOf(job.spec.workers.template)
  const plan = planTrainingJob(surveyTrainingJob(job, list, nowMs), sizes.of(key as ObjectKey), {
    spare: (names) => capacity.without(names, use),
    isTaken(name) {
      const pod = podCache.get(formatKey(job.metadata.namespace ?? '', name))
      return pod !== undefined && !isOwnedBy(job, pod)
    },
  })
  await carryOut(writer, { job: stored, plan, owners })
  if (job.spec.launcher !== undefined)
    await writeHosts(context, job, surveyTrainingJob(job, ownedBy(podCache, job), nowMs).workers)
  return { requeueAfterMs: Math.min(RECHECK_MS, plan.requeueAfterMs ?? RECHECK_MS) }
}

/** What is said is stored before pods go by it: a failure is counted before its pod is gone, a new world before its first pod is made. */
async function carryOut(
  writer: PodWriter,
  { job, plan, owners }: { job: Stored<TrainingJob>; plan: TrainingPlan; owners: Informer<TrainingJob> },
): Promise<void> {
  const { context, key } = writer
  const before = job.status?.workers?.desired ?? 0
  if (!deepEqual(plan.status, job.status ?? {})) {
    const written = await context.client.updateStatus(trainingjobs, { ...job, status: plan.status })
    context.writes.wrote(key, owners, written)
    recordEvents(context, { job, plan, before })
  }
  await deletePods(writer, plan.remove)
  await createPodsSlowly(writer, plan.create)
}

function recordEvents(
  { events }: ReconcilerContext,
  { job, plan, before }: { job: Stored<TrainingJob>; plan: TrainingPlan; before: number },
): void {
  const { workers, message = '', phase, restarts = 0 } = plan.status
  const desired = workers?.desired ?? 0
  if (restarts > (job.status?.restarts ?? 0))
    events.record(job, {
      type: 'Warning',
      reason: 'WorkersFailed',
      message: `Workers have failed, ${restarts} times so far`,
    })
  if (phase !== job.status?.phase && (phase === 'Succeeded' || phase === 'Failed'))
    events.record(job, { type: phase === 'Failed' ? 'Warning' : 'Normal', reason: phase, message })
  else if (desired !== before)
    events.record(job, {
      type: 'Normal',
      reason: 'Scaled',
      message: `From ${before} to ${desired} workers: ${message}`,
    })
  else if (plan.status.world !== job.status?.world)
    events.record(job, { type: 'Normal', reason: 'Restarted', message: 'All workers begin anew' })
}

/** Pods that run on are ended, and in time the job goes. */
async function endFinished(
  key: string,
  context: ReconcilerContext,
  { job, podCache, nowMs }: { job: Stored<TrainingJob>; podCache: Informer<Pod>; nowMs: number },
): Promise<ReconcileResult> {
  const isRunning = ({ metadata, status }: Stored<Pod>): boolean =>
    metadata.deletionTimestamp === undefined && status?.phase !== 'Succeeded' && status?.phase !== 'Failed'
  await deletePods({ context, key, informer: podCache, owner: job }, ownedBy(podCache, job).filter(isRunning))
  const { ttlSecondsAfterFinished } = job.spec
  const endMs = timeMs(job.status?.completionTime)
  if (ttlSecondsAfterFinished === undefined || endMs === undefined) return undefined
  const leftMs = endMs + ttlSecondsAfterFinished * 1_000 - nowMs
  if (leftMs > 0) return { requeueAfterMs: leftMs }
  const { namespace = '', name, uid } = job.metadata
  await context.client.delete(trainingjobs, { namespace, name }, { preconditions: { uid } }).catch((error: unknown) => {
    if (!isStatus(error, 'NotFound')) throw error
  })
  return undefined
}
