import { deepEqual, formatTime, isStatus, type Stored } from '@centaurus/api'
import { cronjobs, jobs, type CronJob, type CronJobStatus, type Job } from '@centaurus/api/batch/v1'
import type { Client, Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { nameOf } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { addOwnerIndex, ownedBy, watchOwned, watchSelf } from '../frame/owners.ts'
import { isNamespaceTerminating, messageOf } from '../frame/pods.ts'
import { planCronJob, type CronJobPlan } from './plan.ts'

interface Informers {
  readonly owners: Informer<CronJob>
  readonly jobCache: Informer<Job>
}

/** Starts Jobs at the times that CronJobs say. */
export function startCronJobController(deps: ControllerDeps): RunningController {
  const owners = deps.informers.informer(cronjobs)
  const jobCache = deps.informers.informer(jobs)
  addOwnerIndex(jobCache)
  return startReconciler(deps, {
    name: 'cronjob-controller',
    informer: owners,
    needs: [jobCache],
    watch: ({ queue }) => [
      watchSelf(owners, queue),
      watchOwned({ queue, owners, owned: jobCache, group: 'batch', kind: 'CronJob' }),
    ],
    reconcile: (key, context) => reconcileCronJob(key, context, { owners, jobCache }),
  })
}

async function reconcileCronJob(
  key: string,
  context: ReconcilerContext,
  { owners, jobCache }: Informers,
): Promise<ReconcileResult> {
  const cronJob = owners.get(key)
  if (cronJob === undefined) return context.writes.forget(key)
  const owned = await withMissing(context.client, cronJob, ownedBy(jobCache, cronJob))
  const plan = planCronJob({ cronJob, jobs: owned, nowMs: context.clock.now() })
  for (const event of plan.events) context.events.record(cronJob, event)
  for (const job of plan.replace) await removeJob(key, context, { cronJob, job, jobCache })
  const status = plan.create === undefined ? plan.status : await startJob(key, context, { cronJob, plan, jobCache })
  if (!deepEqual(cronJob.status ?? {}, status)) {
    context.writes.wrote(key, owners, await context.client.updateStatus(cronjobs, { ...cronJob, status }))
  }
  // Last, as history that can't be removed must not stop the next run.
  for (const job of plan.remove) await removeJob(key, context, { cronJob, job, jobCache })
  return plan.requeueAfterMs === undefined ? undefined : { requeueAfterMs: plan.requeueAfterMs }
}

/** Asks the server about active jobs that the cache does not have: it may be behind, as after a change of leader. */
async function withMissing(
  client: Client,
  cronJob: Stored<CronJob>,
  owned: readonly Stored<Job>[],
): Promise<readonly Stored<Job>[]> {
  const found: Stored<Job>[] = []
  for (const { namespace, name = '', uid } of cronJob.status?.active ?? []) {
    if (owned.some(({ metadata }) => metadata.uid === uid)) continue
    try {
      const job = await client.get(jobs, { namespace, name })
      if (job.metadata.uid === uid) found.push(job)
    } catch (error) {
      if (!isStatus(error, 'NotFound')) throw error
    }
  }
  return found.length === 0 ? owned : [...owned, ...found]
}

interface StartInput {
  readonly cronJob: Stored<CronJob>
  readonly plan: CronJobPlan
  readonly jobCache: Informer<Job>
}

async function startJob(
  key: string,
  { client, events, writes }: ReconcilerContext,
  { cronJob, plan, jobCache }: StartInput,
): Promise<CronJobStatus> {
  let job: Stored<Job>
  try {
    job = await client.create(jobs, plan.create!)
    writes.wrote(key, jobCache, job)
    events.record(cronJob, { type: 'Normal', reason: 'SuccessfulCreate', message: `Created job ${job.metadata.name}` })
  } catch (error) {
    if (!isStatus(error, 'AlreadyExists')) {
      if (!isNamespaceTerminating(error)) {
        events.record(cronJob, {
          type: 'Warning',
          reason: 'FailedCreate',
          message: `Error creating job: ${messageOf(error)}`,
        })
      }
      throw error
    }
    job = await client.get(jobs, nameOf(plan.create!)) // made before a crash, and not yet written down
    const isOurs = job.metadata.ownerReferences?.some(
      ({ controller, uid }) => controller === true && uid === cronJob.metadata.uid,
    )
    if (isOurs !== true) return plan.status
  }
  const { namespace, name, uid, resourceVersion } = job.metadata
  const reference = { apiVersion: 'batch/v1', kind: 'Job', namespace, name, uid, resourceVersion }
  const active = [...(plan.status.active ?? []).filter((known) => known.uid !== uid), reference]
  return { ...plan.status, active, lastScheduleTime: formatTime(plan.scheduledAtMs!) }
}

async function removeJob(
  key: string,
  { client, events, writes }: ReconcilerContext,
  {
    cronJob,
    job,
    jobCache,
  }: { readonly cronJob: Stored<CronJob>; readonly job: Stored<Job>; readonly jobCache: Informer<Job> },
): Promise<void> {
  try {
    await client.delete(jobs, nameOf(job), {
      propagationPolicy: 'Background',
      preconditions: { uid: job.metadata.uid },
    })
    events.record(cronJob, { type: 'Normal', reason: 'SuccessfulDelete', message: `Deleted job ${job.metadata.name}` })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) {
      events.record(cronJob, { type: 'Warning', reason: 'FailedDelete', message: `Deleted job: ${messageOf(error)}` })
      throw error
    }
  }
  writes.deleted(key, jobCache, job)
}
