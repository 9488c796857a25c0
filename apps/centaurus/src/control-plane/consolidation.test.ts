import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import { jobs, type Job } from '@centaurus/api/batch/v1'
import { QUEUE_LABEL, queuedworkloads, queues, type QueuedWorkload } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { createApiServer, createQueueExtension, type ApiServer } from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type InformerFactory } from '@centaurus/client'
import { startJobController, startQueueController } from '@centaurus/controllers'
import { startScheduler } from '@centaurus/scheduler'
import { createMemoryStore } from '@centaurus/store'

const NAMESPACE = 'default'
const WAIT_MS = 20_000
const deps = { clock: systemClock, random: createSeededRandom(3), logger: silentLogger }

async function eventually<T>(what: string, check: () => Promise<T | undefined | false>): Promise<T> {
  const deadlineMs = performance.now() + WAIT_MS
  for (;;) {
    const found = await check()
    if (found !== undefined && found !== false) return found
    assert.ok(performance.now() < deadlineMs, `waited ${WAIT_MS} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Everything is the product's, but for the kubelet: a pod with a node runs, and one that is deleted is gone. */
describe('a job that needs room in one place', () => {
  const store = createMemoryStore()
  let server: ApiServer
  let informers: InformerFactory
  const running: { close(): Promise<void> }[] = []

  before(async () => {
    server = createApiServer({ store, ...deps, extensions: [createQueueExtension()] })
    await server.start()
    const client = server.client()
    informers = createInformerFactory(client, deps)
    for (const name of ['a', 'b']) await addNode(name)
    await client.create(queues, {
      metadata: { name: 'all' },
      spec: { resources: [{ name: 'cpu', nominalQuota: '8' }] },
    })
    const more = { ...deps, client, informers }
    running.push(
      startJobController(more),
      startScheduler(more),
      startQueueController(more, { consolidateAfterMs: 100 }),
    )
    informers.informer(pods).addHandler({ onAdd: kubelet, onUpdate: kubelet })
  })
  after(async () => {
    await Promise.all(running.map((part) => part.close()))
    await informers.close()
    await server.close()
    await store.close()
  })

  async function addNode(name: string): Promise<void> {
    const amounts = { cpu: '4', memory: '8Gi', pods: '10' }
    const now = new Date().toISOString()
    const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: now, lastHeartbeatTime: now }]
    const made = await server.client().create(nodes, { metadata: { name } })
    const node = await server.client().update(nodes, { ...made, spec: { ...made.spec, taints: [] } }) // not ready, until somebody says so
    await server
      .client()
      .updateStatus(nodes, { ...node, status: { capacity: amounts, allocatable: amounts, conditions } })
  }

  function kubelet(pod: Stored<Pod>): void {
    const { namespace, name, deletionTimestamp } = pod.metadata
    const client = server.client()
    if (deletionTimestamp !== undefined)
      client.delete(pods, { namespace, name }, { gracePeriodSeconds: 0 }).catch(() => {})
    else if (pod.spec?.nodeName && pod.status?.phase !== 'Running')
      client.updateStatus(pods, { ...pod, status: { ...pod.status, phase: 'Running' } }).catch(() => {})
  }

  function jobOf(name: string, cpu: string): Job {
    const containers = [{ name: 'main', image: 'busybox', resources: { requests: { cpu } } }]
    return {
      metadata: { name, namespace: NAMESPACE, labels: { [QUEUE_LABEL]: 'all' } },
      spec: { template: { spec: { restartPolicy: 'Never', containers } } },
    }
  }

  const nodeOf = async (job: string): Promise<string | undefined> => {
    const { items } = await server.client().list(pods, { labelSelector: `batch.kubernetes.io/job-name=${job}` })
    return items.find(({ metadata }) => metadata.deletionTimestamp === undefined)?.spec?.nodeName
  }
  const workloadOf = async (job: string): Promise<Stored<QueuedWorkload>> => {
    const { items } = await server.client().list(queuedworkloads)
    return items.find(({ metadata }) => metadata.ownerReferences?.[0]?.name === job)!
  }

  it('gets it by a move of one that fits elsewhere too, which keeps its quota', async () => {
    const client = server.client()
    await client.create(jobs, jobOf('one', '2'))
    await eventually('one to run', () => nodeOf('one'))
    await client.create(jobs, jobOf('two', '2'))
    await eventually('two to run', () => nodeOf('two'))
    assert.notEqual(await nodeOf('one'), await nodeOf('two'), 'the scheduler spreads them')
    await client.create(jobs, jobOf('large', '4'))
    const reasons = await eventually(
      'the reasons of nodes',
      async () => (await workloadOf('large'))?.status?.nodes?.reasons,
    )
    assert.deepEqual(reasons, [{ reason: 'Insufficient cpu', nodes: 2 }])
    await eventually('large to run', () => nodeOf('large'))
    await eventually(
      'both others to run',
      async () => (await nodeOf('one')) !== undefined && (await nodeOf('two')) !== undefined,
    )
    assert.equal(await nodeOf('one'), await nodeOf('two'))
    const moved = (await Promise.all(['one', 'two'].map(workloadOf))).map(({ status }) => status?.move)
    assert.deepEqual(
      moved.filter((move) => move !== undefined).map(({ isOver }) => isOver),
      [true],
    )
    const large = await workloadOf('large')
    assert.equal(moved.find((move) => move !== undefined)?.for, `default/${large.metadata.name}`)
    assert.equal(large.status?.requeueState, undefined)
    await eventually('the reasons to go', async () => (await workloadOf('large')).status?.nodes === undefined)
  })
})
