import { controllerOf, formatKey, isStatus, objectKey, type Stored } from '@centaurus/api'
import { jobs, type Job } from '@centaurus/api/batch/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import type { Client, Informer, WorkQueue } from '@centaurus/client'
import { nameOf } from '../frame/claim.ts'
import type { ReconcilerContext } from '../frame/controller.ts'
import { ownedBy } from '../frame/owners.ts'
import { isJobFinished } from './finished.ts'
import { hasTrackingFinalizer, TRACKING_FINALIZER } from './indexes.ts'

/** Source: JobControllerName, api/batch/v1 types.go v0.37. */
const THIS_CONTROLLER = 'kubernetes.io/job-controller'
/** Keys of pods; no object's key starts with a slash. */
const ORPHAN_PREFIX = '/orphan/'

interface OrphanInformers {
  readonly owners: Informer<Job>
  readonly podCache: Informer<Pod>
}

export function isManagedElsewhere({ spec }: Readonly<Job>): boolean {
  return spec?.managedBy !== undefined && spec.managedBy !== THIS_CONTROLLER
}

export function isOrphanKey(key: string): boolean {
  return key.startsWith(ORPHAN_PREFIX)
}

/** Enqueues pods that have the tracking finalizer and no job that would ever take it away. */
export function watchOrphans(informers: OrphanInformers, queue: WorkQueue): () => void {
  const { owners, podCache } = informers
  const enqueue = (pod: Stored<Pod>): void => {
    if (hasTrackingFinalizer(pod) && !hasTrackingJob(informers, pod)) queue.add(ORPHAN_PREFIX + objectKey(pod))
  }
  const enqueuePodsOf = (job: Stored<Job>): void => {
    for (const pod of ownedBy(podCache, job)) enqueue(pod)
  }
  const removers = [
    podCache.addHandler({ onAdd: enqueue, onUpdate: enqueue }),
    owners.addHandler({
      onUpdate: (job, old) => {
        if (isJobFinished(job) && !isJobFinished(old)) enqueuePodsOf(job)
      },
      onDelete: enqueuePodsOf,
    }),
  ]
  return () => removers.forEach((remove) => remove())
}

/** Nothing must hold such a pod for ever. Source: syncOrphanPod, pkg/controller/job/job_controller.go v1.37. */
export async function releaseOrphan(
  key: string,
  { client }: ReconcilerContext,
  informers: OrphanInformers,
): Promise<undefined> {
  const pod = informers.podCache.get(key.slice(ORPHAN_PREFIX.length))
  if (pod === undefined || !hasTrackingFinalizer(pod) || hasTrackingJob(informers, pod)) return
  const owner = controllerOf(pod)
  // A cache that is behind the pods' may not have the job yet.
  const isUnknown = owner !== undefined && jobOf(informers, pod) === undefined
  if (isUnknown && (await existsJob(client, { namespace: pod.metadata.namespace, ...owner }))) return
  await patchUntracked(client, pod)
}

/** Takes the tracking finalizer away. Undefined when the pod is gone. */
export async function patchUntracked(client: Client, pod: Stored<Pod>): Promise<Stored<Pod> | undefined> {
  const metadata = { uid: pod.metadata.uid, '$deleteFromPrimitiveList/finalizers': [TRACKING_FINALIZER] }
  try {
    return await client.patch(pods, nameOf(pod), { type: 'strategic', body: { metadata } })
  } catch (error) {
    // Another pod of that name answers with a conflict about the uid.
    if (isStatus(error, 'NotFound') || isStatus(error, 'Conflict')) return undefined
    throw error
  }
}

/** True also when the finalizer is another controller's business. */
function hasTrackingJob(informers: OrphanInformers, pod: Stored<Pod>): boolean {
  const owner = controllerOf(pod)
  if (owner === undefined) return false
  if (owner.kind !== 'Job' || owner.apiVersion !== 'batch/v1') return true
  const job = jobOf(informers, pod)
  return job !== undefined && (isManagedElsewhere(job) || !isJobFinished(job))
}

function jobOf({ owners }: OrphanInformers, pod: Stored<Pod>): Stored<Job> | undefined {
  const owner = controllerOf(pod)
  const job = owner === undefined ? undefined : owners.get(formatKey(pod.metadata.namespace ?? '', owner.name))
  return job?.metadata.uid === owner?.uid ? job : undefined
}

async function existsJob(
  client: Client,
  { namespace, name, uid }: { readonly namespace: string | undefined; readonly name: string; readonly uid: string },
): Promise<boolean> {
  try {
    return (await client.get(jobs, { namespace, name })).metadata.uid === uid
  } catch (error) {
    if (isStatus(error, 'NotFound')) return false
    throw error
  }
}
