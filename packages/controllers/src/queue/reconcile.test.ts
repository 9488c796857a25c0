import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { findCondition, isConditionTrue, isStatus, type Stored } from '@centaurus/api'
import { jobs, type Job } from '@centaurus/api/batch/v1'
import { QUEUE_LABEL, queuedworkloads, queues, type QueuedWorkload, type QueueSpec } from '@centaurus/api/centaurus/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { podgroups } from '@centaurus/api/scheduling/v1beta1'
import { createQueueExtension } from '@centaurus/apiserver'
import { startJobController } from '../job/reconcile.ts'
import { runPods, startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startQueueController } from './reconcile.ts'

const NAMESPACE = 'default'
const GPU = 'nvidia.com/gpu'

function jobOf(
  name: string,
  queue: string,
  { gpus = 1, parallelism = 1, ...more }: Partial<Job['spec']> & { gpus?: number } = {},
): Job {
  const resources = { limits: { [GPU]: String(gpus) } }
  const containers = [{ name: 'main', image: 'busybox', resources }]
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: NAMESPACE, labels: { [QUEUE_LABEL]: queue } },
    spec: {
      parallelism,
      completions: parallelism,
      ...more,
      template: { spec: { restartPolicy: 'Never', containers, ...more.template?.spec } },
    } as Job['spec'],
  }
}

describe('queues on a real API server', () => {
  let plane: ControlPlane
  let stopPods: () => void
  before(async () => {
    plane = await startControlPlane({
      controllers: [startJobController, (deps) => startQueueController(deps)],
      extensions: [createQueueExtension()],
    })
    stopPods = runPods(plane)
  })
  after(async () => {
    stopPods()
    await plane.close()
  })

  const makeQueue = (name: string, spec: QueueSpec): Promise<unknown> =>
    plane.client.create(queues, { metadata: { name }, spec: { reserveAfterSeconds: 300, ...spec } })
  const gpus = (nominalQuota: string): QueueSpec['resources'] => [{ name: GPU, nominalQuota }]
  const workloadOf = async (owner: string): Promise<Stored<QueuedWorkload> | undefined> => {
    const { items } = await plane.client.list(queuedworkloads, { namespace: NAMESPACE })
    return items.find(({ metadata }) => metadata.ownerReferences?.some(({ name }) => name === owner))
  }
  const isAdmitted = async (owner: string): Promise<boolean> =>
    isConditionTrue((await workloadOf(owner))?.status?.conditions, 'Admitted')
  const jobNamed = (name: string): Promise<Stored<Job>> => plane.client.get(jobs, { namespace: NAMESPACE, name })
  const isRunning = async (name: string): Promise<boolean> => {
    const { spec, status } = await jobNamed(name)
    return spec?.suspend === false && status?.active === spec.parallelism
  }
  const pendingOf = async (owner: string) => (await workloadOf(owner))?.status?.pending
  const finish = async (name: string): Promise<void> => {
    await plane.client.delete(jobs, { namespace: NAMESPACE, name }, { propagationPolicy: 'Background' })
    // no garbage collector runs here
    const { items } = await plane.client.list(pods, {
      namespace: NAMESPACE,
      labelSelector: `batch.kubernetes.io/job-name=${name}`,
    })
    for (const { metadata } of items)
      await plane.client
        .patch(
          pods,
          { namespace: NAMESPACE, name: metadata.name },
          { type: 'merge', body: { metadata: { finalizers: null } } },
        )
        .catch(() => {})
    for (const { metadata } of items)
      await plane.client
        .delete(pods, { namespace: NAMESPACE, name: metadata.name }, { gracePeriodSeconds: 0 })
        .catch(() => {})
    const workload = await workloadOf(name)
    if (workload !== undefined)
      await plane.client.delete(queuedworkloads, { namespace: NAMESPACE, name: workload.metadata.name })
  }

  it('start Jobs as far as there is quota, and tell the others why they wait', async () => {
    await makeQueue('first', { resources: gpus('3') })
    await plane.client.create(jobs, jobOf('one', 'first', { parallelism: 2 }))
    await plane.eventually(() => isRunning('one'))
    assert.equal((await plane.client.create(jobs, jobOf('two', 'first', { parallelism: 2 }))).spec?.suspend, true)
    const pending = await plane.eventually(async () => {
      const found = await pendingOf('two')
      return found?.reason === 'InsufficientQuota' && found
    })
    assert.equal(
      pending.message,
      `Needs 2 ${GPU} of queue "first", which has 1 of 3 left; there is room when "default/${(await workloadOf('one'))!.metadata.name}" ends`,
    )
    assert.deepEqual(
      [pending.position, pending.lacks],
      [1, [{ queue: 'first', resource: GPU, needed: '2', available: '1', limit: '3' }]],
    )
    const { status } = await plane.client.get(queues, { name: 'first' })
    await plane.eventually(
      async () => (await plane.client.get(queues, { name: 'first' })).status?.used === `${GPU} 2/3`,
    )
    assert.ok(status !== undefined)
    assert.equal((await jobNamed('two')).spec?.suspend, true)
    await finish('one')
    await plane.eventually(() => isRunning('two'))
    assert.equal(await pendingOf('two'), undefined)
    await finish('two')
  })

  it('evict for others of the tree, wait for the pods to go, and start again later', async () => {
    await makeQueue('tree', {})
    await makeQueue('a', { parent: 'tree', resources: gpus('2') })
    await makeQueue('b', { parent: 'tree', resources: gpus('2') })
    await plane.client.create(jobs, jobOf('greedy-1', 'a', { parallelism: 2 }))
    await plane.eventually(() => isRunning('greedy-1'))
    await plane.client.create(jobs, jobOf('greedy-2', 'a', { parallelism: 2 }))
    await plane.eventually(() => isRunning('greedy-2'))
    await plane.client.create(jobs, jobOf('owed', 'b', { parallelism: 2 }))
    await plane.eventually(() => isRunning('owed'))
    const { spec, status } = await jobNamed('greedy-2')
    assert.deepEqual([spec?.suspend, status?.active ?? 0], [true, 0])
    const evicted = (await workloadOf('greedy-2'))!.status!
    assert.deepEqual(
      [findCondition(evicted.conditions, 'Evicted')?.reason, evicted.requeueState?.count],
      ['Preempted', 1],
    )
    assert.ok(await isAdmitted('greedy-1'), 'no more ends than must')
    await finish('owed')
    await plane.eventually(() => isRunning('greedy-2'))
    await finish('greedy-1')
    await finish('greedy-2')
  })

  it('keep what names a queue that is not there, and start it once it is', async () => {
    await plane.client.create(jobs, jobOf('early', 'late'))
    await plane.eventually(async () => (await pendingOf('early'))?.reason === 'QueueNotFound')
    await makeQueue('late', { resources: gpus('1') })
    await plane.eventually(() => isRunning('early'))
    await plane.client.delete(queues, { name: 'late' })
    await plane.client.create(jobs, jobOf('too-late', 'late'))
    await plane.eventually(async () => (await pendingOf('too-late'))?.reason === 'QueueStopped')
    assert.ok(
      (await plane.client.get(queues, { name: 'late' })).metadata.deletionTimestamp,
      'it is there while "early" runs',
    )
    await finish('early')
    await plane.eventually(async () =>
      plane.client.get(queues, { name: 'late' }).then(
        () => false,
        (error) => isStatus(error, 'NotFound'),
      ),
    )
    await finish('too-late')
  })

  it('hold pods back by a gate, and groups of them until all are there', async () => {
    await makeQueue('pods', { resources: gpus('2') })
    const podOf = (name: string, more: object): Pod => ({
      metadata: { name, namespace: NAMESPACE, labels: { [QUEUE_LABEL]: 'pods' } },
      spec: { containers: [{ name: 'main', image: 'busybox', resources: { limits: { [GPU]: '1' } } }], ...more },
    })
    const gatesOf = async (name: string): Promise<number> =>
      (await plane.client.get(pods, { namespace: NAMESPACE, name })).spec?.schedulingGates?.length ?? 0
    const made = await plane.client.create(pods, podOf('alone', {}))
    assert.deepEqual(made.spec?.schedulingGates, [{ name: 'centaurus.io/queue' }])
    await plane.eventually(async () => (await gatesOf('alone')) === 0)
    const labels = { [QUEUE_LABEL]: 'pods' }
    await plane.client.create(podgroups, {
      metadata: { name: 'team', namespace: NAMESPACE, labels },
      spec: { schedulingPolicy: { gang: { minCount: 2 } } },
    })
    const member = { schedulingGroup: { podGroupName: 'team' } }
    for (const name of ['team-0', 'team-1']) await plane.client.create(pods, podOf(name, member))
    await plane.eventually(async () => (await pendingOf('team'))?.lacks?.[0]?.needed === '2')
    assert.deepEqual([await gatesOf('team-0'), await gatesOf('team-1')], [1, 1])
    await plane.client.delete(pods, { namespace: NAMESPACE, name: 'alone' }, { gracePeriodSeconds: 0 })
    const alone = await workloadOf('alone')
    await plane.client.delete(queuedworkloads, { namespace: NAMESPACE, name: alone!.metadata.name })
    await plane.eventually(async () => (await gatesOf('team-0')) + (await gatesOf('team-1')) === 0)
  })

  it('make groups of Jobs whose pods need each other', async () => {
    await makeQueue('gangs', { resources: gpus('4') })
    const gang = { parallelism: 3, completions: 3, completionMode: 'Indexed' }
    const job = await plane.client.create(jobs, jobOf('ring', 'gangs', gang))
    assert.equal(job.spec?.template.spec?.schedulingGroup?.podGroupName, 'ring')
    await plane.eventually(() => isRunning('ring'))
    const { spec, metadata } = await plane.client.get(podgroups, { namespace: NAMESPACE, name: 'ring' })
    assert.deepEqual(
      [spec.schedulingPolicy, metadata.ownerReferences?.[0]?.uid],
      [{ gang: { minCount: 3 } }, job.metadata.uid],
    )
    await finish('ring')
  })

  it('follow what users say of a workload', async () => {
    await makeQueue('users', { resources: gpus('1') })
    await plane.client.create(jobs, jobOf('mine', 'users'))
    await plane.eventually(() => isRunning('mine'))
    const { name } = (await workloadOf('mine'))!.metadata
    const setActive = (active: boolean): Promise<unknown> =>
      plane.client.patch(queuedworkloads, { namespace: NAMESPACE, name }, { type: 'merge', body: { spec: { active } } })
    await setActive(false)
    await plane.eventually(
      async () => (await pendingOf('mine'))?.reason === 'Inactive' && (await jobNamed('mine')).spec?.suspend,
    )
    await setActive(true)
    await plane.eventually(() => isRunning('mine'))
    await plane.client.patch(
      jobs,
      { namespace: NAMESPACE, name: 'mine' },
      { type: 'merge', body: { spec: { suspend: true } } },
    )
    await plane.eventually(() => isRunning('mine'))
    await plane.client.delete(queuedworkloads, { namespace: NAMESPACE, name })
    await plane.eventually(async () => {
      const now = await workloadOf('mine')
      return now !== undefined && now.metadata.deletionTimestamp === undefined && (await isRunning('mine'))
    })
    const moved = plane.client.patch(
      jobs,
      { namespace: NAMESPACE, name: 'mine' },
      { type: 'merge', body: { metadata: { labels: { [QUEUE_LABEL]: 'other' } } } },
    )
    await assert.rejects(moved, /its queue may not change while it runs: set spec.suspend first/)
    await finish('mine')
  })
})
