import { deepEqual, isDeleting, isPodReady, objectKey, selectorFromObject, type Stored } from '@centaurus/api'
import { jobs, type Job, type JobCondition, type JobStatus } from '@centaurus/api/batch/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { reconcileClaim } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { addOwnerIndex, watchOwned, watchSelf } from '../frame/owners.ts'
import { createPod, deletePod, isNamespaceTerminating, type PodWriter } from '../frame/pods.ts'
import type { FailureRecord } from './backoff.ts'
import { isJobFinished } from './finished.ts'
import { hasTrackingFinalizer, TRACKING_FINALIZER } from './indexes.ts'
import { isManagedElsewhere, isOrphanKey, patchUntracked, releaseOrphan, watchOrphans } from './orphans.ts'
import {
  planCounted,
  planFinish,
  planPods,
  planTracking,
  surveyJob,
  type JobSurvey,
  type PodsOutcome,
  type TrackingPlan,
} from './plan.ts'

/** A round costs as much as the job has pods, so that events of its pods wait for others. Upstream's SyncJobBatchPeriod is 1 s. */
const POD_EVENTS_BATCH_MS = 100

interface JobInformers {
  readonly owners: Informer<Job>
  readonly podCache: Informer<Pod>
  /** By the job's uid; goes with the job, and when it has finished. */
  readonly failures: Map<string, FailureRecord>
}

/** Runs Jobs to completion. */
export function startJobController(deps: ControllerDeps): RunningController {
  const owners = deps.informers.informer(jobs)
  const podCache = deps.informers.informer(pods)
  addOwnerIndex(podCache)
  const informers: JobInformers = { owners, podCache, failures: new Map() }
  const adopters = (pod: Stored<Pod>): string[] =>
    owners
      .list(pod.metadata.namespace)
      .filter((job) => selectorFromObject(job.spec?.selector).matches(pod.metadata.labels))
      .map(objectKey)
  return startReconciler(deps, {
    name: 'job-controller',
    informer: owners,
    needs: [podCache],
    watch: ({ queue }) => [
      watchSelf(owners, queue),
      owners.addHandler({ onDelete: (job) => void informers.failures.delete(job.metadata.uid) }),
      watchOwned({
        queue: { add: (key) => queue.addAfter(key, POD_EVENTS_BATCH_MS) },
        owners,
        owned: podCache,
        group: 'batch',
        kind: 'Job',
        adopters,
      }),
      watchOrphans(informers, queue),
    ],
    reconcile: (key, context) =>
      isOrphanKey(key) ? releaseOrphan(key, context, informers) : reconcileJob(key, context, informers),
  })
}

async function reconcileJob(
  key: string,
  context: ReconcilerContext,
  informers: JobInformers,
): Promise<ReconcileResult> {
  const { owners, podCache, failures } = informers
  const job = owners.get(key)
  if (job === undefined) return context.writes.forget(key)
  if (isManagedElsewhere(job)) return undefined
  if (isJobFinished(job)) return void failures.delete(job.metadata.uid)
  const claimed = await reconcileClaim(context, job, {
    key,
    ownerType: jobs,
    type: pods,
    informer: podCache,
    selector: selectorFromObject(job.spec?.selector),
    finalizer: TRACKING_FINALIZER,
  })
  const nowMs = context.clock.now()
  const survey = surveyJob({ job, pods: claimed, failures: failures.get(job.metadata.uid), nowMs })
  const adjusted = await adjustPods({ context, key, informer: podCache, owner: job }, survey)
  const plan = planTracking(survey, adjusted.outcome)
  await writeProgress(key, context, { ...informers, survey, plan })
  if (adjusted.failure !== undefined) throw adjusted.failure
  const waits = [adjusted.retryInMs, survey.deadlineInMs].filter((ms) => ms !== undefined && ms > 0) as number[]
  return waits.length === 0 || plan.finish !== undefined ? undefined : { requeueAfterMs: Math.min(...waits) }
}

interface Adjusted {
  readonly outcome: PodsOutcome
  readonly failure: Error | undefined
  readonly retryInMs: number | undefined
}

/** Creates and deletes. What fails is told, so that the status can be written before the retry. */
async function adjustPods(writer: PodWriter, survey: JobSurvey): Promise<Adjusted> {
  const { finish, activePods } = survey
  const isManaged = finish === undefined && !isDeleting(survey.job)
  if (!isManaged) {
    // A job that ends keeps its pods' finalizers until they are counted.
    const { removed, failure } =
      finish === undefined ? NOTHING_REMOVED : await removePods(writer, activePods, deletePod)
    return { outcome: outcomeOf(survey, { removed, isManaged }), failure, retryInMs: undefined }
  }
  const plan = planPods(survey)
  const { removed, failure } = await removePods(writer, plan.remove, async (to, pod) => {
    await untrackPod(to, pod)
    await deletePod(to, pod)
  })
  const creation = await createJobPods(writer, plan.create)
  return {
    outcome: outcomeOf(survey, { removed, created: creation.created, isManaged }),
    failure: failure ?? creation.failure,
    retryInMs: plan.retryInMs,
  }
}

function outcomeOf(
  { activePods, ready, terminating }: JobSurvey,
  change: { readonly removed: readonly Pod[]; readonly created?: number; readonly isManaged: boolean },
): PodsOutcome {
  const { removed, created = 0, isManaged } = change
  return {
    active: activePods.length - removed.length + created,
    ready: ready - removed.filter(isPodReady).length,
    terminating: terminating + removed.length,
    isManaged,
    isSettled: removed.length === activePods.length,
  }
}

interface Removal {
  readonly removed: readonly Stored<Pod>[]
  readonly failure: Error | undefined
}

const NOTHING_REMOVED: Removal = { removed: [], failure: undefined }

async function removePods(
  writer: PodWriter,
  list: readonly Stored<Pod>[],
  remove: (writer: PodWriter, pod: Stored<Pod>) => Promise<void>,
): Promise<Removal> {
  const results = await Promise.allSettled(list.map((pod) => remove(writer, pod)))
  const failed = results.find((result) => result.status === 'rejected')
  return {
    removed: list.filter((_, i) => results[i]!.status === 'fulfilled'),
    failure: failed?.reason as Error | undefined,
  }
}

/** In batches that double while all goes well, so that a quota refuses few. A namespace that ends is no failure. */
async function createJobPods(
  writer: PodWriter,
  list: readonly Pod[],
): Promise<{ readonly created: number; readonly failure: Error | undefined }> {
  let created = 0
  for (let at = 0, size = 1; at < list.length; at += size, size *= 2) {
    const results = await Promise.allSettled(list.slice(at, at + size).map((pod) => createPod(writer, pod)))
    created += results.filter(({ status }) => status === 'fulfilled').length
    const failed = results.find((result) => result.status === 'rejected' && !isNamespaceTerminating(result.reason))
    if (failed?.status === 'rejected') return { created, failure: failed.reason as Error }
  }
  return { created, failure: undefined }
}

/** Takes the finalizer away. A pod that is gone had none any more. */
async function untrackPod({ context, key, informer }: PodWriter, pod: Stored<Pod>): Promise<void> {
  if (!hasTrackingFinalizer(pod)) return
  const patched = await patchUntracked(context.client, pod)
  if (patched !== undefined) context.writes.wrote(key, informer, patched)
}

interface Progress extends JobInformers {
  readonly survey: JobSurvey
  readonly plan: TrackingPlan
}

/** Lists the finished pods in the status, then lets them go, then turns the list into counts. */
async function writeProgress(
  key: string,
  context: ReconcilerContext,
  { owners, podCache, failures, survey, plan }: Progress,
): Promise<void> {
  const { job, pods: all, nowMs } = survey
  const write = async (current: Stored<Job>, status: JobStatus): Promise<Stored<Job>> => {
    const written = await context.client.updateStatus(jobs, { ...current, status })
    context.writes.wrote(key, owners, written)
    return written
  }
  const listed = deepEqual(job.status ?? {}, plan.status) ? job : await write(job, plan.status)
  failures.set(job.metadata.uid, survey.failures)
  if (plan.suspension !== undefined) recordSuspension(context, job, plan.suspension)
  const { removed, failure } = await removePods(
    { context, key, informer: podCache, owner: job },
    plan.release,
    untrackPod,
  )
  const tracked = new Set(all.filter(hasTrackingFinalizer).map(({ metadata }) => metadata.uid))
  for (const { metadata } of removed) tracked.delete(metadata.uid)
  const counted = planCounted(plan.status, (uid) => tracked.has(uid))
  const final = failure === undefined ? planFinish(counted, plan.finish, nowMs) : undefined
  const next = final ?? counted
  if (!deepEqual(plan.status, next)) await write(listed, next)
  if (final !== undefined) recordFinish(context, { ...job, status: final }, plan.finish!)
  if (failure !== undefined) throw failure
}

function recordSuspension({ events }: ReconcilerContext, job: Stored<Job>, reason: 'Suspended' | 'Resumed'): void {
  events.record(job, { type: 'Normal', reason, message: reason === 'Suspended' ? 'Job suspended' : 'Job resumed' })
}

function recordFinish({ events }: ReconcilerContext, job: Stored<Job>, finish: JobCondition): void {
  const { reason = '', message = '' } = finish
  if (finish.type !== 'Complete') return events.record(job, { type: 'Warning', reason, message })
  if (job.spec?.completions !== undefined && (job.status?.succeeded ?? 0) > job.spec.completions) {
    const text = 'Too many succeeded pods running after completion count reached'
    events.record(job, { type: 'Warning', reason: 'TooManySucceededPods', message: text })
  }
  events.record(job, { type: 'Normal', reason: 'Completed', message: 'Job completed' })
}
