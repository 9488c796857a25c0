import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { jobs, type Job } from '@centaurus/api/batch/v1'
import { KUEUE_QUEUE_LABEL, QUEUE_LABEL, queuedworkloads, queues } from '@centaurus/api/centaurus/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { podgroups } from '@centaurus/api/scheduling/v1beta1'
import { startTestServer, type TestServer } from '../testing/test-server.ts'
import { createQueueExtension } from './queue-extension.ts'

const NAMESPACE = 'default'
const GATE = [{ name: 'centaurus.io/queue' }]
const containers = [{ name: 'main', image: 'busybox' }]
const labels = { [QUEUE_LABEL]: 'research' }

function jobOf(
  name: string,
  { metadata, spec }: { metadata?: Job['metadata']; spec?: Partial<Job['spec']> } = {},
): Job {
  const template = { spec: { restartPolicy: 'Never', containers } }
  return { metadata: { name, namespace: NAMESPACE, labels, ...metadata }, spec: { ...spec, template } }
}

function podOf(name: string, { metadata, spec }: { metadata?: Pod['metadata']; spec?: object } = {}): Pod {
  return { metadata: { name, namespace: NAMESPACE, ...metadata }, spec: { containers, ...spec } }
}

describe('what names a queue', () => {
  let test: TestServer
  before(async () => {
    test = await startTestServer({ extensions: [createQueueExtension()] })
  })
  after(() => test.close())

  it('begins held back, by either label', async () => {
    const own = await test.client.create(jobs, jobOf('own'))
    const kueue = await test.client.create(jobs, jobOf('kueue', { metadata: { labels: { [KUEUE_QUEUE_LABEL]: 'x' } } }))
    const free = await test.client.create(jobs, jobOf('free', { metadata: { labels: {} } }))
    assert.deepEqual(
      [own, kueue, free].map(({ spec }) => spec?.suspend),
      [true, true, false],
    )
    const pod = await test.client.create(pods, podOf('pod', { metadata: { labels } }))
    assert.deepEqual([pod.spec?.schedulingGates, pod.status?.conditions?.[0]?.reason], [GATE, 'SchedulingGated'])
    assert.equal((await test.client.create(pods, podOf('free'))).spec?.schedulingGates, undefined)
    const bound = podOf('bound', { metadata: { labels }, spec: { nodeName: 'n1' } })
    assert.equal((await test.client.create(pods, bound)).spec?.schedulingGates, undefined)
  })

  it('is one gang when its pods need each other', async () => {
    const groupOf = async (name: string, job: Parameters<typeof jobOf>[1]): Promise<string | undefined> =>
      (await test.client.create(jobs, jobOf(name, job))).spec?.template.spec?.schedulingGroup?.podGroupName
    const ring = { parallelism: 2, completions: 2, completionMode: 'Indexed' }
    const says = (gang: string) => ({ labels, annotations: { 'centaurus.io/gang': gang } })
    assert.equal(await groupOf('ring', { spec: ring }), 'ring')
    assert.equal(await groupOf('steps', { spec: { ...ring, completions: 9 } }), undefined)
    assert.equal(await groupOf('loose', { spec: ring, metadata: says('false') }), undefined)
    assert.equal(await groupOf('asked', { spec: { parallelism: 3 }, metadata: says('true') }), 'asked')
  })

  it('is a pod of a Job only by its Job, and a pod of a group by its group', async () => {
    const ownerReferences = [{ apiVersion: 'batch/v1', kind: 'Job', name: 'own', uid: 'u', controller: true }]
    const ofJob = await test.client.create(pods, podOf('of-job', { metadata: { labels, ownerReferences } }))
    assert.equal(ofJob.spec?.schedulingGates, undefined)
    const spec = { schedulingPolicy: { gang: { minCount: 1 } } }
    await test.client.create(podgroups, { metadata: { name: 'team', namespace: NAMESPACE, labels }, spec })
    const member = { spec: { schedulingGroup: { podGroupName: 'team' } } }
    assert.deepEqual((await test.client.create(pods, podOf('member', member))).spec?.schedulingGates, GATE)
  })

  it('stays in its queue while it runs', async () => {
    const job = await test.client.create(jobs, jobOf('moves'))
    const moved = { ...job, metadata: { ...job.metadata, labels: { [QUEUE_LABEL]: 'other' } } }
    const started = await test.client.update(jobs, { ...moved, spec: { ...moved.spec!, suspend: false } })
    await assert.rejects(
      test.client.update(jobs, { ...started, metadata: { ...started.metadata, labels } }),
      /set spec.suspend first/,
    )
  })

  it('is refused nonsense of, with every mistake', async () => {
    const resources = [{ name: 'cpu', nominalQuota: 'many', lendingLimit: '-1' }]
    const wrong = test.client.create(queues, { metadata: { name: 'q' }, spec: { parent: 'q', resources } })
    await assert.rejects(
      wrong,
      /another queue.*nominalQuota.*must be a quantity.*lendingLimit.*greater than or equal to 0/s,
    )
    const podSets = [{ name: 'main', count: 2, minCount: 3 }]
    const more = test.client.create(queuedworkloads, {
      metadata: { name: 'w', namespace: NAMESPACE },
      spec: { queueName: 'q', podSets },
    })
    await assert.rejects(more, /minCount.*must be less than or equal to `count`/)
  })

  it('is measured', async () => {
    const queue = await test.client.create(queues, { metadata: { name: 'research' }, spec: {} })
    const resources = [{ name: 'cpu', nominal: '8', used: '1500m', borrowed: '0' }]
    await test.client.updateStatus(queues, {
      ...queue,
      status: { pendingWorkloads: 3, admittedWorkloads: 2, resources },
    })
    const podSets = [{ name: 'main', count: 1 }]
    const made = await test.client.create(queuedworkloads, {
      metadata: { name: 'w', namespace: NAMESPACE },
      spec: { queueName: 'research', podSets },
    })
    const told = (type: string, reason: string) => ({
      type,
      reason,
      status: 'True',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    })
    const admission = { queue: 'research', podSets, time: made.metadata.creationTimestamp! }
    const admitted = await test.client.updateStatus(queuedworkloads, {
      ...made,
      status: { conditions: [told('Admitted', 'Admitted')], admission },
    })
    const conditions = [...admitted.status!.conditions!, told('Evicted', 'Preempted')]
    await test.client.updateStatus(queuedworkloads, { ...admitted, status: { ...admitted.status, conditions } })
    const { text } = await test.request('GET', '/metrics')
    assert.match(text, /centaurus_queue_pending_workloads\{tenant="system",queue="research"\} 3/)
    assert.match(text, /centaurus_queue_admitted_active_workloads\{tenant="system",queue="research"\} 2/)
    assert.match(text, /centaurus_queue_resource_usage\{tenant="system",queue="research",resource="cpu"\} 1.5/)
    assert.match(text, /centaurus_queue_admitted_workloads_total\{tenant="system",queue="research"\} 1/)
    assert.match(text, /centaurus_queue_admission_wait_time_seconds_count\{tenant="system",queue="research"\} 1/)
    assert.match(
      text,
      /centaurus_queue_evicted_workloads_total\{tenant="system",queue="research",reason="Preempted"\} 1/,
    )
  })
})
