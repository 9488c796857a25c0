import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory } from '@centaurus/client'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { podgroups } from '@centaurus/api/scheduling/v1beta1'
import { createMemoryStore, type Store } from '@centaurus/store'
import type { ForeignUseChange } from '../core/foreign-use.ts'
import { createClientBinder, type Binder, type BindItem, type BindResult } from './binder.ts'
import { BATCH_ITEMS_MAX } from './binding-batches.ts'
import { startScheduler, type RunningScheduler } from './scheduler.ts'

const WAIT_MS = 10_000

describe('the scheduler beside others', () => {
  let store: Store
  let server: ApiServer
  let client: Client
  let informers: InformerFactory
  let scheduler: RunningScheduler
  const batches: BindItem[][] = []
  /** What the owner of the nodes says to a decision; undefined: it has room. */
  let judge: (item: BindItem) => BindResult | undefined = () => undefined
  const away = new Set<string>()
  let reachChanged: () => void = () => assert.fail('nobody listens')
  let tellForeignUse: (changes: readonly ForeignUseChange[]) => void = () => assert.fail('nobody subscribed')

  before(async () => {
    const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
    store = createMemoryStore()
    server = createApiServer({ store, ...deps })
    await server.start()
    client = server.client()
    informers = createInformerFactory(client, deps)
    const bindings = createClientBinder(client)
    const binder: Binder = {
      async bind(items) {
        batches.push([...items])
        const judged = items.map(judge)
        const isShort = items[0]?.gang !== undefined && judged.some((verdict) => verdict !== undefined)
        const verdicts = judged.map(
          (verdict): BindResult | undefined =>
            verdict ?? (isShort ? { type: 'gangRefused', reason: 'too few' } : undefined),
        )
        const bound = await bindings.bind(items.filter((_, i) => verdicts[i] === undefined))
        const results = bound.values()
        return verdicts.map((verdict) => verdict ?? results.next().value!)
      },
    }
    const foreignUse = {
      subscribe(listener: (changes: readonly ForeignUseChange[]) => void) {
        tellForeignUse = listener
        listener([{ nodeName: 'a', requests: { cpu: 4_000, pods: 1 } }])
        return () => {}
      },
    }
    const reach = {
      isReachable: (node: string) => !away.has(node),
      onChange(listener: () => void) {
        reachChanged = listener
        return () => {}
      },
    }
    scheduler = startScheduler({ client, informers, binder, foreignUse, reach, ...deps })
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
  async function addNode(name: string): Promise<void> {
    const node = await client.create(nodes, { metadata: { name } })
    const open = await client.update(nodes, { ...node, spec: {} })
    const allocatable = { cpu: '4', memory: '8Gi', pods: '600' }
    await client.updateStatus(nodes, { ...open, status: { allocatable } })
  }
  function createPod(name: string, cpu: string): Promise<Pod> {
    const containers = [
      { name: 'c', image: 'x', resources: { requests: { cpu } }, ports: [{ containerPort: 80, hostPort: 8000 }] },
    ]
    const spec = { containers: name.startsWith('many') ? [{ name: 'c', image: 'x' }] : containers }
    return client.create(pods, { metadata: { name, namespace: 'default' }, spec })
  }
  const nodeOf = async (name: string): Promise<string | undefined> =>
    (await client.get(pods, { namespace: 'default', name })).spec?.nodeName

  it('leaves to others what they use of a node, also when they said so before the node was known', async () => {
    await addNode('a')
    await createPod('waits', '1')
    const refused = await eventually(async () => {
      const { status } = await client.get(pods, { namespace: 'default', name: 'waits' })
      return status?.conditions?.find(({ reason }) => reason === 'Unschedulable')?.message
    })
    assert.match(refused, /0\/1 nodes are available: 1 Insufficient cpu/)
    tellForeignUse([{ nodeName: 'a', requests: { cpu: 3_000, pods: 1 } }])
    assert.equal(await eventually(() => nodeOf('waits')), 'a')
    const [item] = batches.flat()
    assert.deepEqual(item?.requests, { cpu: 1000, pods: 1 })
    assert.deepEqual(item.ports, [{ ip: '0.0.0.0', protocol: 'TCP', port: 8000 }])
  })

  it('goes elsewhere at once when the owner of a node refuses', async () => {
    await addNode('b')
    await addNode('c')
    await eventually(async () => informers.informer(nodes).get('c')?.status?.allocatable !== undefined)
    const refusals: string[] = []
    judge = ({ nodeName, pod }) => {
      if (pod.metadata.name !== 'moves' || refusals.length > 0) return undefined
      refusals.push(nodeName)
      return { type: 'refused', reason: 'no room', free: { cpu: 0 } }
    }
    await createPod('moves', '1')
    const node = await eventually(() => nodeOf('moves'))
    assert.equal(refusals.length, 1)
    assert.ok(node === (refusals[0] === 'b' ? 'c' : 'b'))
    judge = () => undefined
  })

  it('leaves out nodes that can not be reached, says so, and takes them back at once', async () => {
    for (const name of ['a', 'b', 'c', 'd']) away.add(name)
    await addNode('d')
    reachChanged()
    await createPod('stranded', '1')
    const refused = await eventually(async () => {
      const { status } = await client.get(pods, { namespace: 'default', name: 'stranded' })
      return status?.conditions?.find(({ reason }) => reason === 'Unschedulable')?.message
    })
    const why =
      '0/4 nodes are available: 4 node(s) were in a resource partition that could not be reached. preemption: '
    assert.ok(refused.startsWith(why), refused)
    away.delete('d')
    reachChanged()
    assert.equal(await eventually(() => nodeOf('stranded')), 'd')
    away.clear()
    reachChanged()
  })

  it('binds all of a gang or none, and looks for other nodes when one is refused', async () => {
    await client.create(podgroups, {
      metadata: { name: 'team', namespace: 'default' },
      spec: { schedulingPolicy: { gang: { minCount: 2 } } },
    })
    for (const name of ['e', 'f', 'g']) await addNode(name)
    const refusals: string[] = []
    const asked: string[][] = []
    judge = ({ nodeName, pod, gang }) => {
      if (pod.metadata.name === 'team-1') asked.push([nodeName, `${gang?.needed}`])
      if (pod.metadata.name !== 'team-1' || refusals.length > 0) return undefined
      refusals.push(nodeName)
      return { type: 'refused', reason: 'no room' }
    }
    const containers = [{ name: 'c', image: 'x', resources: { requests: { cpu: '3' } } }]
    for (const name of ['team-0', 'team-1']) {
      const spec = { containers, schedulingGroup: { podGroupName: 'team' } }
      await client.create(pods, { metadata: { name, namespace: 'default' }, spec })
    }
    const [first, second] = await Promise.all([eventually(() => nodeOf('team-0')), eventually(() => nodeOf('team-1'))])
    assert.notEqual(first, second)
    assert.equal(refusals.length, 1)
    assert.notEqual(second, refusals[0])
    assert.deepEqual(
      asked.map(([, needed]) => needed),
      ['2', '2'],
    )
    const together = batches.filter((batch) => batch.some(({ pod }) => pod.metadata.name === 'team-1'))
    assert.ok(
      together.every((batch) => batch.length === 2 && batch.every(({ gang }) => gang?.key === batch[0]!.gang?.key)),
    )
    judge = () => undefined
  })

  it('sends many decisions in one call', async () => {
    const before = batches.length
    const count = BATCH_ITEMS_MAX + 44
    await Promise.all(Array.from({ length: count }, (_, i) => createPod(`many-${i}`, '0')))
    await eventually(async () => {
      const { items } = await client.list(pods, { namespace: 'default' })
      return items.filter(({ metadata, spec }) => metadata.name.startsWith('many') && spec?.nodeName).length === count
    })
    const sizes = batches.slice(before).map((batch) => batch.length)
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      count,
    )
    assert.ok(Math.max(...sizes) <= BATCH_ITEMS_MAX)
    assert.ok(sizes.length < count / 2, `${sizes.length} calls for ${count} pods`)
  })
})
