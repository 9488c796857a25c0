import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory } from '@centaurus/client'
import { namespaces, nodes, pods, type Pod, type PodSpec } from '@centaurus/api/core/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { createMemoryStore, type Store } from '@centaurus/store'
import { startScheduler, type RunningScheduler } from './scheduler.ts'

const WAIT_MS = 10_000

describe('pods that wait, on a real API server', () => {
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
    const node = await client.create(nodes, { metadata: { name: 'n', labels: { zone: 'z' } } })
    const open = await client.update(nodes, { ...node, spec: {} })
    await client.updateStatus(nodes, { ...open, status: { allocatable: { cpu: '2', memory: '8Gi', pods: '10' } } })
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
  function createPod(name: string, cpu: string, more: Partial<PodSpec> = {}): Promise<Pod> {
    const containers = [{ name: 'c', image: 'x', resources: { requests: { cpu } } }]
    return client.create(pods, {
      metadata: { name, namespace: 'default', labels: { app: name } },
      spec: { containers, terminationGracePeriodSeconds: 0, ...more },
    })
  }
  const podOf = (name: string): Promise<Pod> => client.get(pods, { namespace: 'default', name })
  const hasNode = async (name: string): Promise<boolean> => Boolean((await podOf(name)).spec?.nodeName)
  const reasonOf = async (name: string): Promise<string> =>
    (await podOf(name)).status?.conditions?.find(({ reason }) => reason === 'Unschedulable')?.message ?? ''
  const near = (app: string, more: object = {}): Partial<PodSpec> => ({
    affinity: {
      podAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: 'zone', labelSelector: { matchLabels: { app } }, ...more },
        ],
      },
    },
  })

  it('places a pod that wants to be near another once that one has a node', async () => {
    await createPod('friend', '1m', near('late'))
    await eventually(async () => (await reasonOf('friend')).includes("didn't match pod affinity rules"))
    await createPod('late', '1m')
    await eventually(() => hasNode('friend'))
  })

  it('looks again when the labels of a namespace change', async () => {
    await createPod('wishful', '1m', near('late', { namespaceSelector: { matchLabels: { team: 'blue' } } }))
    await eventually(async () => (await reasonOf('wishful')).includes("didn't match pod affinity rules"))
    const body = { metadata: { labels: { team: 'blue' } } }
    await client.patch(namespaces, { name: 'default' }, { type: 'merge', body })
    await eventually(() => hasNode('wishful'))
  })

  it('removes no more pods while those it removed are on their way out', async () => {
    await client.create(priorityclasses, { metadata: { name: 'vip' }, value: 1000 })
    for (const name of ['low-0', 'low-1']) await createPod(name, '900m', { terminationGracePeriodSeconds: 30 })
    await createPod('bystander', '1m')
    for (const name of ['low-0', 'low-1', 'bystander']) await eventually(() => hasNode(name))
    await createPod('vip', '900m', { priorityClassName: 'vip' })
    await eventually(async () => (await podOf('vip')).status?.nominatedNodeName === 'n')
    // something on the node goes, but not what the pod waits for
    await client.delete(pods, { namespace: 'default', name: 'bystander' })
    await eventually(async () =>
      (await reasonOf('vip')).includes('not eligible due to a terminating pod on the nominated node'),
    )
    const { items } = await client.list(pods, { namespace: 'default' })
    const leaving = items.filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
    assert.equal(leaving.length, 1)
    const [victim] = leaving
    await client.delete(pods, { namespace: 'default', name: victim!.metadata.name }, { gracePeriodSeconds: 0 })
    await eventually(() => hasNode('vip'))
  })
})
