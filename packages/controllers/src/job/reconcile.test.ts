import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { formatTime, isStatus } from '@centaurus/api'
import { cronjobs, jobs, type Job, type JobSpec } from '@centaurus/api/batch/v1'
import { events, pods, type Pod } from '@centaurus/api/core/v1'
import { startCronJobController } from '../cron-job/reconcile.ts'
import { startGarbageCollector } from '../garbage-collector/reconcile.ts'
import { startPodGarbageCollector } from '../pod-garbage-collector/reconcile.ts'
import { startTtlAfterFinishedController } from '../ttl-after-finished/reconcile.ts'
import { startJobController } from './reconcile.ts'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { TRACKING_FINALIZER } from './indexes.ts'

const NAMESPACE = 'default'

describe('jobs on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [
        startJobController,
        startCronJobController,
        startTtlAfterFinishedController,
        startGarbageCollector,
        startPodGarbageCollector,
      ],
    })
  })
  after(() => plane.close())

  const jobOf = (name: string, spec: Partial<JobSpec> = {}): Job => ({
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: NAMESPACE },
    spec: { template: { spec: { containers: [{ name: 'c', image: 'busybox' }], restartPolicy: 'Never' } }, ...spec },
  })
  const podsOf = async (name: string): Promise<readonly Pod[]> =>
    (await plane.client.list(pods, { namespace: NAMESPACE, labelSelector: `batch.kubernetes.io/job-name=${name}` }))
      .items
  const endPods = async (name: string, phase: 'Succeeded' | 'Failed'): Promise<void> => {
    for (const pod of await podsOf(name)) {
      if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') continue
      const at = { namespace: NAMESPACE, name: pod.metadata.name! }
      await plane.client.patch(pods, at, { type: 'merge', body: { status: { phase } } }, { subresource: 'status' })
    }
  }
  const condition = async (name: string, type: string): Promise<string | undefined> => {
    const { status } = await plane.client.get(jobs, { namespace: NAMESPACE, name })
    return status?.conditions?.find((candidate) => candidate.type === type && candidate.status === 'True')?.reason
  }

  it('runs an indexed job to completion and lets its pods go', async () => {
    await plane.client.create(jobs, jobOf('indexed', { completionMode: 'Indexed', completions: 3, parallelism: 2 }))
    await plane.eventually(async () => (await podsOf('indexed')).length === 2)
    assert.deepEqual((await podsOf('indexed'))[0]?.metadata.finalizers, [TRACKING_FINALIZER])
    await plane.eventually(async () => {
      await endPods('indexed', 'Succeeded')
      return condition('indexed', 'Complete')
    })
    const { status } = await plane.client.get(jobs, { namespace: NAMESPACE, name: 'indexed' })
    assert.deepEqual([status?.succeeded, status?.completedIndexes, status?.active ?? 0], [3, '0-2', 0])
    await plane.eventually(async () =>
      (await podsOf('indexed')).every(({ metadata }) => (metadata.finalizers ?? []).length === 0),
    )
    await plane.eventually(async () => {
      const { items } = await plane.client.list(events, { namespace: NAMESPACE })
      return items.some(({ reason, involvedObject }) => reason === 'Completed' && involvedObject.name === 'indexed')
    })
  })

  it('fails at its limit and is removed after its time to live', async () => {
    await plane.client.create(jobs, jobOf('failing', { backoffLimit: 0, ttlSecondsAfterFinished: 2 }))
    await plane.eventually(async () => (await podsOf('failing')).length === 1)
    await endPods('failing', 'Failed')
    assert.equal(await plane.eventually(() => condition('failing', 'Failed')), 'BackoffLimitExceeded')
    await plane.eventually(() =>
      plane.client.get(jobs, { namespace: NAMESPACE, name: 'failing' }).then(
        () => false,
        (error) => isStatus(error, 'NotFound'),
      ),
    )
    await plane.eventually(async () => (await podsOf('failing')).length === 0)
  })

  it('lets the pods of a job that is deleted go', async () => {
    await plane.client.create(jobs, jobOf('deleted'))
    await plane.eventually(async () => (await podsOf('deleted')).length === 1)
    await plane.client.delete(jobs, { namespace: NAMESPACE, name: 'deleted' }, { propagationPolicy: 'Background' })
    await plane.eventually(async () => (await podsOf('deleted')).length === 0)
  })

  it('stops the pods of a job that is suspended, and starts again', async () => {
    await plane.client.create(jobs, jobOf('paused', { parallelism: 2, completions: 2 }))
    await plane.eventually(async () => (await podsOf('paused')).length === 2)
    const patch = (suspend: boolean): Promise<unknown> =>
      plane.client.patch(jobs, { namespace: NAMESPACE, name: 'paused' }, { type: 'merge', body: { spec: { suspend } } })
    await patch(true)
    assert.equal(await plane.eventually(() => condition('paused', 'Suspended')), 'JobSuspended')
    await plane.eventually(async () => (await podsOf('paused')).length === 0)
    const { status } = await plane.client.get(jobs, { namespace: NAMESPACE, name: 'paused' })
    assert.deepEqual([status?.startTime, status?.failed], [undefined, undefined])
    await patch(false)
    await plane.eventually(async () => (await podsOf('paused')).length === 2)
  })

  it('lets orphaned pods go, and adopts and tracks those that a new job selects', async () => {
    const own = jobOf('adopting', { manualSelector: true, selector: { matchLabels: { app: 'adopted' } } })
    own.spec!.template.metadata = { labels: { app: 'adopted' } }
    const list = async (): Promise<readonly Pod[]> =>
      (await plane.client.list(pods, { namespace: NAMESPACE, labelSelector: 'app=adopted' })).items
    await plane.client.create(jobs, own)
    await plane.eventually(async () => (await list()).length === 1)
    await plane.client.delete(jobs, { namespace: NAMESPACE, name: 'adopting' }, { propagationPolicy: 'Orphan' })
    await plane.eventually(async () => (await list())[0]?.metadata.finalizers === undefined)
    const again = await plane.eventually(() => plane.client.create(jobs, own))
    await plane.eventually(async () => {
      const [pod] = await list()
      const isOwned = pod?.metadata.ownerReferences?.[0]?.uid === again.metadata.uid
      return isOwned && pod?.metadata.finalizers?.includes(TRACKING_FINALIZER)
    })
    assert.equal((await list()).length, 1)
  })

  it('leaves the job of another controller alone', async () => {
    await plane.client.create(jobs, jobOf('foreign', { managedBy: 'example.com/queue' }))
    await plane.client.create(jobs, jobOf('own'))
    await plane.eventually(async () => (await podsOf('own')).length === 1)
    assert.equal((await podsOf('foreign')).length, 0)
  })

  it('starts the job of a cron job whose time has come', async () => {
    const spec = { schedule: '* * * * *', jobTemplate: { spec: jobOf('x').spec! } }
    const at = { namespace: NAMESPACE, name: 'minutely' }
    const created = await plane.client.create(cronjobs, {
      apiVersion: 'batch/v1',
      kind: 'CronJob',
      metadata: { ...at },
      spec,
    })
    const lastScheduleTime = formatTime(Date.now() - 90_000)
    await plane.client.updateStatus(cronjobs, { ...created, status: { lastScheduleTime } })
    const job = await plane.eventually(async () => {
      const { items } = await plane.client.list(jobs, { namespace: NAMESPACE })
      return items.find(({ metadata }) => metadata.name.startsWith('minutely-'))
    })
    assert.equal(job.metadata.ownerReferences?.[0]?.kind, 'CronJob')
    const { status } = await plane.eventually(async () => {
      const cronJob = await plane.client.get(cronjobs, at)
      return (cronJob.status?.active ?? []).length > 0 && cronJob
    })
    assert.equal(status?.active?.[0]?.name, job.metadata.name)
  })
})
