import { controllerOf, deepEqual, isStatus, objectKey, selectorFromObject, type Stored } from '@centaurus/api'
import { jobs, type Job } from '@centaurus/api/batch/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { Informer, ReconcileResult, RunningController } from '@centaurus/client'
import { nameOf, reconcileClaim } from '../frame/claim.ts'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { addOwnerIndex, ownedBy, watchOwned, watchSelf } from '../frame/owners.ts'
import { createPodsSlowly, deletePods } from '../frame/pods.ts'
import { planJob, type JobPlan } from './plan.ts'
import { buildJobPod, hasTrackingFinalizer, TRACKING_FINALIZER } from './pod.ts'

const MANAGED_BY_US = 'kubernetes.io/job-controller'
/** Keys of pods whose job is gone; no object key starts with a slash. */
const ORPHAN_PREFIX = '/orphan/'

interface Informers {
  readonly owners: Informer<Job>
  readonly podCache: Informer<Pod>
}

/** Runs Jobs to completion. */
export function startJobController(deps: ControllerDeps): RunningController {
  const owners = deps.informers.informer(jobs)
  const podCache = deps.informers.informer(pods)
  addOwnerIndex(podCache)
  const adopters = (pod: Stored<Pod>): string[] =>
    owners
      .list(pod.metadata.namespace)
      .filter((job) => selectorFromObject(job.spec?.selector).matches(pod.metadata.labels))
      .map(objectKey)
  return startReconciler(deps, {
    name: 'job-controller',
    informer: owners,
    needs: [podCache],
    watch({ queue }) {
      const enqueueOrphan = (pod: Stored<Pod>): void => {
        const owner = controllerOf(pod)
        if (!hasTrackingFinalizer(pod) || (owner !== undefined && owner.kind !== 'Job')) return
        const isOwned =
          owner !== undefined && owners.get(`${pod.metadata.namespace}/${owner.name}`)?.metadata.uid === owner.uid
        if (!isOwned) queue.add(ORPHAN_PREFIX + objectKey(pod))
      }
      return [
        watchSelf(owners, queue),
        owners.addHandler({
          onDelete: (job) => {
            for (const pod of ownedBy(podCache, job)) enqueueOrphan(pod)
          },
        }),
        watchOwned({ queue, owners, owned: podCache, group: 'batch', kind: 'Job', adopters }),
        podCache.addHandler({ onAdd: enqueueOrphan, onUpdate: enqueueOrphan }),
      ]
    },
    reconcile: (key, context) =>
      key.startsWith(ORPHAN_PREFIX)
        ? releaseOrphan(key.slice(ORPHAN_PREFIX.length), context, { owners, podCache })
        : reconcileJob(key, context, { owners, podCache }),
  })
}

async function reconcileJob(
  key: string,
  context: ReconcilerContext,
  { owners, podCache }: Informers,
): Promise<ReconcileResult> {
  const job = owners.get(key)
  if (job === undefined) return context.writes.forget(key)
  if (job.spec?.managedBy !== undefined && job.spec.managedBy !== MANAGED_BY_US) return undefined
  const selector = selectorFromObject(job.spec?.selector)
  const claimed = await reconcileClaim(context, job, { key, ownerType: jobs, type: pods, informer: podCache, selector })
  const plan = planJob({ job, pods: claimed, nowMs: context.clock.now() })
  const failure = await adjustPods(key, context, { job, plan, podCache })
  await writeProgress(key, context, { job, plan, owners, podCache, hasFailed: failure !== undefined })
  if (failure !== undefined) throw failure
  return plan.requeueAfterMs === undefined ? undefined : { requeueAfterMs: plan.requeueAfterMs }
}

interface StepInput {
  readonly job: Stored<Job>
  readonly plan: JobPlan
  readonly podCache: Informer<Pod>
}

async function adjustPods(
  key: string,
  context: ReconcilerContext,
  { job, plan, podCache }: StepInput,
): Promise<Error | undefined> {
  const writer = { context, key, informer: podCache, owner: job }
  try {
    await deletePods(writer, plan.remove)
    await createPodsSlowly(
      writer,
      plan.create.map((init) => buildJobPod(job, init)),
    )
    return undefined
  } catch (error) {
    return error as Error
  }
}

/** The status first: a pod that lost its finalizer before it was written down would never be counted. */
async function writeProgress(
  key: string,
  { client, events, writes }: ReconcilerContext,
  {
    job,
    plan,
    owners,
    podCache,
    hasFailed,
  }: StepInput & { readonly owners: Informer<Job>; readonly hasFailed: boolean },
): Promise<void> {
  const status = hasFailed ? { ...plan.status, active: job.status?.active ?? 0 } : plan.status
  if (!deepEqual(job.status ?? {}, status)) {
    // A plan made from an older status would count a pod twice: it waits until the cache shows this one.
    writes.wrote(key, owners, await client.updateStatus(jobs, { ...job, status }))
    for (const event of plan.events) events.record(job, event)
  }
  for (const pod of plan.release) {
    const released = await removeTracking(client, pod)
    if (released !== undefined) writes.wrote(key, podCache, released)
  }
}

async function removeTracking(client: ReconcilerContext['client'], pod: Stored<Pod>): Promise<Stored<Pod> | undefined> {
  const finalizers = (pod.metadata.finalizers ?? []).filter((finalizer) => finalizer !== TRACKING_FINALIZER)
  const patch = { metadata: { uid: pod.metadata.uid, resourceVersion: pod.metadata.resourceVersion, finalizers } }
  try {
    return await client.patch(pods, nameOf(pod), { type: 'merge', body: patch })
  } catch (error) {
    if (isStatus(error, 'NotFound')) return undefined
    throw error
  }
}

/** Pods of a job that is gone, or that nobody controls any more, must not be held for ever. */
async function releaseOrphan(
  podName: string,
  { client }: ReconcilerContext,
  { owners, podCache }: Informers,
): Promise<undefined> {
  const pod = podCache.get(podName)
  if (pod === undefined || !hasTrackingFinalizer(pod)) return
  const owner = controllerOf(pod)
  if (owner !== undefined && owners.get(`${pod.metadata.namespace}/${owner.name}`)?.metadata.uid === owner.uid) return
  if (owner !== undefined) {
    const job = await client
      .get(jobs, { namespace: pod.metadata.namespace, name: owner.name })
      .catch((error: unknown) => {
        if (isStatus(error, 'NotFound')) return undefined
        throw error
      })
    if (job?.metadata.uid === owner.uid) return
  }
  await removeTracking(client, pod)
}
