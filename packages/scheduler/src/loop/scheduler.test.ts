import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory } from '@centaurus/client'
import { events, nodes, pods, type Pod, type PodSpec } from '@centaurus/api/core/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { createMemoryStore, type Store } from '@centaurus/store'
import { startScheduler, type RunningScheduler } from './scheduler.ts'

const WAIT_MS = 10_000

describe('the scheduler on a real API server', () => {
  let store: Store
  let server: ApiServer
  let client: Client
  let informers: InformerFactory
  let scheduler: RunningScheduler

  before(async () => {
    const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
    store = createMemoryStore()
    server = createApiServer({ store, ...deps })
    await server.start()
    client = server.client()
    informers = createInformerFactory(client, deps)
    scheduler = startScheduler({ client, informers, ...deps })
  })
  after(async () => {
    await scheduler.close()
    await informers.close()
    await server.close()
    await store.close()
  })

  async function eventually<T>(check: () => Promise<T | undefined | false>): Promise<T> {
    const deadline = performance.now() + WAIT_MS
    for (;;) {
      const seen = await check()
      if (seen !== undefined && seen !== false) return seen
      assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms: ${check.toString()}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  async function addNode(name: string, cpu: string): Promise<void> {
    const node = await client.create(nodes, { metadata: { name } })
    const open = await client.update(nodes, { ...node, spec: {} })
    await client.updateStatus(nodes, { ...open, status: { allocatable: { cpu, memory: '8Gi', pods: '10' } } })
  }

  function createPod(name: string, cpu: string, more: Partial<PodSpec> = {}): Promise<Pod> {
    const containers = [{ name: 'c', image: 'x', resources: { requests: { cpu } } }]
    return client.create(pods, {
      metadata: { name, namespace: 'default' },
      spec: { containers, terminationGracePeriodSeconds: 0, ...more },
    })
  }
  const podOf = (name: string): Promise<Pod> => client.get(pods, { namespace: 'default', name })
  const nodeOf = async (name: string): Promise<string | undefined> => (await podOf(name)).spec?.nodeName
  const refusalOf = async (name: string): Promise<string | undefined> =>
    (await podOf(name)).status?.conditions?.find(({ type, status }) => type === 'PodScheduled' && status === 'False')
      ?.message

  it('tells why a pod waits, and places it as soon as a node comes', async () => {
    await createPod('early', '1')
    assert.equal(await eventually(() => refusalOf('early')), 'no nodes available to schedule pods')
    await addNode('first', '2')
    assert.equal(await eventually(() => nodeOf('early')), 'first')
    assert.equal(await refusalOf('early'), undefined, 'its condition no longer says that it waits')
    const recorded = await eventually(async () => {
      const { items } = await client.list(events, { namespace: 'default' })
      const reasons = items.filter(({ involvedObject }) => involvedObject.name === 'early').map(({ reason }) => reason)
      return reasons.includes('Scheduled') && reasons
    })
    assert.ok(recorded.includes('FailedScheduling'))
  })

  it('never puts more on a node than it has, however many pods come at once', async () => {
    await addNode('second', '2')
    await Promise.all(Array.from({ length: 12 }, (_, i) => createPod(`rush-${i}`, '500m')))
    // `early` holds one of four CPUs, so six of twelve halves fit.
    await eventually(async () => {
      const { items } = await client.list(pods, { namespace: 'default' })
      const placed = items.filter(({ spec }) => spec?.nodeName)
      const refused = items.filter(({ status }) => status?.conditions?.some(({ reason }) => reason === 'Unschedulable'))
      return placed.length === 7 && refused.length === 6
    })
    const { items } = await client.list(pods, { namespace: 'default' })
    for (const name of ['first', 'second']) {
      const used = items
        .filter(({ spec }) => spec?.nodeName === name)
        .reduce((sum, { metadata }) => sum + (metadata.name === 'early' ? 1000 : 500), 0)
      assert.ok(used <= 2000, `${name}: ${used}`)
    }
    const waiting = items.find(({ spec, metadata }) => !spec?.nodeName && metadata.name.startsWith('rush'))!
    const running = items.find(({ spec, metadata }) => spec?.nodeName && metadata.name.startsWith('rush'))!
    await client.delete(pods, { namespace: 'default', name: running.metadata.name }, { gracePeriodSeconds: 0 })
    await eventually(async () => {
      const now = await client.list(pods, { namespace: 'default' })
      return now.items.filter(({ spec }) => spec?.nodeName).length === 7
    })
    assert.ok(waiting)
  })

  it('makes room for a more important pod by removing the least important ones', async () => {
    await client.create(priorityclasses, { metadata: { name: 'vip' }, value: 1000 })
    await createPod('important', '1', { priorityClassName: 'vip' })
    const node = await eventually(() => nodeOf('important'))
    assert.ok(node === 'first' || node === 'second')
    const { items } = await client.list(events, { namespace: 'default' })
    assert.ok(items.some(({ reason }) => reason === 'Preempted'))
  })

  it('leaves pods of other schedulers and gated pods alone', async () => {
    await addNode('third', '8')
    await createPod('foreign', '1m', { schedulerName: 'other' })
    await createPod('gated', '1m', { schedulingGates: [{ name: 'example.com/wait' }] })
    await createPod('plain', '1m')
    await eventually(() => nodeOf('plain'))
    assert.equal(await nodeOf('foreign'), undefined)
    assert.equal(await nodeOf('gated'), undefined)
    const gated = await podOf('gated')
    await client.update(pods, { ...gated, spec: { ...gated.spec!, schedulingGates: [] } })
    await eventually(() => nodeOf('gated'))
  })
})
