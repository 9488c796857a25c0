import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory } from '@centaurus/client'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { podgroups } from '@centaurus/api/scheduling/v1beta1'
import { createMemoryStore, type Store } from '@centaurus/store'
import { startScheduler, type RunningScheduler } from './scheduler.ts'

const WAIT_MS = 10_000

describe('gangs on a real API server', () => {
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
    await addNode('a')
  })
  after(async () => {
    await scheduler.close()
    await informers.close()
    await server.close()
    await store.close()
  })

  async function eventually(check: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + WAIT_MS
    while (!(await check())) {
      assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms: ${check.toString()}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  async function addNode(name: string): Promise<void> {
    const node = await client.create(nodes, { metadata: { name } })
    const open = await client.update(nodes, { ...node, spec: {} })
    await client.updateStatus(nodes, { ...open, status: { allocatable: { cpu: '2', memory: '8Gi', pods: '10' } } })
  }
  function createMember(name: string, podGroupName: string): Promise<Pod> {
    const containers = [{ name: 'c', image: 'x', resources: { requests: { cpu: '1' } } }]
    const spec = { containers, schedulingGroup: { podGroupName } }
    return client.create(pods, { metadata: { name, namespace: 'default' }, spec })
  }
  const createGroup = (name: string, minCount: number): Promise<unknown> =>
    client.create(podgroups, {
      metadata: { name, namespace: 'default' },
      spec: { schedulingPolicy: { gang: { minCount } } },
    })
  async function placed(prefix: string): Promise<number> {
    const { items } = await client.list(pods, { namespace: 'default' })
    return items.filter(({ metadata, spec }) => metadata.name.startsWith(prefix) && spec?.nodeName).length
  }
  async function reasonOf(name: string): Promise<string> {
    const { status } = await client.get(pods, { namespace: 'default', name })
    return status?.conditions?.find(({ reason }) => reason === 'Unschedulable')?.message ?? ''
  }

  it('waits for the group object, then for enough pods, then places them together', async () => {
    await createMember('early-0', 'early')
    await eventually(async () => (await reasonOf('early-0')).startsWith('waiting for pods'))
    await createGroup('early', 2)
    await eventually(async () => (await reasonOf('early-0')).startsWith('waiting for minCount pods'))
    assert.equal(await placed('early'), 0)
    await createMember('early-1', 'early')
    await eventually(async () => (await placed('early')) === 2)
  })

  it('gives no node to any of a gang that does not fit, and all of them when a node comes', async () => {
    await createGroup('big', 4)
    await addNode('b')
    for (let i = 0; i < 4; i++) await createMember(`big-${i}`, 'big')
    await eventually(async () => (await reasonOf('big-0')).includes('minCount (4) cannot be satisfied'))
    assert.equal(await placed('big'), 0)
    await addNode('c')
    await eventually(async () => (await placed('big')) === 4)
  })
})
